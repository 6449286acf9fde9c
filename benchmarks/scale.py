"""
DuckDB at size: a whole run at offline depth over a table of contacts, from opening the database to the status columns;
the run after it, when nothing is due; and the run of the next day, when a few rows are new and a few verdicts have
fallen due. Each in a process of its own, so that its memory is its own.

The table holds people at free providers and at companies, roles, misspelt and disposable domains, cells that are no
address, texts that stand there twice and other spellings of the same mailbox; each row says what it is, so that the
answers are checked row by row.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.processes import call

__all__ = ["again", "build", "daily", "grow", "measure", "verify"]

_FREE = ("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "aol.com", "gmx.de", "web.de")
_FIRST = ("ann", "bob", "carla", "dmitri", "eva", "felix", "greta", "hans", "irene", "jakob", "karin", "luis", "maria")
_LAST = ("meyer", "smith", "jones", "garcia", "mueller", "rossi", "silva", "novak", "kowalski", "dubois", "jansen")
_ROLES = ("info", "sales", "support", "admin", "office")
_TYPOS = ("gmial.com", "gmai.com", "hotmial.com")
_JUNK = ("", "n/a", "-", "not an address", "ann@", "@x.com", "a b@c.com", "none")
_ROWS_A_COMPANY = 50
_NEW_EACH_DAY, _DUE_EACH_DAY = 20_000, 50_000
"""Rows and verdicts, of ten million."""

_SHARES = {
    "person": 40,
    "colleague": 48,
    "role": 2,
    "typo": 1,
    "disposable": 1,
    "junk": 2,
    "twice": 4,
    "respelt": 2,
}
"""Of a hundred rows."""
_REASONS = {"role": "role_account", "typo": "typo_domain", "disposable": "disposable", "junk": "syntax_invalid"}
"""Of all others nothing is known without asking."""


def measure(sizes: Sequence[int] = (1_000_000, 10_000_000)) -> dict[str, Any]:
    """
    Returns:
        `runs`: for each size `rows`, `addresses`, `seconds`, `cpu` (seconds of all threads) and `peak` (resident
        memory, MB); `flatness`: the last peak by the first; `again`: the run after the last, with `due` and `asked`
        (lookups and probes) as well; `daily`: the run of the next day, with `new` (rows) and `due`.
    """
    runs = []
    follow_up: dict[str, Any] = {}
    next_day: dict[str, Any] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as folder:
            path = str(Path(folder, "crm.duckdb"))
            call("benchmarks.scale:build", path=path, rows=rows)
            runs.append(call("benchmarks.scale:verify", path=path, rows=rows))
            follow_up = call("benchmarks.scale:again", path=path, rows=rows)
            if rows == sizes[-1]:
                news = call("benchmarks.scale:grow", path=path, rows=rows)
                next_day = call("benchmarks.scale:daily", path=path, **news)
    return {"runs": runs, "flatness": runs[-1]["peak"] / runs[0]["peak"], "again": follow_up, "daily": next_day}


def build(path: str, rows: int) -> None:
    """Make the table."""
    import duckdb

    with duckdb.connect(path) as database:
        database.execute(f"create table contacts as {_contacts(0, rows, companies=max(1, rows // _ROWS_A_COMPANY))}")


def grow(path: str, rows: int) -> dict[str, int]:
    """A day later: new rows of all kinds, and verdicts that have fallen due; `rows`, `new`, `due` (addresses)."""
    import duckdb

    new, due = (max(100, each * rows // 10_000_000) for each in (_NEW_EACH_DAY, _DUE_EACH_DAY))
    with duckdb.connect(path) as database:
        more = _contacts(rows, rows + new, companies=max(1, rows // _ROWS_A_COMPANY))
        database.execute(f"insert into contacts by name {more}")
        database.execute(
            "update mailvet_verdicts set next_check_at = timestamp '2000-01-01' where email_key in "
            "(select email_key from mailvet_verdicts where trim(email) <> '' order by hash(email_key) limit $1)",
            [due],
        )
        (unknown,) = database.execute(
            "select count(distinct email) from contacts where trim(email) <> '' "
            "and sha256(email) not in (select email_key from mailvet_verdicts)"
        ).fetchall()[0]
    return {"rows": rows + new, "new": new, "due": due + unknown}


def _contacts(first: int, end: int, *, companies: int) -> str:
    """The rows from one number to before another, as a query."""

    def one_of(words: Sequence[str], salt: int) -> str:
        return f"({list(words)})[1 + (hash(number, {salt}) % {len(words)})::integer]"

    kinds, least = [], 0
    for kind, share in _SHARES.items():
        least += share
        kinds.append(f"when place < {least} then '{kind}'")
    # A number as letters, so that names are as many as rows and none of them is a counter.
    letters = " || ".join(f"chr(97 + (number // {26**power} % 26)::integer)" for power in range(6))
    person = f"{one_of(_FIRST, 1)} || '.' || {one_of(_LAST, 2)} || {letters}"
    company = f"'company-' || number % {companies} || '.com'"
    domain = f"case when free then {one_of(_FREE, 3)} else {company} end"
    earlier = "kind in ('twice', 'respelt')"
    return f"""
        select id, 'Person ' || id as name, kind, case kind
            when 'role' then {one_of(_ROLES, 4)} || '@' || domain
            when 'typo' then person || '@' || {one_of(_TYPOS, 5)}
            when 'disposable' then person || '@mailinator.com'
            when 'junk' then {one_of(_JUNK, 6)}
            when 'respelt' then upper(person || '@' || domain)
            else person || '@' || domain end as email
        from (
            select *, {person} as person, {domain} as domain from (
                -- As the row fifty before, which is a colleague's.
                select id, kind, case when {earlier} then id - 50 else id end as number, kind = 'person' as free
                from (select id, case {" ".join(kinds)} end as kind
                      from (select range as id, range % 100 as place from range({first}, {end})))
            )
        )
    """


def verify(path: str, rows: int) -> dict[str, Any]:
    """In the measured process: the first run."""
    result, seconds, cpu, peak = _run(path)
    assert result.written == rows, f"{result.written} of {rows} rows were written"
    assert result.checked == result.plan.due == result.plan.addresses, "not every address was checked"
    _check(path)
    return {"rows": rows, "addresses": result.plan.addresses, "seconds": seconds, "cpu": cpu, "peak": peak}


def again(path: str, rows: int) -> dict[str, Any]:
    """In the measured process: a run when nothing is due."""
    result, seconds, cpu, peak = _run(path)
    asked = result.lookups + result.probes
    assert result.checked == result.plan.due == asked == result.written == 0, "nothing is due, yet something was done"
    assert result.summary.rows == result.summary.verified == rows, "rows are missing from the summary"
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak, "due": result.plan.due, "asked": asked}


def daily(path: str, rows: int, new: int, due: int) -> dict[str, Any]:
    """In the measured process: a run when little is new or due."""
    import duckdb

    began_at = datetime.now(timezone.utc).replace(tzinfo=None)
    result, seconds, cpu, peak = _run(path)
    assert result.checked == result.plan.due == due, f"{due} addresses were due, {result.checked} were checked"
    assert result.summary.rows == result.summary.verified == rows, "rows are missing from the summary"
    _check(path)
    with duckdb.connect(path, read_only=True) as database:
        answered, stale = database.execute(
            "select count(*) filter (checked_at >= $1), "
            "count(*) filter (mailvet_checked_at is distinct from checked_at) from contacts "
            "left join mailvet_verdicts on email_key = sha256(contacts.email)",
            [began_at],
        ).fetchall()[0]
    assert stale == 0, f"{stale} rows carry another answer than their verdict"
    # New rows of a text that was known are written as well, and are not verified again.
    assert answered <= result.written <= answered + new, f"{result.written} rows were written, {answered} were news"
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak, "new": new, "due": due}


def _run(path: str) -> tuple[Any, float, float, float]:
    from mailvet.runs.run import run
    from mailvet.runs.sources import open_source
    from mailvet.settings import Settings
    from mailvet.vocabulary import Depth

    settings = Settings(depth=Depth.offline)
    began, cpu = time.perf_counter(), time.process_time()
    warehouse = open_source(path, settings, table="contacts", column="email")
    try:
        result = run(warehouse, settings)
    finally:
        warehouse.close()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return result, seconds, cpu, peak


def _check(path: str) -> None:
    """Every row carries the answer that its kind must get, and other spellings of a mailbox are found."""
    import duckdb

    known = " ".join(f"when '{kind}' then '{reason}'" for kind, reason in _REASONS.items())
    with duckdb.connect(path, read_only=True) as database:
        wrong = database.execute(
            f"select kind, mailvet_reason, count(*) from contacts where mailvet_reason is distinct from "
            f"case kind {known} else 'not_probed' end group by all"
        ).fetchall()
        assert not wrong, f"wrong answers: {wrong}"
        respelt, found = database.execute(
            "select (select count(distinct email) from contacts where kind = 'respelt'), "
            "(select count(*) from mailvet_verdicts where contains(flags, 'duplicate_of'))"
        ).fetchall()[0]
    assert found == respelt, f"{found} of {respelt} other spellings were found"

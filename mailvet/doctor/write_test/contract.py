"""What every database has to do alike, as checks over a schema to write in.

Each makes its own tables, and drops them and mailvet's own for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from mailvet.doctor.write_test.places import Place
from mailvet.doctor.write_test.verdicts import verdicts
from mailvet.errors import SourceError
from mailvet.gates import Limits, count
from mailvet.history.records import OWN
from mailvet.runs.event_import import import_events
from mailvet.runs.planning import plan_source
from mailvet.runs.run import run
from mailvet.runs.table_gate import judged
from mailvet.settings import History, Lists, Settings, Suspicion
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import STATUS_COLUMNS, email_key, verdict_schema
from mailvet.vocabulary import Depth, Policy, Reason
from mailvet.warehouse.events import EVENTS
from mailvet.warehouse.own_tables import ADDED_LATER, VERDICTS
from mailvet.warehouse.store import PlannedSource, Warehouse

__all__ = ["CHECKS", "TEN_THOUSAND", "BrokenRuleError", "ContractCheck"]

TEN_THOUSAND = 10_000
"""Rows of the largest table of the test."""

_TABLE = "mailvet_test_contacts"
_OLDER = "mailvet_test_older"
_EVENTS = "mailvet_test_events"
_COLUMNS = {"id": "int32", "email": "string", "country": "string"}
_ODD_TEXTS = (
    "jörg@bücher.example",
    "用户@例子.测试",
    "a'b\"c\\d%e`f@x.example",
    "Ünal@x.example",
    "😀@x.example",
    "a:b@x.example",
    "x" * 240 + "@x.example",
    "%(name)s@x.example",
    "A@X.EXAMPLE\n",
    " ann@x.example ",
)
_ODD_NAMES = ("order", "E-Mail Address", "größe", 'quote"d', "back`tick", "per%cent", "co:lon", "dot.ted")
"""A word of SQL, a blank, letters beyond ASCII, marks."""


class BrokenRuleError(Exception):
    """A database does not keep a rule; the text says which, in values of the test's own tables."""


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """One check of the contract."""

    name: str
    about: str
    """What holds, in a sentence."""
    function: Callable[[Place, Settings], str | None]
    """Returns what is worth knowing beside that it passed."""

    def run(self, place: Place, settings: Settings) -> str | None:
        """Check, and leave the schema as it was found.

        Args:
            place: a schema without mailvet's own tables.
            settings: of a run; nothing is asked of any server.

        Returns:
            What is worth knowing.

        Raises:
            BrokenRuleError: the rule is broken.
            MailvetError: a statement does not work there.
        """
        before = place.tables()
        try:
            return self.function(place, isolated(settings))
        finally:
            place.clean(before)


def isolated(settings: Settings) -> Settings:
    """The same settings at depth offline, without what the user keeps about his own table."""
    return settings.model_copy(
        update={
            "depth": Depth.offline,
            "policy": Policy.marketing,
            "lists": Lists(),
            "history": History(),
            "suspicion": Suspicion(),
        }
    )


# -------------------------------------------------------------------- helpers


def _same(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise BrokenRuleError(f"{what}: found {found!r}, expected {wanted!r}")


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _contacts(place: Place, *cells: str | None, table: str = _TABLE) -> None:
    rows = [(number, cell, "DE" if number % 2 else "FR") for number, cell in enumerate(cells, 1)]
    place.make(table, _COLUMNS, rows)


def _planned(warehouse: Warehouse, settings: Settings, *, depth: Depth = Depth.smtp) -> PlannedSource:
    return plan_source(
        warehouse, settings.model_copy(update={"depth": depth}), among=None, recheck=None, count_domains=True
    )


def _due(planned: PlannedSource) -> list[dict[str, Any]]:
    return [row for batch in planned.due(1000) for row in batch.to_pylist()]


def _saved(place: Place, reasons: Mapping[str, Reason], at: datetime | None = None, **options: Any) -> Warehouse:
    warehouse = place.open(_TABLE, **options)
    warehouse.open_for_writing()
    warehouse.save(verdicts(reasons, at or _now()))
    return warehouse


def _statuses(place: Place, column: str = "mailvet_reason") -> list[tuple[Any, ...]]:
    return place.sql(f"select id, {column} from {_TABLE} order by id")


# -------------------------------------------------------------------- the checks


def _tables(place: Place, _: Settings) -> None:
    _contacts(place, "ann@a.example", None)
    _same(place.sql(f"select count(*) from {_TABLE}"), [(2,)], "rows of a table that was made")
    warehouse = place.open(_TABLE)
    warehouse.open_for_writing()
    own = {name.lower() for name in place.tables()}
    _same({VERDICTS, "mailvet_runs", "mailvet_servers"} <= own, True, "tables of mailvet's own")


def _identifiers(place: Place, settings: Settings) -> str | None:
    refused = []
    for number, name in enumerate(_ODD_NAMES):
        table, column, cell = f"mailvet_test_{name}", name, f"p{number}@a.example"
        try:
            place.make(table, {"id": "int32", column: "string"}, [(1, cell)])
        except Exception:  # the database knows no such names, so no table can have one
            refused.append(name)
            continue
        warehouse = place.open(place_name(table), column, prefix=f"m{number}_")
        _same(_planned(warehouse, settings).plan.due, 1, f"due of a table and column called {name}")
        warehouse.open_for_writing()
        warehouse.save(verdicts({cell: Reason.mailbox_accepted}, _now()))
        warehouse.check_write_back(("reason",))
        _same(warehouse.write_back(("reason",)), 1, f"rows written of a table called {name}")
        warehouse.close()
    return f"this database has no names such as: {', '.join(refused)}" if refused else None


def place_name(table: str) -> str:
    """A table's name as `open_table` reads it: one part, whatever it holds."""
    return '"' + table.replace('"', '""') + '"'


def _keys(place: Place, settings: Settings) -> None:
    _contacts(place, *_ODD_TEXTS)
    warehouse = place.open(_TABLE)
    found = {row["email"]: row["email_key"] for row in _due(_planned(warehouse, settings))}
    _same(found, {text: email_key(text) for text in _ODD_TEXTS}, "keys of texts beyond ASCII")
    warehouse.open_for_writing()
    warehouse.save(verdicts(dict.fromkeys(_ODD_TEXTS, Reason.mailbox_accepted), _now()))
    _same(_planned(warehouse, settings).plan.due, 0, "due after all are saved")
    _same(warehouse.write_back(("reason",)), len(_ODD_TEXTS), "rows written by their keys")


def _plan(place: Place, settings: Settings) -> None:
    cells = ("ann@a.example", "ann@a.example", "Ann@A.example", "ann@a.example ", "bob@b.example", None, "", " \u200b")
    _contacts(place, *cells)
    warehouse = place.open(_TABLE)
    plan = _planned(warehouse, settings).plan
    found = (plan.rows, plan.missing, plan.addresses, plan.due)
    _same(found, (8, 3, 4, 4), "rows, missing, distinct and due texts")
    _same(sorted(plan.domains), [("a.example", 3), ("b.example", 1)], "due texts by domain")
    now = _now()
    _saved(place, {"ann@a.example": Reason.mailbox_accepted}, now)
    _saved(place, {"bob@b.example": Reason.mailbox_accepted}, now - timedelta(days=400))
    due = sorted(row["email"] for row in _due(_planned(place.open(_TABLE), settings)))
    _same(due, ["Ann@A.example", "ann@a.example ", "bob@b.example"], "what is due with verdicts there")
    narrowed = place.open(_TABLE, where="country = 'FR' -- a comment")
    _same(_planned(narrowed, settings).plan.rows, 4, "rows with a condition")


def _conditions(place: Place, _: Settings) -> None:
    _contacts(place, "ann@a.example")
    for condition in ("nonsense = 1", "country =", f"1 = 1; drop table {_TABLE}", "1 = 0) or (1 = 1"):
        try:
            place.open(_TABLE, where=condition)
        except SourceError:
            continue
        raise BrokenRuleError(f"the condition {condition!r} was taken")
    _same(place.sql(f"select count(*) from {_TABLE}"), [(1,)], "rows after conditions that were refused")


def _save(place: Place, settings: Settings) -> None:
    _contacts(place, "ann@a.example", "bob@b.example")
    now = _now()
    reply = '452 4.2.2 it\'s \\full\\ 100% "yes" :x ünknown'
    batch = verdicts(
        {"ann@a.example": Reason.mailbox_full, "b@b.example": Reason.accept_all},
        now,
        smtp_code=452,
        smtp_reply=reply,
        flags="role,probed",
    )
    warehouse = place.open(_TABLE)
    warehouse.open_for_writing()
    warehouse.save(batch)
    other = place.open(_TABLE)  # committed when `save` returned
    for row in batch.to_pylist():
        _same(other.stored(row["email"]), row, "a verdict as it was saved")
    other.save(verdicts({"ann@a.example": Reason.not_probed}, now + timedelta(days=1)))
    _same((other.stored("ann@a.example") or {}).get("reason"), "mailbox_full", "a verdict after one that says nothing")
    other.save(verdicts({"ann@a.example": Reason.mailbox_accepted}, now + timedelta(days=2)))
    _same((other.stored("ann@a.example") or {}).get("reason"), "mailbox_accepted", "a verdict that was renewed")
    _same(place.sql(f"select count(*) from {VERDICTS}"), [(2,)], "verdicts of two texts saved several times")
    other.save_run({"run_id": "r1", "started_at": now, "rows": 3})
    other.save_run({"run_id": "r1", "started_at": now, "finished_at": now, "rows": 3})
    _same(place.sql("select count(*) from mailvet_runs"), [(1,)], "records of one run")


def _upgrade(place: Place, settings: Settings) -> None:
    _contacts(place, "d.o.t.s@gmail.com")
    _saved(place, {"d.o.t.s@gmail.com": Reason.mailbox_accepted})
    place.close_opened()
    names = ", ".join(place.say.own(name) for name in verdict_schema().names if name not in ADDED_LATER)
    place.sql(f"create table {_OLDER} as select {names} from {VERDICTS}")
    place.sql(f"drop table {VERDICTS}")
    place.sql(f"create table {VERDICTS} as select {names} from {_OLDER}")
    warehouse = place.open(_TABLE)
    _same(_planned(warehouse, settings).plan.due, 0, "due with the verdict table of an older version")
    warehouse.open_for_writing()
    found = (warehouse.stored("d.o.t.s@gmail.com") or {}).get("mailbox_key")
    _same(found, mailbox_key("dots@gmail.com"), "the key of a mailbox after the upgrade")


def _resume(place: Place, settings: Settings) -> None:
    _contacts(place, *(f"p{number}@x.example" for number in range(30)))
    first = place.open(_TABLE)
    planned = _planned(first, settings)
    first.open_for_writing()
    for batch in planned.due(10):  # ends as a run that is killed after its first batch
        first.save(verdicts(dict.fromkeys(batch["email"].to_pylist(), Reason.mailbox_accepted), _now()))
        break
    place.close_opened()
    second = place.open(_TABLE)
    _same(_planned(second, settings).plan.due, 20, "due after an interruption")


def _write_back(place: Place, _: Settings) -> None:
    _contacts(place, "ann@a.example", "ann@a.example", None, "", "bob@b.example", "Ann@a.example")
    warehouse = _saved(place, {"ann@a.example": Reason.mailbox_accepted, "bob@b.example": Reason.null_mx})
    warehouse.check_write_back(STATUS_COLUMNS)
    _same(warehouse.write_back(STATUS_COLUMNS), 3, "rows written")
    accepted = "mailbox_accepted"
    wanted = [(1, accepted), (2, accepted), (3, None), (4, None), (5, "null_mx"), (6, None)]
    _same(_statuses(place), wanted, "status by row")
    _same(warehouse.write_back(STATUS_COLUMNS), 0, "rows written when nothing has changed")
    place.sql(f"update {_TABLE} set email = 'new@a.example' where id = 1")
    place.sql(f"update {_TABLE} set email = null where id = 2")
    warehouse.save(verdicts({"new@a.example": Reason.accept_all}, _now()))
    _same(warehouse.write_back(STATUS_COLUMNS), 2, "rows written after cells were edited")
    _same(_statuses(place)[:2], [(1, "accept_all"), (2, None)], "status of edited cells")


def _events(place: Place, settings: Settings) -> None:
    _contacts(place, "ann@a.example", "d.o.t.s@gmail.com", "cid@c.example")
    at = _now() - timedelta(days=30)
    records = [
        {"email": "ann@a.example", "event": "hard_bounce", "occurred_at": at.isoformat()},
        {"email": "dots@gmail.com", "event": "complaint", "occurred_at": at.isoformat()},
    ]
    _same(import_events(records, place.events(), OWN).added, 2, "events that were added")
    _same(import_events(records, place.events(), OWN).added, 0, "the same events a second time")
    place.close_opened()
    warehouse = place.open(_TABLE, events=EVENTS)
    wanted = {"ann@a.example": "hard_bounced", "d.o.t.s@gmail.com": "suppressed", "cid@c.example": None}
    found = {row["email"]: row["history_reason"] for row in _due(_planned(warehouse, _with_events(settings)))}
    _same(found, wanted, "what events say of each address")


def _with_events(settings: Settings) -> Settings:
    return settings.model_copy(update={"history": History(events=EVENTS)})


def _signals(place: Place, settings: Settings) -> str | None:
    if not place.say.finds_signals:
        return "not looked for in this database"
    cells = [f"user{number}@x.example" for number in range(100, 140)]
    _contacts(place, *cells, "d.o.t.s@gmail.com", "dots@gmail.com")
    planned = _planned(place.open(_TABLE), settings)
    planned.find_signals(signed_up=None, burst_window=timedelta(hours=1))
    rows = {row["email"]: row for row in _due(planned)}
    _same(rows["user100@x.example"]["series_size"] >= len(cells), True, "a numbered series is found")
    doubles = [bool(rows[text]["duplicate_of"]) for text in ("d.o.t.s@gmail.com", "dots@gmail.com")]
    _same(any(doubles), True, "two spellings of a mailbox are found")
    return None


def _forget(place: Place, _: Settings) -> None:
    _contacts(place, "ann@a.example")
    texts = ("dots@gmail.com", "D.o.ts+shop@googlemail.com", "other@gmail.com", "d.ots@a.example", "x@b.example")
    warehouse = _saved(place, dict.fromkeys(texts, Reason.mailbox_accepted))
    _same(warehouse.forget("d.ots@gmail.com"), 2, "verdicts erased of one mailbox")
    _same(warehouse.forget("b.example", domain=True), 1, "verdicts erased of a domain")
    left = {row[0] for row in place.sql(f"select email from {VERDICTS}")}
    _same(left, {"other@gmail.com", "d.ots@a.example"}, "verdicts that are left")


def _gates(place: Place, settings: Settings) -> None:
    _contacts(place, "ann@a.example", "ann@a.example", "bob@b.example", None, "new@c.example")
    _saved(place, {"ann@a.example": Reason.mailbox_accepted, "bob@b.example": Reason.mailbox_not_found})
    warehouse = place.open(_TABLE, writable=False, updatable=False)
    _planned(warehouse, settings)
    counts = count(warehouse.verdict_counts())
    found = (counts.rows, counts.missing, counts.addresses, counts.verified, counts.undeliverable)
    _same(found, (5, 1, 4, 3, 1), "rows, missing, addresses, verified, undeliverable")
    result = judged(warehouse, Limits(max_undeliverable_rate=0.3, max_unverified_rate=0.3))
    _same([limit.name for limit in result.failed], ["max_undeliverable_rate"], "limits that failed")
    summary = warehouse.summary()
    _same(summary.by_recommendation, {"send": 2, "do_not_send": 1}, "rows by recommendation")


def _leases(place: Place, _: Settings) -> str | None:
    _contacts(place, "ann@a.example")
    warehouse = place.open(_TABLE)
    warehouse.open_for_writing()
    if warehouse.take_lease("run1", "a host 1") is not None:
        raise BrokenRuleError("a lease that was free was not given")
    other = place.open(_TABLE)
    held = other.take_lease("run2", "a host 2")
    warehouse.release_lease("run1")
    return None if held is not None else "one writer at a time, so without leases"


def _ten_thousand(place: Place, settings: Settings) -> str:
    half = TEN_THOUSAND // 2
    domains = ("a.example", "b.example", "gmail.com", "gmial.com", "mailinator.com")
    cells = [f"person.{number}@{domains[number % len(domains)]}" for number in range(TEN_THOUSAND - 2)]
    _contacts(place, *cells, "not an address", None)
    first = run(place.open(_TABLE), settings, limit=half)
    _same(first.checked, half, "addresses of a run with a limit")
    place.close_opened()
    second = run(place.open(_TABLE), settings)
    _same(second.checked, TEN_THOUSAND - 1 - half, "addresses of the run that went on")
    place.close_opened()
    third = run(place.open(_TABLE), settings)
    _same((third.checked, third.written), (0, 0), "addresses and rows of a run with nothing due")
    written = place.sql(f"select count(*) from {_TABLE} where mailvet_status is not null")
    _same(written, [(TEN_THOUSAND - 1,)], "rows with a status")
    seconds = f"{first.seconds:.1f}, {second.seconds:.1f} and {third.seconds:.1f} s"
    return f"three runs over {TEN_THOUSAND:,} rows at depth offline: {seconds}"


CHECKS = (
    ContractCheck("tables", "tables can be made and read, mailvet's own among them", _tables),
    ContractCheck("identifiers", "tables and columns of any name the database allows", _identifiers),
    ContractCheck("keys", "email_key of any text is the one of Python", _keys),
    ContractCheck("plan", "distinct texts, what is missing, what is due, a condition on the rows", _plan),
    ContractCheck("conditions", "what is not one condition is refused before anything runs", _conditions),
    ContractCheck("save", "verdicts come back as they were saved, each key once", _save),
    ContractCheck("upgrade", "a verdict table of an older version is used and upgraded", _upgrade),
    ContractCheck("resume", "after an interruption only what is left is due", _resume),
    ContractCheck("write_back", "each row gets the status of its own text, when that has changed", _write_back),
    ContractCheck("events", "the user's events hold for every spelling of a mailbox, each once", _events),
    ContractCheck("signals", "numbered series and several spellings are found", _signals),
    ContractCheck("forget", "a mailbox is erased in every spelling", _forget),
    ContractCheck("gates", "counts, limits and summary", _gates),
    ContractCheck("leases", "a second run over the same table is told of the first", _leases),
    ContractCheck(
        "ten_thousand", "10,000 rows: a run with a limit, the next one, and one with nothing due", _ten_thousand
    ),
)
"""In the order in which they run."""

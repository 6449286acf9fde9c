"""What a hand-over costs beside DuckDB's own COPY of the same rows: `python benchmarks/exporting.py [ROWS]`.

Each is a process of its own; counted are its CPU seconds, user and system together. `--write` puts the figures into
docs/exports.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "exports.md"
BEGIN, END = "<!-- figures -->", "<!-- end: figures -->"
RUNS = 3

COPY = """
import duckdb
with duckdb.connect("crm.duckdb", read_only=True) as db:
    db.execute("copy (select email, first_name from contacts) to 'copy.csv' (format csv, header true)")
"""
JOINED = """
import duckdb
with duckdb.connect("crm.duckdb", read_only=True) as db:
    db.execute("copy (select c.email, c.first_name from contacts c join mailvet_verdicts v on v.email_key = "
               "sha256(c.email) where v.recommendation = 'send') to 'copy.csv' (format csv, header true)")
"""
EXPORT = """
from pathlib import Path
from mailvet import Settings, export, open_table
warehouse = open_table("crm.duckdb", "contacts", "email", writable=False, updatable=False)
result = export(warehouse, Settings.load(), to="brevo", output=Path("news.csv"), columns={"FIRSTNAME": "first_name"},
                overwrite=True)
warehouse.close()
print(result.written, dict(result.left_out))
"""
NOTHING = "import duckdb, mailvet.exports.export, mailvet.warehouse.backends.duckdb.warehouse, polars"


def make(path: Path, rows: int) -> None:
    """A table of contacts: every seventh row repeats a mailbox, and four verdicts in five say send."""
    import duckdb

    from mailvet.syntax.mailbox_key import mailbox_sql
    from mailvet.warehouse.backends.duckdb.expressions import SAY
    from mailvet.warehouse.opening import open_table

    with duckdb.connect(str(path)) as db:
        db.execute(
            "create table contacts as select i as id, case when i = person then 'person' else 'Person' end || "
            "person || '@firm' || (person % 5000) || '.example' as email, 'First ' || i as first_name "
            f"from (select i, case when i % 7 = 0 then i - 1 else i end as person from range(1, {rows} + 1) t(i))"
        )
    warehouse = open_table(path, "contacts", "email")
    warehouse.open_for_writing()
    warehouse.close()
    mailbox = mailbox_sql("lower(split_part(email, '@', 1))", "lower(split_part(email, '@', 2))", SAY)
    with duckdb.connect(str(path)) as db:
        names = [row[0] for row in db.execute("describe mailvet_verdicts").fetchall()]
        values = {
            "email_key": "sha256(email)",
            "email": "email",
            "status": "'deliverable'",
            "reason": "case when id % 5 = 0 then 'role_account' else 'mailbox_accepted' end",
            "recommendation": "case when id % 5 = 0 then 'do_not_send' else 'send' end",
            "score": "98",
            "flags": "''",
            "depth": "'smtp'",
            "evidence": "'[]'",
            "checked_at": "timestamp '2026-12-01'",
            "attempts": "1",
            "rules_version": "'2026.12'",
            "mailbox_key": f"sha256({mailbox})",
        }
        listed = ", ".join(values.get(name, "null") for name in names)
        db.execute(f"insert into mailvet_verdicts select {listed} from contacts")


def cpu_seconds(program: str, folder: Path) -> float:
    """Of a process that runs this program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    programs = {"import": NOTHING, "copy": COPY, "copy_joined": JOINED, "export": EXPORT}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "crm.duckdb", asked.rows)
        found: dict[str, list[float]] = {each: [] for each in programs}
        for _ in range(RUNS):  # one after another, so that a busy moment falls on all
            for each, program in programs.items():
                found[each].append(cpu_seconds(program, folder))
    seconds = {each: round(statistics.median(values), 2) for each, values in found.items()}
    print(json.dumps({"rows": asked.rows, "cpu_seconds": seconds}))
    if asked.write:
        text = (
            f"{asked.rows:,} rows of a DuckDB table, CPU seconds (median of {RUNS}): "
            f"{seconds['export']:g} for `mailvet export`, of which {seconds['import']:g} are imports; "
            f"{seconds['copy_joined']:g} for `COPY` of the rows that the verdicts recommend, {seconds['copy']:g} for "
            "`COPY` of the table without verdicts."
        )
        page = PAGE.read_text("utf-8")
        head, rest = page.split(BEGIN, 1)
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}", "utf-8")


if __name__ == "__main__":
    main()

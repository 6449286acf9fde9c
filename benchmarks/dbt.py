"""
dbt on DuckDB: a million contacts joined to their verdicts by `with_verdicts`, and the status columns written back
beside them by `write_back`, as dbt runs them; and once more with nothing changed.

`python benchmarks/dbt.py [ROWS]` prints the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.storage import _verdicts

__all__ = ["measure"]

ROOT = Path(__file__).resolve().parent.parent
_DBT = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]
_FILES = {
    "dbt_project.yml": (
        "name: bench\nversion: 1.0.0\nconfig-version: 2\nprofile: bench\nflags: {send_anonymous_usage_stats: false}\n"
        "models: {bench: {+materialized: table}}\n"
    ),
    "profiles.yml": "bench: {target: t, outputs: {t: {type: duckdb, path: crm.duckdb, threads: 2}}}\n",
    "models/sources.yml": "sources: [{name: crm, schema: main, tables: [{name: contacts}]}]\n",
    "models/contacts_verified.sql": "{{ mailvet.with_verdicts(source('crm', 'contacts'), 'email') }}\n",
}


def measure(rows: int = 1_000_000) -> dict[str, Any]:
    """
    Returns:
        Seconds of the `model`, of `write_back` (the statements) and of both commands as a whole (`model_command`,
        `write_back_command`), the `together` of model and write-back, and of write-back `again` with nothing changed.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-dbt-") as name:
        folder = Path(name)
        for path, text in _FILES.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        (folder / "dbt_packages").mkdir()
        (folder / "dbt_packages" / "mailvet").symlink_to(ROOT / "dbt_macros", target_is_directory=True)
        with duckdb.connect(str(folder / "crm.duckdb")) as database:
            database.execute(
                "create table contacts as select range as id, 'person' || range || '@company-' || range % 5000 || "
                "'.test' as email from range($1)",
                [rows],
            )
        verdicts = _verdicts(folder / "crm.duckdb", rows)
        _dbt(folder, "run", "--select", "mailvet_verdicts")
        with duckdb.connect(str(folder / "crm.duckdb")) as database:
            database.register("made", verdicts)
            database.execute("set TimeZone = 'UTC'")
            database.execute("insert into mailvet_verdicts by name select * from made")
        seconds: dict[str, float] = {}
        seconds["model_command"] = _dbt(folder, "run", "--select", "contacts_verified")
        seconds["model"] = _executed(folder)
        write_back = ("run-operation", "mailvet.write_back", "--args", "{relation: crm.contacts}")
        seconds["write_back_command"] = _dbt(folder, *write_back)
        seconds["write_back"] = _executed(folder)
        _dbt(folder, *write_back)
        seconds["again"] = _executed(folder)
        with duckdb.connect(str(folder / "crm.duckdb")) as database:
            joined, written = database.execute(
                "select (select count(*) from contacts_verified where mailvet_status is not null), "
                "(select count(*) from contacts where mailvet_status is not null)"
            ).fetchall()[0]
        assert joined == written == rows, f"{joined} and {written} of {rows} rows have their answer"
    seconds["together"] = seconds["model"] + seconds["write_back"]
    return {"rows": rows, **{key: round(value, 2) for key, value in seconds.items()}}


def _dbt(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [*_DBT, "--quiet", *arguments, "--profiles-dir", "."],
        cwd=folder,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - began


def _executed(folder: Path) -> float:
    """Seconds of the one node of the last command, as dbt measured them."""
    [result] = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return float(result["execution_time"])


if __name__ == "__main__":
    for key, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000).items():
        print(f"{key:>20}  {value:,}")

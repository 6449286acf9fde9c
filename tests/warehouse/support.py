"""The contract on every engine that runs here, and the support table of docs/warehouses.md: what its files say.

`python -m tests.warehouse.support` writes the table from docs/write_tests; with names of engines (`duckdb sqlite
postgresql mariadb`, or `all`) it runs the write test on them first. A file that a user sent is put there as
`BACKEND-NUMBER.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from mailvet.doctor.write_test import WriteTest, place_of, read_result, write_test
from mailvet.settings import Settings
from mailvet.warehouse.dialects import DIALECTS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "write_tests"
PAGE = ROOT / "docs" / "warehouses.md"
BEGIN, END = "<!-- generated: write tests -->", "<!-- end: write tests -->"
SCHEMA = "mailvet_space"
ENGINES = ("duckdb", "sqlite", "postgresql", "mariadb")


@contextlib.contextmanager
def database(engine: str) -> Iterator[tuple[str, str]]:
    """SOURCE and SCHEMA of an empty database of this kind."""
    with tempfile.TemporaryDirectory() as folder:
        if engine == "duckdb":
            duckdb.connect(f"{folder}/test.duckdb").close()
            yield f"{folder}/test.duckdb", SCHEMA
        elif engine == "sqlite":
            sqlite3.connect(f"{folder}/test.db").close()
            yield f"sqlite:///{folder}/test.db", "main"
        elif engine == "postgresql":
            from tests.postgresql import running_server

            with running_server() as server:
                yield server.new_database("write_test"), SCHEMA
        else:
            from tests.mariadb import running_server as running_mariadb

            with running_mariadb() as mariadb:
                yield mariadb.new_database("write_test"), SCHEMA


def run(engine: str) -> WriteTest:
    """The write test on an engine of this machine; its file is kept."""
    with database(engine) as (source, schema), place_of(source, schema) as place:
        result = write_test(place, Settings.load(), on_outcome=lambda found, error: print(found.name, error or "ok"))
    RESULTS.mkdir(exist_ok=True)
    result.write(RESULTS / f"{engine}.json")
    return result


def results() -> dict[str, list[WriteTest]]:
    """Backend -> the results of write tests, ours and those that users sent."""
    found: dict[str, list[WriteTest]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = read_result(path)
        found.setdefault(result.backend, []).append(result)
    return found


def table(found: dict[str, list[WriteTest]]) -> str:
    """One row for each kind of database, with or without a result."""
    lines = [
        "| database | write tests | passed | server | mailvet | driver | 10,000 rows, three runs |",
        "|---|---:|---:|---|---|---|---|",
    ]
    for backend in ("duckdb", *DIALECTS, *sorted(found.keys() - {"duckdb", *DIALECTS})):
        tests = found.get(backend, [])
        if not tests:
            lines.append(f"| {backend} | 0 | | | | | |")
            continue
        newest = tests[-1]
        drivers = [f"{name} {version}" for name, version in newest.versions.items() if name not in _BESIDE]
        long = next((check for check in newest.checks if check.name == "ten_thousand"), None)
        seconds = f"{long.seconds:.0f} s" if long is not None and long.passed else "-"
        cells = [backend, len(tests), sum(test.passed for test in tests), newest.versions.get("server", "-")]
        cells += [newest.versions["mailvet"], ", ".join(drivers), seconds]
        lines.append(f"| {' | '.join(map(str, cells))} |")
        lines += [
            f"| | | | | | | `{check.name}` failed: {check.note.replace('|', '/')} |"
            for check in newest.checks
            if not check.passed
        ]
    return "\n".join(lines)


_BESIDE = ("mailvet", "python", "system", "server")


def page(text: str, found: dict[str, list[WriteTest]]) -> str:
    """The page with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}"


def main(words: Sequence[str] | None = None) -> None:
    """Run what is named, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", choices=[*ENGINES, "all", []], default=[])
    chosen = parser.parse_args(words).engines
    for engine in ENGINES if "all" in chosen else chosen:
        print(f"== {engine}")
        run(engine)
    PAGE.write_text(page(PAGE.read_text("utf-8"), results()), encoding="utf-8")


if __name__ == "__main__":
    main()

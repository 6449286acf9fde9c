"""The product on sets of versions of their time: `python -m tests.matrix [SET...]`.

`sets.toml` says what each set is: a date, a Python, and what it holds; `locks/SET.txt` has its versions, resolved as of
that date (`--lock` writes them anew). Each set is installed with the built wheel in an environment of its own, where
`smoke.py` runs. Rows that differ between sets fail. What passed is kept in docs/support.json and shown in
docs/support.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
RESULTS = ROOT / "docs" / "support.json"
UV = [sys.executable, "-m", "uv", "--quiet"]

SHOWN = (
    "apache-airflow",
    "apache-airflow-providers-common-sql",
    "apache-airflow-providers-common-compat",
    "dbt-core",
    "dbt-duckdb",
    "great-expectations",
    "pyspark",
    "polars",
    "pyarrow",
    "duckdb",
)
"""Distributions whose versions the table shows."""


@dataclass(frozen=True, slots=True)
class VersionSet:
    """One set: what to resolve, and what to try."""

    name: str
    python: str
    extras: tuple[str, ...]
    parts: tuple[str, ...]
    date: str = ""
    """Nothing newer than this is taken; empty: whatever the index has."""
    resolution: str = "highest"
    requirements: tuple[str, ...] = ()
    postgres: bool = False
    """The DAG works on PostgreSQL, where no provider for DuckDB existed."""

    @property
    def lock(self) -> Path:
        """Its versions."""
        return HERE / "locks" / f"{self.name}.txt"

    def versions(self) -> dict[str, str]:
        """Distribution -> version."""
        lines = (line.partition(";")[0].strip() for line in self.lock.read_text().splitlines())
        return dict(line.split("==") for line in lines if "==" in line)


def version_sets() -> dict[str, VersionSet]:
    """All sets by name, in the order of the file."""
    with (HERE / "sets.toml").open("rb") as file:
        tables = tomllib.load(file)
    found = {}
    for name, table in tables.items():
        fields: dict[str, Any] = {key: tuple(of) if isinstance(of, list) else of for key, of in table.items()}
        found[name] = VersionSet(name, **fields)
    return found


def run(*words: str | Path, **options: Any) -> None:
    """A program that has to succeed."""
    subprocess.run([str(word) for word in words], cwd=ROOT, check=True, **options)


def resolve(each: VersionSet) -> None:
    """Write the set's lock file."""
    words = ["pip", "compile", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    words += ["--python-version", each.python, "--resolution", each.resolution, "--upgrade"]
    words += ["--exclude-newer", each.date] if each.date else []
    words += [word for extra in each.extras for word in ("--extra", extra)]
    each.lock.parent.mkdir(exist_ok=True)
    run(*UV, *words, "--output-file", each.lock, "pyproject.toml", "-", input="\n".join(each.requirements), text=True)


def python_of(version: str) -> str:
    """An interpreter of this machine, as uv or pyenv knows it; empty when there is none."""
    for found in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        return str(found)
    done = subprocess.run([*UV, "python", "find", "--no-python-downloads", version], capture_output=True, text=True)
    return done.stdout.strip()


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        folder,
        stdout=subprocess.DEVNULL,
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def try_set(each: VersionSet, wheel: Path, folder: Path, postgres: str) -> dict[str, Any]:
    """Install the set and run its parts; versions, rows and seconds."""
    began = time.monotonic()
    interpreter = python_of(each.python)
    if not interpreter:
        return {"python": each.python, "not tried": f"there is no Python {each.python} on this machine"}
    environment = folder / "environment"
    run(*UV, "venv", "--python", interpreter, environment)
    python = environment / "bin" / "python"
    run(*UV, "pip", "install", "--python", python, "--requirements", each.lock)
    run(*UV, "pip", "install", "--python", python, "--no-deps", wheel)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAILVET_"))}
    if each.postgres:
        variables["MATRIX_POSTGRES"] = postgres
    work = folder / "work"
    work.mkdir()
    with (folder / "log").open("w") as log:
        words = [str(python), str(HERE / "smoke.py"), str(work), *each.parts]
        done = subprocess.run(words, cwd=work, env=variables, stdout=log, stderr=subprocess.STDOUT, timeout=900)
    if done.returncode:
        return {"python": each.python, "failed": (folder / "log").read_text()[-3000:]}
    versions = {name: version for name, version in each.versions().items() if name in SHOWN}
    rows = json.loads((work / "result.json").read_text())
    seconds = round(time.monotonic() - began)
    return {"python": each.python, "date": each.date, "versions": versions, "rows": rows, "seconds": seconds}


def differences(results: dict[str, dict[str, Any]]) -> list[str]:
    """Parts whose rows are not those of the first set that ran them."""
    first: dict[str, tuple[str, Any]] = {}
    told = []
    for name, result in results.items():
        for part, rows in result.get("rows", {}).items():
            other, expected = first.setdefault(part, (name, rows))
            if rows != expected:
                told.append(f"{part}: {name} has {rows}, {other} has {expected}")
    return told


def page(results: dict[str, dict[str, Any]]) -> str:
    """docs/support.md."""
    lines = [
        "# Versions that are tried",
        "",
        "`make matrix` installs the wheel with each of these sets in an environment of its own and runs the same work "
        "on the same contacts in the lab: a DuckDB table by the command line, the example DAG by `dag.test()`, "
        "`dbt build`, a checkpoint of Great Expectations, a Spark job. The rows that come out are the same everywhere. "
        "A set with a date holds what the package index had that day; its versions stand in `tests/matrix/locks`. "
        "Other versions within the declared bounds may well work, and were not tried.",
        "",
        "| set | Python | as of | what ran | main versions |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        versions = ", ".join(
            f"{key.replace('apache-airflow-providers-', '')} {value}" for key, value in result["versions"].items()
        )
        outcome = ", ".join(result["rows"])
        lines.append(f"| {name} | {result['python']} | {result.get('date', '')} | {outcome} | {versions} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Exit code 1 when a set failed or gave other rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="default: all")
    parser.add_argument("--lock", action="store_true", help="resolve the lock files anew and stop")
    given = parser.parse_args()
    every = version_sets()
    chosen = [every[name] for name in given.sets] or list(every.values())
    if given.lock:
        for each in chosen:
            resolve(each)
        return 0
    results: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailvet-matrix-")))
        wheel = built_wheel(base / "wheel")
        postgres = ""
        if any(each.postgres for each in chosen):
            from tests.postgresql import running_server

            postgres = stack.enter_context(running_server()).new_database("matrix")
        for each in chosen:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"mailvet-{each.name}-")))
            results[each.name] = result = try_set(each, wheel, folder, postgres)
            said = f" FAILED\n{result['failed']}" if "failed" in result else f": {json.dumps(result)}"
            print(each.name + said, flush=True)
    told = differences(results)
    print("\n".join(told))
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known |= {name: result for name, result in results.items() if "rows" in result}
    known = {name: known[name] for name in every if name in known}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    (ROOT / "docs" / "support.md").write_text(page(known))
    return 1 if told or any("failed" in result for result in results.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())

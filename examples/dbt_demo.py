"""`dbt build` over a contact table that mailvet has verified: `python examples/dbt_demo.py crm.duckdb`.

The project in examples/dbt_project joins the verdicts to the contacts, takes the audience from them, and tests both.
It runs on a copy, so the database it is given stays as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "dbt_macros"
DBT = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]


def build(database: Path, folder: Path) -> tuple[int, str]:
    """Run the project in a folder of its own on a copy of the database; dbt's exit code and words."""
    project = folder / "newsletter"
    shutil.copytree(HERE / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
    shutil.copy(database, project / "crm.duckdb")
    environment = {**os.environ, "MAILVET_DBT_PATH": str(PACKAGE), "CRM_DATABASE": str(project / "crm.duckdb")}
    words = ""
    # The package's lists are needed by mailvet.offline_checks only, which this project does not use.
    for command in (["deps"], ["build", "--exclude", "package:mailvet,resource_type:seed"]):
        done = subprocess.run(
            [*DBT, "--no-use-colors", *command, "--profiles-dir", "."],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        words += done.stdout + done.stderr
        if done.returncode:
            return done.returncode, words
    return 0, words


def told(words: str) -> list[str]:
    """The lines of dbt's output that say what came of each node."""
    lines = []
    for line in words.splitlines():
        text = line[10:] if line[2:3] == ":" else line
        if any(f" {word} " in text for word in ("OK", "PASS", "WARN", "FAIL", "ERROR")) or text.startswith("Done."):
            lines.append(text)
    return lines


def main(database: Path) -> int:
    """Build, show what came of it, and the audience in numbers."""
    import duckdb

    if not database.is_file():
        sys.exit(f"There is no database {database}. Make and verify one with: make demo")
    with tempfile.TemporaryDirectory(prefix="mailvet-dbt-") as name:
        print("$ dbt build", flush=True)
        code, words = build(database, Path(name))
        print("\n".join(told(words)) if code == 0 else words)
        if code == 0:
            with duckdb.connect(str(Path(name, "newsletter", "crm.duckdb")), read_only=True) as crm:
                query = (
                    "select (select count(*) from contacts_verified), count(*), avg(100 - mailvet_score) from audience"
                )
                contacts, audience, bounces = crm.execute(query).fetchall()[0]
            print(f"\n{audience:,} of {contacts:,} contacts are the audience; expected hard bounces {bounces:.1f} %.")
    return code


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "crm.duckdb")))

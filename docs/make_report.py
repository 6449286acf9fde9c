"""Write the outputs of report, doctor and explain into docs/: `python docs/make_report.py`.

The commands run against the lab. Chromium takes the picture of the report.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from make_examples import block, plain, run, running_lab

HERE = Path(__file__).resolve().parent
# Nothing but the page: no updates, no reports, no other network.
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
VERIFY = "mailvet verify crm.duckdb --table contacts --wait 10s --report report.html"


def picture(page: Path, target: Path) -> None:
    """The upper part of the page as a PNG."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [program, *CHROMIUM, f"--user-data-dir={profile}", f"--screenshot={target}", "--window-size=1160,1480",
             page.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def write(page: str, name: str, part: str) -> None:
    """Put a part between its markers."""
    path = HERE / page
    begin, end = f"<!-- output: {name} -->", f"<!-- end: {name} -->"
    first, rest = path.read_text(encoding="utf-8").split(begin, 1)
    path.write_text(f"{first}{begin}\n\n{part}\n\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def suspicious(database: Path) -> str:
    """An address whose score flags have lowered."""
    with duckdb.connect(str(database), read_only=True) as db:
        row = db.execute(
            "select email from mailvet_verdicts where contains(flags, 'series') and reason = 'accept_all' "
            "order by email limit 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def main() -> None:
    """Write the outputs and the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_lab(folder, "verdicts.duckdb"):
            with duckdb.connect(str(folder / "crm.duckdb")) as db:
                # A form that a program has filled in, at a domain that accepts anybody.
                domain = accepting(folder, db)
                db.execute(
                    "insert into contacts (email) select 'promo' || n || '@' || $1 from range(201, 260) numbers(n)",
                    [domain],
                )
            os.environ["PYTHONPATH"] = str(HERE.parent)
            screen = plain(run(VERIFY, folder))
            table = screen[screen.index("  first found by") :].split("\n\n")[0]
            write("report.md", "layers", block(f"$ {VERIFY}\n...\n{table}"))
            picture(folder / "report.html", HERE / "images" / "report.png")
            address = suspicious(folder / "crm.duckdb")
            command = f"mailvet explain {address} --source crm.duckdb"
            write("score.md", "explain", block(f"$ {command}\n{plain(run(command, folder))}"))
            said = plain(run("mailvet doctor", folder)).replace(str(folder), "~")
            write("doctor.md", "doctor", block(f"$ mailvet doctor\n{said}"))


def accepting(folder: Path, db: duckdb.DuckDBPyConnection) -> str:
    """A domain of the lab's contact table whose server accepts anybody."""
    domains = [
        row[0]
        for row in db.execute(
            "select lower(split_part(trim(email), '@', -1)) as domain from contacts where contains(email, '@') "
            "group by 1 having count(*) > 3 order by count(*) desc, 1 limit 200"
        ).fetchall()
    ]
    from mailvet.lab import default_world

    world = default_world(7)
    return next(name for name in domains if name in world.domains and world.domains[name].accepts_all)


if __name__ == "__main__":
    main()

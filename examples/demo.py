"""A messy contact table, verified over real DNS and SMTP against a mail world on this machine's loopback.

Run it with `make demo`. It writes to `demo/out/` and connects to no other machine.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

OUT = Path(__file__).resolve().parent.parent / "demo" / "out"
ROWS = 10_000
MAILVET = [sys.executable, "-m", "mailvet"]

console = Console()


def shown(path: Path) -> str:
    """A path as it reads from the project's folder."""
    return str(path.relative_to(OUT.parent.parent))


def mailvet(*arguments: str | Path) -> None:
    """Run the command as a user would, and show it."""
    words = [shown(word) if isinstance(word, Path) else f'"{word}"' if " " in word else word for word in arguments]
    console.print(f"\n[bold blue]$ mailvet {' '.join(words)}[/]", highlight=False)
    done = subprocess.run([*MAILVET, *map(str, arguments)], cwd=OUT.parent.parent, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def start_lab(config: Path, contacts: Path, counters: Path) -> subprocess.Popen[bytes]:
    """The mail world in a process of its own; returns when its servers answer."""
    lab = subprocess.Popen(
        [
            *MAILVET,
            "lab",
            "--config",
            str(config),
            "--contacts",
            str(contacts),
            "--rows",
            str(ROWS),
            "--counters",
            str(counters),
        ],
        stdout=subprocess.DEVNULL,
    )
    for _ in range(600):
        if config.exists():
            return lab
        if lab.poll() is not None:
            sys.exit("The lab could not be started.")
        time.sleep(0.1)
    lab.terminate()
    sys.exit("The lab did not start within a minute.")


def show(title: str, database: Path, query: str) -> None:
    """The result of a query as a table."""
    with duckdb.connect(str(database), read_only=True) as db:
        result = db.execute(query)
        table = Table(title=title, title_justify="left", box=None, header_style="dim", padding=(0, 2))
        for column in result.description or ():
            table.add_column(column[0], justify="right" if "%" in column[0] or column[0] == "rows" else "left")
        for row in result.fetchall():
            table.add_row(*("" if value is None else str(value) for value in row))
    console.print()
    console.print(table)


def main() -> None:
    """The demo."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    database, config, counters = OUT / "crm.duckdb", OUT / "mailvet.toml", OUT / "servers.json"
    console.print(f"[bold]A contact table of {ROWS:,} rows, and a mail world on loopback to verify it against.[/]")
    lab = start_lab(config, database, counters)
    try:
        show(
            "As it is:",
            database,
            "select id, email, language, source from contacts where id % 97 = 3 or email like '%@@%' "
            "order by id limit 8",
        )
        common = (database, "--table", "contacts", "--email-column", "email", "--config", config)
        mailvet("plan", *common)
        mailvet("verify", *common, "--wait", "10s")
        show(
            "The same rows, with their status columns:",
            database,
            "select id, email, mailvet_recommendation as recommendation, mailvet_reason as reason, "
            "mailvet_score as score, mailvet_suggestion as suggestion "
            "from contacts where id % 97 = 3 or email like '%@@%' "
            "order by id limit 8",
        )
        show(
            "Which sources bring bad addresses?",
            database,
            "select source, count(*) as rows, "
            "round(100.0 * avg((mailvet_recommendation = 'send')::int), 1) as \"% send\", "
            "round(100.0 * avg((mailvet_status = 'undeliverable')::int), 1) as \"% undeliverable\" "
            "from contacts group by 1 order by 4",
        )
        with duckdb.connect(str(database), read_only=True) as db:
            row = db.execute(
                "select email from contacts where mailvet_reason = 'mailbox_full' order by id limit 1"
            ).fetchone()
        if row:
            mailvet("explain", row[0], "--source", database)
        console.print("\nOnce more: what still holds is not asked again.")
        mailvet("plan", *common)
    finally:
        lab.send_signal(signal.SIGTERM)
        lab.wait(20)
    console.print(
        f"\nThe table is in [bold]{shown(database)}[/], what each mail server saw in [bold]{shown(counters)}[/].",
        highlight=False,
    )


if __name__ == "__main__":
    main()

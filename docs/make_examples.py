"""Run the commands of the README and write their output into it: `python docs/make_examples.py`.

The commands run against the lab. The output of the first one is also drawn as docs/images/verify.svg.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 100


def run(command: str, folder: Path) -> str:
    """What a command prints on a terminal, colours and all."""
    words = [sys.executable, "-m", *command.split()] if command.startswith("mailvet") else command.split()
    master, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    process = subprocess.Popen(words, cwd=folder, stdout=terminal, stderr=subprocess.DEVNULL, env=environment)
    os.close(terminal)
    printed = bytearray()
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
    if process.wait():
        sys.exit(f"{command} ended with {process.returncode}")
    return final_screen(printed.decode())


def final_screen(printed: str) -> str:
    """What stays on the screen once the live view is gone."""
    lines: list[str] = []
    row = 0
    for piece in re.split(r"(\x1b\[\d*A|\x1b\[2K|\r\n|\n|\r)", printed):
        if piece in ("\n", "\r\n"):
            row += 1
        elif match := re.fullmatch(r"\x1b\[(\d*)A", piece):
            row = max(0, row - int(match[1] or 1))
        elif piece == "\x1b[2K":
            if row < len(lines):
                lines[row] = ""
        elif piece != "\r":
            lines += [""] * (row + 1 - len(lines))
            lines[row] += re.sub(r"\x1b\[\?25[lh]", "", piece)
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def plain(screen: str) -> str:
    """Without colours."""
    return "\n".join(line.rstrip() for line in Text.from_ansi(screen).plain.splitlines())


def block(text: str) -> str:
    """As a block of code."""
    return f"```\n{text}\n```"


def after(database: Path) -> str:
    """A few rows of the table, one for each kind of trouble."""
    with duckdb.connect(str(database), read_only=True) as db:
        rows = db.execute(
            """
            select id, email, mailvet_recommendation, mailvet_reason, mailvet_score, mailvet_suggestion
            from contacts where mailvet_reason in ('mailbox_accepted', 'mailbox_not_found', 'syntax_invalid',
              'domain_not_found', 'accept_all', 'mailbox_full', 'disposable', 'greylisted', 'role_account',
              'sender_blocked', 'typo_domain')
              and length(trim(email)) between 8 and 40 and email !~ '[[:cntrl:]]'
            qualify row_number() over (partition by mailvet_reason order by mailvet_suggestion is null, id) = 1
            order by mailvet_score desc, id
            """
        ).fetchall()
    lines = ["| id | email | mailvet_recommendation | mailvet_reason | mailvet_score | mailvet_suggestion |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    lines += [f"| {' | '.join('' if v is None else str(v).replace('|', chr(92) + '|') for v in row)} |" for row in rows]
    return "\n".join(lines)


def ratios() -> str:
    """Three comparisons with others, from what `make bench` measured last."""
    results = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))["results"]
    groups = next(each for each in results["probing"]["latencies"] if each["pipelining"] and each["latency"])
    peers = {name: row["ratio"][0] for name, row in groups["rows"].items() if name != "mailvet"}
    best = min(peers, key=lambda name: peers[name])
    syntax, postgres = (
        results["syntax"]["times_email_validator"]["mailvet"][0],
        results["postgres"]["write_back_ratio"][0],
    )
    return "\n".join(
        (
            f"* syntax, with the reason: {syntax:.0f} times email-validator",
            f"* mailboxes, at 20 ms and five connections to a server: {peers[best]:.1f} times {best}, the next fastest",
            f"* write-back to PostgreSQL: {postgres:.1f} times SQLAlchemy's UPDATE by key",
        )
    )


def dbt(database: Path) -> str:
    """What dbt says about the verified table."""
    command = [sys.executable, str(ROOT / "examples" / "dbt_demo.py"), str(database)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": str(COLUMNS)}
    )
    return block(f"$ python examples/dbt_demo.py crm.duckdb\n{done.stdout.strip()}")


def campaign() -> str:
    """A few rows of the table that the example DAG verifies, before and after."""
    command = [sys.executable, str(ROOT / "examples" / "airflow_campaign.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": str(COLUMNS)}
    )
    before, rest = done.stdout.strip().split("\n\n", 1)
    after_it = rest.split("The same rows", 1)[1].split("\n\n", 1)[0]
    return block("\n".join(line.rstrip() for line in f"{before}\n\nThe same rows{after_it}".splitlines()))


@contextmanager
def running_lab(folder: Path, store: str) -> Iterator[None]:
    """The mail world, with its settings and a database of contacts in the folder; `store` is the file of verdicts."""
    lab = subprocess.Popen(
        [sys.executable, "-m", "mailvet", "lab", "--config", "mailvet.toml", "--contacts", "crm.duckdb"],
        cwd=folder, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not (folder / "mailvet.toml").exists():
            time.sleep(0.1)
        with (folder / "mailvet.toml").open("a") as config:
            config.write(f'\n[store]\npath = "{store}"\n')
        yield
    finally:
        lab.send_signal(signal.SIGTERM)
        lab.wait(20)


def main() -> None:
    """Write the README's outputs and picture."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_lab(folder, str(folder / "verdicts.duckdb")):
            with duckdb.connect(str(folder / "crm.duckdb")) as db:
                db.execute(f"copy (select id, email, country from contacts limit 1000) to '{folder / 'contacts.csv'}'")
            command = "mailvet verify crm.duckdb --table contacts --wait 10s"
            screen = run(command, folder)
            picture = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
            picture.print(Text.from_ansi(f"\x1b[1m$ {command}\x1b[0m\n{screen}"))
            picture.save_svg(str(ROOT / "docs" / "images" / "verify.svg"), title="mailvet")
            parts = {"table": block(f"$ {command}\n{plain(screen)}"), "after": after(folder / "crm.duckdb")}
            parts["dbt"] = dbt(folder / "crm.duckdb")
            command = "mailvet verify contacts.csv --output verified.csv --config mailvet.toml"
            first = plain(run(command, folder))
            head = subprocess.run(
                ["head", "-4", "verified.csv"], cwd=folder, capture_output=True, text=True, check=True
            )
            first = first.split("\n\n", 1)[0]
            parts["file"] = block(f"$ {command}\n{first}\n...\n\n$ head -4 verified.csv\n{head.stdout.rstrip()}")
    parts |= {"campaign": campaign(), "ratios": ratios()}
    for name, part in parts.items():
        begin, end = f"<!-- output: {name} -->", f"<!-- end: {name} -->"
        first, rest = text.split(begin, 1)
        text = f"{first}{begin}\n\n{part}\n\n{end}{rest.split(end, 1)[1]}"
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Texts of strangers are shown, in a terminal, a log or a spreadsheet, and do nothing there."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import mailvet
from mailvet.cli.commands import app
from mailvet.cli.log_lines import PrintableFormatter
from mailvet.cli.show_verdict import explain
from mailvet.data import lists
from mailvet.privacy import FORMULA_START, escape_formula, is_formula, printable
from mailvet.verdict import Verdict
from tests.attacks.counting import Tried
from tests.warehouse.answers import answers, plan_of
from tests.warehouse.places import Place

_TRICKS = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "a\nb",
    "a\rb",
    "\x9b31m",
    "\x00",
    "\u2028",
    "\ud800",
)
_FORMULAS = [f"{sign}cmd|' /C calc'!A0" for sign in FORMULA_START]


@pytest.mark.parametrize("trick", _TRICKS)
def test_no_trick_reaches_a_terminal_or_a_log(trick: str, tried: Tried) -> None:
    tried("control characters and marks of direction shown", 2)
    shown = printable(f"before {trick} after")
    assert all(letter.isprintable() for letter in shown)
    assert shown.startswith("before \\") or shown != f"before {trick} after"
    record = logging.LogRecord("mailvet", logging.INFO, __file__, 1, "verified %s", (f"x{trick}y",), None)
    assert PrintableFormatter("%(message)s").format(record) == printable(f"verified x{trick}y")


def test_what_people_write_is_shown_as_it_is() -> None:
    for text in ("ann@a.test", "Ünïcode 名前 имя", "emoji \N{GRINNING FACE}", "עברית", "a b\tc".replace("\t", " ")):
        assert printable(text) == text


def test_a_reply_and_an_address_are_explained_without_their_control_characters() -> None:
    row = answers({"ann@a.test": "mailbox_accepted"}).to_pylist()[0]
    row |= {"email": "ann\x1b[2J@a.test", "smtp_reply": "250 \x1b]0;owned\x07 \u202eok", "smtp_code": 250}
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=False).print(explain(Verdict.from_row(row)))
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "\\x1b[2J" in out.getvalue()


def test_the_name_of_a_file_does_nothing_in_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[2Jb\nc\u202e.csv"
    Path(name).write_text("email\nann@a.test\n")
    Path("mailvet.toml").write_text('depth = "offline"\n[store]\npath = "s.duckdb"\n')
    done = CliRunner().invoke(app, ["verify", name, "--output", "out.csv"])
    assert done.exit_code == 0
    assert "\x1b[2J" not in done.output
    assert "\u202e" not in done.output
    assert "\\x1b[2Jb\\x0ac" in done.output


@pytest.mark.parametrize("text", _FORMULAS)
def test_signs_of_formulas_are_known_also_in_full_width(text: str) -> None:
    assert is_formula(text)
    assert escape_formula(text) == f"'{text}"
    assert not is_formula(escape_formula(text))


def test_no_text_of_a_server_is_a_formula_in_a_result(place: Place, tmp_path: Path, tried: Tried) -> None:
    tried("formulas in results", len(_FORMULAS))
    place.contacts(*(f"n{number}@a.test" for number in range(len(_FORMULAS))))
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    for number, text in enumerate(_FORMULAS):
        warehouse.save(answers({f"n{number}@a.test": "mailbox_accepted"}, smtp_reply=text, suggestion=f"{text}@a.test"))
    output = tmp_path / "out.csv"
    warehouse.export(output, ("smtp_reply", "suggestion"))
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(_FORMULAS)
    for row in rows:
        assert row["mailvet_smtp_reply"].startswith("'")
        assert not is_formula(row["mailvet_suggestion"])
    warehouse.write_back(("suggestion",))
    assert place.sql("select count(*) from contacts where mailvet_suggestion is not null")[0][0] == 0


def test_no_suggestion_is_a_formula_or_a_known_typo(tried: Tried) -> None:
    tried("suggestions that are formulas or known typos", len(lists.typo_domains()))
    typos = set(lists.typo_domains()) - set(lists.not_typos())
    cells = [f"ann@{typo}" for typo in sorted(typos)] + [f"<ann@{typo}>" for typo in sorted(typos)[::7]]
    cells += [f"{sign}ann@gmial.com" for sign in FORMULA_START]
    for cell, verdict in zip(cells, mailvet.verify_many(cells, depth="offline").to_pylist(), strict=True):
        if (meant := verdict["suggestion"]) is not None:
            assert not is_formula(meant), cell
            assert meant.rpartition("@")[2] not in typos, cell

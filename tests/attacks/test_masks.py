"""No local part of a cell is in an error, a log line, a report, an XCom, lineage or a page."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

import mailvet
from mailvet.errors import MailvetError
from mailvet.privacy import database_message, mask_address, mask_text
from mailvet.reports.html import gather, render
from mailvet.runs.run import run
from mailvet.warehouse.opening import open_table
from tests.attacks.cells import made_up_cells

Tried = Callable[[str, int], None]


def leaks(shown: str, locals_: list[str]) -> list[str]:
    """The local parts that stand in a text. All begin with `zq` and a number, so that one search finds the likely."""
    seen = set(re.findall(r"zq\d+", shown))
    marked = {re.match(r"\"?(zq\d+)", local)[1]: local for local in locals_}  # type: ignore[index]
    return [marked[mark] for mark in seen if mark in marked and marked[mark].strip('"') in shown]


def test_no_mask_leaves_a_local_part(tried: Tried) -> None:
    cells = made_up_cells(10_000)
    tried("cells masked in errors, logs and pages", 3 * len(cells))
    for cell, local in cells:
        for shown in (
            mask_address(cell),
            mask_text(f"no such row: {cell}"),
            database_message(f"Error: bad '{cell}' in x"),
        ):
            assert local not in shown, (cell, shown)


def test_no_database_error_quotes_a_cell(tried: Tried) -> None:
    cells = made_up_cells(500, seed=3)
    tried("cells quoted by database errors", len(cells))
    for cell, local in cells:
        with duckdb.connect() as db, pytest.raises(duckdb.Error) as caught:
            db.execute("select cast($1 as integer)", [cell])
        assert local not in database_message(str(caught.value)), str(caught.value)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_whole_run_shows_no_local_part(
    count: int, tmp_path: Path, tried: Tried, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    cells = made_up_cells(count, seed=count)
    tried("cells in a run: log, summary, record of the run, report, lineage", len(cells))
    locals_ = [local for _, local in cells]
    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create table contacts (email varchar)")
        db.executemany("insert into contacts values ($1)", [(cell,) for cell, _ in cells])
    caplog.set_level(logging.DEBUG)
    settings = mailvet.Settings.load(depth="offline", store={"store_addresses": False})
    warehouse = open_table(path, "contacts", None)
    try:
        result = run(warehouse, settings)
        page = render(gather(warehouse, settings))
    finally:
        warehouse.close()
    with duckdb.connect(str(path), read_only=True) as db:
        stored = json.dumps(
            db.execute("from mailvet_verdicts").fetchall() + db.execute("from mailvet_runs").fetchall(),
            default=str,
            ensure_ascii=False,
        )
    printed = "".join(capfd.readouterr())
    shown = {"log": caplog.text, "result": repr(result), "page": page, "stored": stored, "printed": printed}
    assert {where: leaks(text, locals_) for where, text in shown.items()} == {key: [] for key in shown}
    assert len(page) > 1000


def error_of(settings: dict[str, Any]) -> str:
    """What is said of settings that cannot be used; nothing where they can."""
    try:
        mailvet.verify("ann@acme.test", depth="offline", settings=mailvet.Settings.load(**settings))
    except MailvetError as error:
        return f"{error} {error!r}"
    return ""


def test_errors_about_a_cell_show_no_local_part(tried: Tried) -> None:
    cells = made_up_cells(300, seed=5)
    tried("cells named by hand in wrong settings and lists", 2 * len(cells))
    for cell, local in cells:
        for settings in ({"smtp": {"mail_from": cell}}, {"lists": {"allow": [f"{cell} {cell}"]}}):
            told = error_of(settings)
            assert local not in told, told

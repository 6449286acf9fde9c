"""docs/privacy.md tells of every table and column that the code writes, and of what it reads besides."""

from __future__ import annotations

import re
from pathlib import Path

from mailvet.probing.slots import default_folder
from mailvet.verdict import verdict_schema
from mailvet.warehouse.events import EVENTS_SCHEMA, IMPORT_COLUMNS
from mailvet.warehouse.own_tables import LEASE_COLUMNS, OUTPUT_COLUMNS, RUN_COLUMNS, SHARD_COLUMNS
from mailvet.warehouse.sends import SEND_COLUMNS
from mailvet.warehouse.servers import SERVER_SCHEMA
from mailvet.warehouse.tables import OWN_TABLES

PAGE = (Path(__file__).parents[2] / "docs/privacy.md").read_text("utf-8")
PACKAGE = Path(__file__).parents[2] / "mailvet"
MADE_BY_OTHERS = {"mailvet_samples"}
"""Tables that `forget` looks through where they are, and that mailvet does not make yet."""


def columns_told_of(table: str) -> list[str]:
    section = PAGE.split(f"### `{table}`", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_table_has_its_section() -> None:
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == set(OWN_TABLES) - MADE_BY_OTHERS


def test_every_column_is_told_of_in_the_order_of_the_code() -> None:
    assert columns_told_of("mailvet_verdicts") == verdict_schema().names
    assert columns_told_of("mailvet_runs") == list(RUN_COLUMNS)
    assert columns_told_of("mailvet_servers") == SERVER_SCHEMA.names
    assert columns_told_of("mailvet_events") == EVENTS_SCHEMA.names
    assert columns_told_of("mailvet_imports") == list(IMPORT_COLUMNS)
    assert columns_told_of("mailvet_sends") == list(SEND_COLUMNS)


def test_smaller_tables_have_the_columns_that_are_made() -> None:
    assert columns_told_of("mailvet_outputs") == list(OUTPUT_COLUMNS)
    assert columns_told_of("mailvet_leases") == list(LEASE_COLUMNS)
    assert columns_told_of("mailvet_shards") == list(SHARD_COLUMNS)


def test_the_folders_of_the_user_are_told_of() -> None:
    assert default_folder().name == "connections"
    for name in ("`mailvet-UID`", "`mailvet/connections`", "`mailvet/lists`", "`mailvet.duckdb`", "`.mailvet-*`"):
        assert name in PAGE


def test_every_setting_that_the_page_names_exists() -> None:
    from mailvet.settings import Settings

    for section, name in re.findall(r"`(store|smtp|privacy|pacing|output)\.(\w+)`", PAGE):
        assert name in Settings.model_fields[section].annotation.model_fields  # type: ignore[union-attr]

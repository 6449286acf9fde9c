"""Any name of a table or column works, and none is anything but a name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailvet.errors import SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.identifiers import TableName, parse_table, quoted
from mailvet.warehouse.store import HasDetails
from tests.attacks.counting import Tried
from tests.attacks.names import odd_names
from tests.warehouse.answers import NOW, answers
from tests.warehouse.places import Place
from tests.warehouse.test_contract import planned

_CODE = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("contacts", ("contacts",)),
        ("crm.contacts", ("crm", "contacts")),
        ("db.crm.contacts", ("db", "crm", "contacts")),
        ('"a.b"', ("a.b",)),
        ('crm."a ""b"" . c"', ("crm", 'a "b" . c')),
        ("`a.b`.c", ("a.b", "c")),
        ("[a.b].[c]", ("a.b", "c")),
        ("Audience", ("Audience",)),
        ("a b", ("a b",)),
        ("x; drop table y", ("x; drop table y",)),
    ],
)
def test_a_name_is_read_in_parts_and_written_so_that_it_is_read_again(text: str, parts: tuple[str, ...]) -> None:
    found = parse_table(text)
    assert found.parts == parts
    assert parse_table(str(found)) == found


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a.b.c.d", '"a', '"a"b', "[a", "a\0b", '""'])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse_table(text)


def test_every_name_comes_back_from_its_quoted_form(tried: Tried) -> None:
    tried("odd names quoted and read back", len(odd_names()))
    for name in odd_names():
        assert parse_table(quoted(name)) == TableName(name)


def test_lists_are_written_to_tables_of_honest_names(place: Place, tried: Tried) -> None:
    tried("odd names of lists", 7)
    place.contacts("ann@a.test")
    warehouse = place.opened()
    planned(warehouse)
    warehouse.open_for_writing()
    warehouse.save(answers({"ann@a.test": "mailbox_accepted"}))
    attack = "x; drop table contacts; --"
    for name in ("Audience", "a b", "select", 'with"quote', "it's", "semi;colon", attack):
        warehouse.export_tables({"send": str(TableName(name))}, ("status", "reason"))
        with pytest.raises(SourceError, match="already exists"):
            warehouse.export_tables({"send": str(TableName(name))}, ("status", "reason"))
        warehouse.export_tables({"send": str(TableName(name))}, ("status", "reason"), replace=True)
    assert place.sql("select count(*) from contacts")[0][0] == 1
    assert {"audience", "a b", "select", 'with"quote', "it's", "semi;colon", attack} <= place.tables()


def test_lists_are_written_to_the_schema_that_is_named(postgres: Place) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql("create schema marketing")
    warehouse = postgres.opened()
    planned(warehouse)
    warehouse.open_for_writing()
    warehouse.save(answers({"ann@a.test": "mailbox_accepted"}))
    for _ in range(2):
        warehouse.export_tables({"send": "marketing.audience"}, ("status", "reason"), replace=True)
    assert postgres.sql("select count(*) from marketing.audience")[0][0] == 1


def test_lists_replace_neither_the_source_nor_our_tables_nor_one_another(place: Place, tried: Tried) -> None:
    tried("lists over a table that is not theirs", 7)
    place.contacts("ann@a.test")
    place.sql("create table theirs (email varchar(100))")
    warehouse = place.opened()
    planned(warehouse)
    warehouse.open_for_writing()
    for names in (
        {"send": "contacts"},
        {"send": "CONTACTS"},
        {"send": "mailvet_verdicts"},
        {"send": "theirs"},
        {"send": "one", "reverify": "One"},
    ):
        with pytest.raises(SourceError):
            warehouse.export_tables(names, ("status", "reason"), replace=True)
    for name in ("contacts", "mailvet_runs"):
        with pytest.raises(SourceError):
            warehouse.export_tables({"send": name}, ("status",), replace=True, overwrite=True)
    warehouse.export_tables({"send": "theirs"}, ("status",), overwrite=True)
    assert place.sql("select count(*) from contacts")[0][0] == 1


def test_a_table_and_columns_of_any_name_are_verified(place: Place, tmp_path: Path, tried: Tried) -> None:
    """Four tables share 200 names of columns; each name is that of a table as well."""
    tried("odd names of tables and columns", len(odd_names()))
    # PostgreSQL's system columns, and what MariaDB cannot write in a name, are taken by no table there.
    taken = {"postgresql": {"ctid", "oid", "tableoid"}, "mariadb": {"\N{GRINNING FACE}"}}.get(place.name, set())
    names = [name for name in odd_names() if name not in taken]
    size = len(names) // 4
    for number in range(4):
        columns = names[number * size : (number + 1) * size]
        table = names[(number * 37 + 5) % len(names)]
        _verify(place, tmp_path, table, columns)


def _verify(place: Place, tmp_path: Path, table: str, columns: list[str]) -> None:
    marks = {"mariadb": ("`", "`")}.get(place.name, ('"', '"'))
    named = [quoted(name, marks) for name in columns]
    place.sql(f"create table {quoted(table, marks)} ({', '.join(f'{name} varchar(20)' for name in named)})")
    place.sql(
        f"insert into {quoted(table, marks)} values ({', '.join('?' * len(columns))})", [["ann@a.test"] * len(columns)]
    )
    warehouse = place.opened(str(TableName(table)), columns[0], where=f"{named[-1]} is not null")
    assert planned(warehouse).addresses == 1, table
    warehouse.check_write_back(STATUS_COLUMNS)
    warehouse.open_for_writing()
    warehouse.save(answers({"ann@a.test": "mailbox_accepted"}))
    assert warehouse.write_back(STATUS_COLUMNS) == 1, table
    assert warehouse.summary().verified == 1
    assert isinstance(warehouse, HasDetails)
    warehouse.details(NOW, by=columns[1])
    output = tmp_path / "out.csv"
    assert warehouse.export(output, STATUS_COLUMNS) == [output]
    place.close_warehouses()


def test_no_statement_quotes_a_name_by_itself() -> None:
    """Names become quoted in one place only, so an f-string has no quotation mark right before or behind a value."""
    by_hand = re.compile(r"""(f'[^'\n]*[ .]"\{|f"[^"\n]*[ .]\\"\{|f"[^"\n]*[ .]`\{|f'[^'\n]*[ .]`\{|['"]""['"]\))""")
    found = [
        f"{path.relative_to(_CODE)}:{number}"
        for folder in (
            "mailvet/warehouse",
            "mailvet/dbt",
            "mailvet/runs",
            "airflow_provider_mailvet",
            "ge_expectations",
        )
        for path in sorted((_CODE / folder).rglob("*.py"))
        if path.name not in ("identifiers.py", "repair.py")  # the latter quotes cells of CSV
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if by_hand.search(line) and "collate" not in line
    ]
    assert found == []

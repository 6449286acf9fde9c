"""A condition of a user's is one expression, on every engine, and reads what lies in the database alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mailvet.errors import SourceError
from mailvet.settings import Settings
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.conditions import parse_with_sqlglot
from mailvet.warehouse.opening import open_table
from tests.attacks.conditions import CLAUSES, FILES, HONEST, SMUGGLED
from tests.attacks.counting import Tried
from tests.warehouse.places import Place
from tests.warehouse.test_contract import planned


@pytest.fixture
def baited(place: Place) -> Place:
    """A table of contacts beside one that an attack drops."""
    place.contacts("ann@a.test", "bob@b.test")
    place.sql("create table bait (email varchar(300))")
    place.sql("insert into bait values (?)", [("kept@a.test",)])
    return place


def test_no_condition_is_more_than_one_expression(baited: Place, tried: Tried) -> None:
    tried("conditions that are more than one expression", len(CLAUSES))
    for where in CLAUSES:
        with pytest.raises(SourceError):
            baited.opened(where=where)
        baited.close_warehouses()
    assert baited.sql("select count(*) from bait")[0][0] == 1


def test_no_quotation_mark_lets_a_second_statement_pass(baited: Place, tried: Tried) -> None:
    tried("conditions that smuggle a statement through quotation marks", len(SMUGGLED))
    for where in SMUGGLED:
        with contextlib.suppress(SourceError):
            planned(baited.opened(where=where))
        baited.close_warehouses()
    assert baited.sql("select count(*) from bait")[0][0] == 1


def test_an_honest_condition_still_works(baited: Place) -> None:
    for where in HONEST:
        baited.opened(where=where, updatable=False)
        baited.close_warehouses()


@pytest.mark.parametrize("dialect", ["mssql", "snowflake", "bigquery", "redshift", "databricks", "trino"])
def test_an_engine_that_cannot_only_parse_is_spoken_for_by_its_grammar(dialect: str, tried: Tried) -> None:
    tried("conditions refused by the grammar of an engine", len(CLAUSES) + len(SMUGGLED))
    for where in (*CLAUSES, *SMUGGLED):
        with pytest.raises(SourceError):
            parse_with_sqlglot(where, "contacts", dialect)
    # What stands in a comment is read in several ways, and BigQuery does not double quotation marks.
    apart = ("/*", "''") if dialect == "bigquery" else ("/*",)
    for where in (where for where in HONEST if not any(mark in where for mark in apart)):
        parse_with_sqlglot(where, "contacts", dialect)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no condition has any business with."""
    path = tmp_path / "elsewhere" / "secret.csv"
    path.parent.mkdir()
    path.write_text("secret\nhidden\n")
    return path


@pytest.mark.parametrize("where", FILES)
def test_a_condition_on_duckdb_reads_no_file(secret: Path, tmp_path: Path, where: str, tried: Tried) -> None:
    tried("conditions that read a file", 5)
    condition = where.format(file=secret, folder=secret.parent)
    crm, contacts = tmp_path / "crm.duckdb", tmp_path / "contacts.csv"
    with duckdb.connect(str(crm)) as db:
        db.execute("create table contacts as select 'ann@a.test' as email")
    contacts.write_text("email\nann@a.test\n")
    for writable in (False, True):
        with pytest.raises(SourceError):
            open_table(crm, "contacts", where=condition, writable=writable, updatable=writable)
        with pytest.raises(SourceError):
            DuckDBWarehouse.of_file(
                contacts, None, tmp_path / "store" / "verdicts.duckdb", where=condition, writable=writable
            )
    with duckdb.connect(str(crm)) as borrowed, pytest.raises(SourceError):
        open_table(borrowed, "contacts", where=condition)


def test_a_condition_reads_no_variable_of_the_program(tmp_path: Path) -> None:
    hidden = pa.table({"email": ["x"]})
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as db:
        db.execute("create table contacts as select 'ann@a.test' as email")
        with pytest.raises(SourceError, match="hidden"):
            open_table(db, "contacts", where="exists (select 1 from hidden)")
    with pytest.raises(SourceError, match="hidden"):
        open_table(tmp_path / "crm.duckdb", "contacts", where="exists (select 1 from hidden)")
    assert hidden.num_rows == 1


def test_a_narrowed_result_is_written_though_other_files_are_out_of_reach(tmp_path: Path) -> None:
    from mailvet.runs.run import run
    from mailvet.runs.sources import open_source

    contacts = tmp_path / "contacts.csv"
    contacts.write_text("email,country\nann@a.test,DE\nbob@b.test,FR\n")
    settings = Settings(depth="offline", store={"path": tmp_path / "store.duckdb"})
    warehouse = open_source(str(contacts), settings, where="country = 'DE'")
    try:
        result = run(warehouse, settings, write_back=False, output=tmp_path / "out.csv", split_by="status")
    finally:
        warehouse.close()
    written = "".join(path.read_text() for path in result.outputs)
    assert "ann@a.test" in written
    assert "bob@b.test" not in written
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".mailvet-")]


def test_a_condition_can_change_nothing_while_it_is_tried(postgres: Place, tried: Tried) -> None:
    tried("conditions that write while they are read", 2)
    postgres.contacts("ann@a.test", None, "bob@b.test")
    postgres.sql("create table changed (n integer)")
    postgres.sql(
        "create function purge(text) returns boolean language plpgsql as "
        "$$ begin insert into changed values (1); return true; end $$"
    )
    with pytest.raises(SourceError, match="read-only"):
        postgres.opened(where="purge(email)")
    late = postgres.opened(where="id > 1 and (email is null or purge(email))", updatable=False)
    with pytest.raises(SourceError, match="read-only"):
        planned(late)
    assert postgres.sql("select count(*) from changed")[0][0] == 0


def test_what_does_not_parse_is_told_in_the_words_of_the_engine_without_addresses(tmp_path: Path) -> None:
    crm = tmp_path / "crm.duckdb"
    with duckdb.connect(str(crm)) as db:
        db.execute("create table contacts as select 'ann@a.test' as email")
    with pytest.raises(SourceError, match="The condition where does not work on contacts: Parser Error") as refused:
        open_table(crm, "contacts", where="email = = 'ann@a.test'")
    assert "ann@a.test" not in str(refused.value)

"""Databases where verdicts cannot be put beside the table: expectations read what mailvet has stored there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import sqlglot

import ge_expectations as mx
from ge_expectations import relation
from mailvet.errors import SourceError
from mailvet.verdict import email_key
from mailvet.warehouse.dialects import DIALECTS
from mailvet.warehouse.opening import open_table
from tests.mariadb import MariaDBServer
from tests.warehouse.answers import answers

CELLS = ("ann@acme.test", "bob@acme.test", "Ann@acme.test", "gone@acme.test", None, "ann@acme.test", " ")


@pytest.fixture(scope="module")
def url(mariadb_server: MariaDBServer) -> str:
    """A MariaDB database with contacts and their verdicts."""
    made = mariadb_server.new_database("gx_stored")
    with mariadb_server.connect("gx_stored") as db, db.cursor() as cursor:
        cursor.execute("create table contacts (id integer, email varchar(99))")
        cursor.executemany("insert into contacts values (%s, %s)", list(enumerate(CELLS, 1)))
    warehouse = open_table(made, "contacts")
    warehouse.open_for_writing()
    sent = dict.fromkeys(("ann@acme.test", "bob@acme.test", "Ann@acme.test"), "mailbox_accepted")
    warehouse.save(answers(sent, score=98))
    warehouse.save(answers({"gone@acme.test": "mailbox_not_found"}, score=1))
    warehouse.close()
    return made.replace("mariadb://", "mysql+pymysql://")


def validated(context: Any, url: str, expectation: Any) -> Any:
    source = context.data_sources.add_or_update_sql("stored", connection_string=url)
    asset = source.add_table_asset("contacts", table_name="contacts")
    return asset.add_batch_definition_whole_table("all").get_batch().validate(expectation)


def test_rows_are_held_against_the_verdicts_stored_there(context: Any, url: str) -> None:
    expectation = mx.ExpectColumnValuesToBeDeliverableEmail(column="email", verify="never")
    result = validated(context, url, expectation)
    assert not result.success
    assert (result.result["element_count"], result.result["unexpected_count"]) == (7, 1)


def test_the_bounce_rate_is_that_of_the_verdicts_stored_there(context: Any, url: str) -> None:
    strict = mx.ExpectColumnBounceRateToBeBelow(column="email", verify="never", max_rate=0.1)
    loose = mx.ExpectColumnBounceRateToBeBelow(column="email", verify="never", max_rate=0.3)
    assert not validated(context, url, strict).success
    result = validated(context, url, loose)
    assert result.success, result
    assert result.result["observed_value"] == pytest.approx((4 * 0.02 + 0.99) / 5)


def test_verifying_now_is_refused_where_verdicts_cannot_be_put_beside_the_table(context: Any, url: str) -> None:
    result = validated(context, url, mx.ExpectColumnValuesToBeDeliverableEmail(column="email", verify="missing"))
    assert not result.success
    assert 'Set verify="never"' in str(result.exception_info)


def test_a_key_in_sql_is_the_key_of_python(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        key = relation.email_key_sql("mysql", sa.column("email"))
        query = (
            sa.select(sa.column("email"), key).select_from(sa.table("contacts")).where(sa.column("email").is_not(None))
        )
        assert dict(map(tuple, connection.execute(query))) == {cell: email_key(cell) for cell in CELLS if cell}


@pytest.mark.parametrize("dialect", ["mysql", "mariadb", "mssql"])
def test_a_key_is_written_in_the_words_of_the_dialect(dialect: str) -> None:
    parser = {"mssql": "tsql", "mariadb": "mysql"}.get(dialect, dialect)
    text = str(relation.email_key_sql(dialect, sa.column("E-Mail")))
    assert dialect in DIALECTS
    assert "E-Mail" in text
    assert isinstance(sqlglot.parse_one(f"select {text} from contacts", dialect=parser), sqlglot.exp.Select)


def test_a_database_that_mailvet_does_not_know_is_refused() -> None:
    with pytest.raises(SourceError, match="in oracle"):
        relation.email_key_sql("oracle", sa.column("email"))

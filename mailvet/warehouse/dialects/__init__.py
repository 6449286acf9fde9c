"""How each database says the same thing: types, quoting, keys, temporary tables, upserts and updates.

Everything else a warehouse asks is SQL that all of them read alike, and stands once in `mailvet.warehouse.backends.sql`
and beside it. A dialect whose statements no server has run yet is called experimental.
"""

from __future__ import annotations

from datetime import datetime

from mailvet.errors import SettingsError
from mailvet.warehouse.dialects.base import Dialect, literal
from mailvet.warehouse.dialects.duckdb import DuckDB
from mailvet.warehouse.dialects.experimental_bigquery import ExperimentalBigQuery
from mailvet.warehouse.dialects.experimental_databricks import ExperimentalDatabricks
from mailvet.warehouse.dialects.experimental_redshift import ExperimentalRedshift
from mailvet.warehouse.dialects.experimental_sql_server import ExperimentalSQLServer
from mailvet.warehouse.dialects.experimental_trino import ExperimentalTrino
from mailvet.warehouse.dialects.mysql import MariaDB, MySQL
from mailvet.warehouse.dialects.postgres import Postgres
from mailvet.warehouse.dialects.snowflake import Snowflake
from mailvet.warehouse.dialects.spark import SparkSQL
from mailvet.warehouse.dialects.sqlite import SQLite

__all__ = [
    "DIALECTS",
    "Dialect",
    "DuckDB",
    "MariaDB",
    "MySQL",
    "Postgres",
    "SQLite",
    "Snowflake",
    "SparkSQL",
    "dialect_of",
    "key_sql",
    "literal",
    "missing_sql",
    "moment_sql",
]

DIALECTS: dict[str, type[Dialect]] = {
    "postgresql": Postgres,
    "sqlite": SQLite,
    "mysql": MySQL,
    "mariadb": MariaDB,
    "mssql": ExperimentalSQLServer,
    "snowflake": Snowflake,
    "redshift": ExperimentalRedshift,
    "bigquery": ExperimentalBigQuery,
    "databricks": ExperimentalDatabricks,
    "trino": ExperimentalTrino,
}
"""By the name that SQLAlchemy gives a dialect."""


def dialect_of(name: str) -> Dialect:
    """The dialect of this name (SQLAlchemy's).

    Raises:
        SettingsError: there is none.
    """
    try:
        return DIALECTS[name]()
    except KeyError:
        raise SettingsError(
            f"Databases of the kind {name} are not supported; these are: duckdb, {', '.join(DIALECTS)}. Copy the table "
            "to a file (CSV, Parquet) and verify that."
        ) from None


def key_sql(value: str, dialect: str) -> str:
    """`mailvet.email_key` of a text column in SQL.

    Args:
        value: a SQL expression of a text.
        dialect: SQLAlchemy's name of it.

    Raises:
        SettingsError: there is no such dialect.
    """
    say = dialect_of(dialect)
    return say.key(say.text(value))


def moment_sql(at: datetime, dialect: str) -> str:
    """A point in time (aware, UTC) in SQL, to be compared with the times of mailvet's own tables.

    Raises:
        SettingsError: there is no such dialect.
    """
    return dialect_of(dialect).moment(at)


def missing_sql(value: str, dialect: str | Dialect) -> str:
    """The condition that a text is missing (`mailvet.syntax.missing.is_missing`): true or false, never null.

    Args:
        value: a SQL expression of a text.
        dialect: itself, or its name: SQLAlchemy's, `duckdb` or `spark`.

    Raises:
        SettingsError: there is no such dialect.
    """
    if isinstance(dialect, str):
        dialect = {"duckdb": DuckDB, "spark": SparkSQL}.get(dialect, lambda: dialect_of(str(dialect)))()
    return dialect.missing(value)

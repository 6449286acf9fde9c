"""Which errors of which driver come again, and which may pass."""

from __future__ import annotations

from typing import Any

import duckdb
import psycopg
import psycopg2
import pymysql
import pytest
import sqlalchemy as sa
from psycopg import errors

from mailvet.errors import LockedError, SourceError, UnavailableError
from mailvet.warehouse.driver_errors import is_credential_error, is_permanent, source_error


def absent(module: str, name: str, base: str = "DatabaseError", **fields: Any) -> type[Exception]:
    """The class of a driver that is not installed, as the driver declares it."""
    parent = type(base, (Exception,), {"__module__": module})
    return type(name, (parent,), {"__module__": module, **fields})


PSYCOPG = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  '
REFUSED = [
    errors.InvalidPassword("password authentication failed"),
    errors.InvalidAuthorizationSpecification("no such role"),
    psycopg.OperationalError(PSYCOPG + 'password authentication failed for user "ann"'),
    psycopg.OperationalError(PSYCOPG + 'no pg_hba.conf entry for host "127.0.0.1", user "ann"'),
    psycopg2.OperationalError('connection to server failed: FATAL:  role "ann" does not exist\n'),
    psycopg2.OperationalError("fe_sendauth: no password supplied"),
    pymysql.err.OperationalError(1045, "Access denied for user 'ann'@'localhost' (using password: YES)"),
    pymysql.err.OperationalError(1698, "Access denied for user 'root'@'localhost'"),
    pymysql.err.OperationalError(1820, "You must SET PASSWORD before executing this statement"),
    absent("snowflake.connector.errors", "DatabaseError", errno=250001, sqlstate="08001")(
        "250001 (08001): Failed to connect to DB: x. Incorrect username or password was specified."
    ),
    absent("pyodbc", "InterfaceError", "Error")("28000", "[28000] [Microsoft][ODBC] Login failed for user 'ann'."),
    absent("redshift_connector.error", "InterfaceError")({"S": "FATAL", "C": "28000", "M": "refused"}),
    absent("pymssql._mssql", "OperationalError", number=18456)("DB-Lib error message 20018"),
    absent("google.auth.exceptions", "DefaultCredentialsError")("could not be determined"),
    absent("google.auth.exceptions", "RefreshError", retryable=False)("invalid_grant"),
    absent("databricks.sql.exc", "RequestError", "OperationalError")("Error during request: Invalid access token"),
    absent("trino.exceptions", "HttpError")("error 401: b'Unauthorized'"),
]
MAY_PASS = [
    psycopg.OperationalError(PSYCOPG.replace("FATAL:  ", "Connection refused")),
    psycopg.OperationalError(PSYCOPG + "sorry, too many clients already"),
    psycopg.OperationalError(PSYCOPG + "the database system is starting up"),
    errors.LockNotAvailable("canceling statement due to lock timeout"),
    errors.QueryCanceled("canceling statement due to statement timeout"),
    errors.SerializationFailure("could not serialize access"),
    psycopg2.OperationalError("could not translate host name"),
    pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db' (timed out)"),
    pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"),
    pymysql.err.OperationalError(1040, "Too many connections"),
    duckdb.IOException("IO Error: Could not set lock on file"),
    absent("snowflake.connector.errors", "OperationalError", errno=250001, sqlstate="08001")(
        "250001 (08001): Could not connect to Snowflake backend after 2 attempt(s). Aborting"
    ),
    absent("google.auth.exceptions", "RefreshError", retryable=True)("503"),
    ValueError("password authentication failed"),
    RuntimeError("what no one has seen before"),
]
WRONG_STATEMENTS = [
    errors.UndefinedTable("relation does not exist"),
    errors.InsufficientPrivilege("permission denied"),
    psycopg.OperationalError(PSYCOPG + 'database "crm" does not exist'),
    pymysql.err.OperationalError(1049, "Unknown database 'crm'"),
    pymysql.err.ProgrammingError(1146, "Table 'crm.x' doesn't exist"),
    duckdb.CatalogException("Table with name x does not exist!"),
    duckdb.BinderException("Referenced column not found"),
]


def wrapped(error: Exception) -> list[Exception]:
    """The error as SQLAlchemy hands it on, and as the cause of another."""
    outer = RuntimeError("hook failed")
    outer.__cause__ = error
    return [error, sa.exc.OperationalError("select 1", {}, error), outer]


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: f"{type(error).__module__}: {str(error)[:40]}")
def test_refused_credentials_are_recognised_also_when_they_are_wrapped(error: Exception) -> None:
    for each in wrapped(error):
        assert is_credential_error(each)
        assert is_permanent(each)


@pytest.mark.parametrize("error", MAY_PASS, ids=lambda error: f"{type(error).__module__}: {str(error)[:40]}")
def test_what_may_pass_or_is_unknown_is_not_permanent(error: Exception) -> None:
    for each in wrapped(error):
        assert not is_credential_error(each)
        assert not is_permanent(each)
        assert isinstance(source_error("It failed.", each), UnavailableError)


@pytest.mark.parametrize("error", WRONG_STATEMENTS, ids=lambda error: f"{type(error).__module__}: {str(error)[:40]}")
def test_wrong_names_syntax_and_rights_come_again_and_are_no_credentials(error: Exception) -> None:
    for each in wrapped(error):
        assert is_permanent(each)
        assert not is_credential_error(each)
        assert type(source_error("It failed.", each)) is SourceError


def test_a_lock_may_pass() -> None:
    assert issubclass(LockedError, UnavailableError)

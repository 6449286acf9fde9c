"""What a driver's error means for the next try.

Refused credentials and statements that cannot work stay so, a lock or a lost connection passes, and what is not
recognised may pass.

PEP 249 names the classes of errors and no codes, so each driver is known by what it adds: the SQLSTATE (ISO/IEC
9075-2, "SQLSTATE class and subclass codes"), a number of the server's, a class of its own, or the server's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from mailvet.errors import SourceError, UnavailableError

__all__ = ["is_credential_error", "is_permanent", "source_error"]

_CREDENTIALS: Final = "28"
"""SQLSTATE class "invalid authorization specification": unknown user, wrong password, no entry in pg_hba.conf."""
_PERMANENT: Final = ("3D", "3F", "42")
"""Classes "invalid catalog name", "invalid schema name" and "syntax error or access rule violation"."""

_MYSQL: Final = frozenset({1044, 1045, 1698, 1820, 1862, 3118, 4151})
"""Access denied (to a database, by password, without one), password expired (twice), account locked (MariaDB too)."""
_ORACLE: Final = frozenset({1017, 28_000, 28_001})
"""Invalid user name or password, account locked, password expired."""
_CREDENTIAL_NUMBERS: Final = {
    "MySQLdb": _MYSQL,
    "asyncmy": _MYSQL,
    "cx_Oracle": _ORACLE,
    "mariadb": _MYSQL,
    "mysql": _MYSQL,
    "oracledb": _ORACLE,
    "pymssql": frozenset({18_452, 18_456, 18_470, 18_486, 18_487, 18_488}),  # login failed, disabled, locked, expired
    "pymysql": _MYSQL,
}
"""By the driver's package: the server's numbers ("Server Error Message Reference" and the like) for credentials."""

_PERMANENT_NUMBERS: Final = {
    # Unknown database; unknown table or column; no right to a table, column, routine; syntax.
    "pymysql": frozenset({1049, 1054, 1064, 1142, 1143, 1146, 1227, 1370}),
    "MySQLdb": frozenset({1049, 1054, 1064, 1142, 1143, 1146, 1227, 1370}),
}

_CREDENTIAL_CLASSES: Final = frozenset(
    {
        "botocore.exceptions.NoCredentialsError",
        "botocore.exceptions.PartialCredentialsError",
        "google.api_core.exceptions.Unauthenticated",
        "google.api_core.exceptions.Unauthorized",
        "google.auth.exceptions.DefaultCredentialsError",
        "google.auth.exceptions.MalformedError",
        "google.auth.exceptions.RefreshError",
        "trino.exceptions.TrinoAuthError",
    }
)
"""Drivers' own classes for refused credentials, by full name, since the drivers need not be installed."""

_PERMANENT_CLASSES: Final = frozenset(
    {
        "duckdb.BinderException",
        "duckdb.CatalogException",
        "duckdb.InvalidInputException",
        "duckdb.NotImplementedException",
        "duckdb.ParserException",
        "duckdb.PermissionException",
        "duckdb.SyntaxException",
    }
)

_CREDENTIAL_TEXT: Final = re.compile(
    # libpq gives no SQLSTATE for a connection that fails, only the server's sentence (here the English one).
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|role \"[^\"]*\" does not exist"
    r"|role \"[^\"]*\" is not permitted to log in|authentication failed for (user|role)"
    # SQL Server through ODBC; MySQL; Snowflake; Databricks; Trino; MotherDuck
    r"|login failed for user|access denied for user|incorrect username or password|jwt token is invalid"
    r"|invalid access token|\berror 401\b|\b401 unauthorized|invalid motherduck token",
    re.IGNORECASE,
)
_DATABASE_TEXT: Final = re.compile(r"database \"[^\"]*\" does not exist", re.IGNORECASE)
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")


def is_credential_error(error: BaseException) -> bool:
    """Whether a driver says that user, password or key is refused; an error that wraps the driver's counts too."""
    return any(_refuses_credentials(each) for each in _chain(error))


def is_permanent(error: BaseException) -> bool:
    """Whether a driver's error is recognised as one that comes again: credentials, names, syntax, rights."""
    return any(
        _refuses_credentials(each)
        or _sqlstate(each)[:2] in _PERMANENT
        or _number(each) in _PERMANENT_NUMBERS.get(_package(each), ())
        or _is_one_of(each, _PERMANENT_CLASSES)
        or (_is_connecting(each) and _DATABASE_TEXT.search(str(each)) is not None)
        for each in _chain(error)
    )


def source_error(message: str, error: BaseException) -> SourceError:
    """`message` as the error that fits the driver's: `UnavailableError` unless it is known to come again."""
    return SourceError(message) if is_permanent(error) else UnavailableError(message)


def _refuses_credentials(error: BaseException) -> bool:
    sqlstate = _sqlstate(error)
    if sqlstate.startswith(_CREDENTIALS):
        return True
    if _number(error) in _CREDENTIAL_NUMBERS.get(_package(error), ()):
        return True
    if _is_one_of(error, _CREDENTIAL_CLASSES):
        return not getattr(error, "retryable", False)  # Google's say themselves when another try may help
    # Class 08, "connection exception", is what Snowflake's driver says of a wrong password.
    unspecific = not sqlstate or sqlstate.startswith("08")
    return unspecific and _is_connecting(error) and _CREDENTIAL_TEXT.search(str(error)) is not None


def _is_connecting(error: BaseException) -> bool:
    """An error class that PEP 249 has for a database that cannot be reached or used, so its text is the server's."""
    return any(
        each.__name__ in ("OperationalError", "DatabaseError", "HttpError") or each.__module__ == "duckdb"
        for each in type(error).__mro__
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: SQLAlchemy's `orig`, causes and contexts, each once."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        original = _original(each)
        if original is None:  # SQLAlchemy's own class and text add nothing to the driver's
            yield each
        waiting += [original, each.__cause__, each.__context__]


def _original(error: BaseException) -> BaseException | None:
    original = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else None


def _sqlstate(error: BaseException) -> str:
    """The SQLSTATE as psycopg, psycopg2, Snowflake's driver, pyodbc, redshift_connector and pg8000 keep it, or ""."""
    first: Any = error.args[0] if error.args else None
    candidates = (
        getattr(error, "sqlstate", None),
        getattr(error, "pgcode", None),
        first if isinstance(first, str) and _package(error) == "pyodbc" else None,
        first.get("C") if isinstance(first, dict) else None,
    )
    return next((each for each in candidates if isinstance(each, str) and _SQLSTATE.fullmatch(each)), "")


def _number(error: BaseException) -> int | None:
    """The server's number as the driver keeps it."""
    first: Any = error.args[0] if error.args else None
    for each in (first, getattr(error, "errno", None), getattr(first, "code", None), getattr(error, "number", None)):
        if isinstance(each, int) and not isinstance(each, bool):
            return each
    return None


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _is_one_of(error: BaseException, names: frozenset[str]) -> bool:
    return any(f"{_public(each.__module__)}.{each.__name__}" in names for each in type(error).__mro__)


def _public(module: str) -> str:
    return "duckdb" if module.partition(".")[0] in ("duckdb", "_duckdb") else module

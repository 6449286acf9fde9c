"""From an Airflow connection to an open table, and from mailvet's errors to Airflow's.

DuckDB goes by the hook's own connection; every other database by an SQLAlchemy engine whose connections the hook makes,
so that whatever the connection says (SSL, IAM tokens, session options) holds here as well.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mailvet.arguments import argument_words
from airflow_provider_mailvet.compat import AirflowException, AirflowFailException, AirflowNotFoundException

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from mailvet import Settings
    from mailvet.sdk import EventStore, Warehouse

__all__ = ["database_hook", "opened", "opened_events", "translated"]

log = logging.getLogger(__name__)

_LOUD = ("sqlalchemy.engine", "sqlalchemy.pool", "psycopg", "psycopg.pool")
"""Loggers that write rows and parameters, hence addresses, when the level of the deployment is DEBUG."""


def _is_duckdb(hook: DbApiHook) -> bool:
    """Whether the connection is a DuckDB database, which only one process may write at a time."""
    return getattr(hook, "conn_type", None) == "duckdb"


def database_hook(make: Callable[[], Any], conn_id: str | None) -> Any:
    """The hook of a connection, from what makes it (`operator.get_db_hook`).

    Raises:
        AirflowNotFoundException: there is no such connection.
        SourceError: its type has no hook on this worker, or one that is not for SQL.
    """
    from mailvet import SourceError

    try:
        hook = make()
    except AirflowNotFoundException:
        raise
    except (AirflowException, ImportError, TypeError) as error:
        # Airflow has no class of its own for an unknown type, and TypeError is an extra field the hook does not know.
        raise SourceError(
            f"The Airflow connection {conn_id} cannot be used: {str(error).split('. Please')[0].rstrip('.')}. Correct "
            "its type (Admin > Connections), or install the Airflow provider of this database on the workers."
        ) from None
    if not hasattr(hook, "get_conn_id"):
        raise SourceError(
            f"The Airflow connection {conn_id} is of the type {getattr(hook, 'conn_type', 'unknown')}, which is no "
            "database. Name the connection of the database that holds the table."
        )
    return hook


@contextmanager
def opened(
    hook: DbApiHook,
    settings: Settings,
    *,
    table: str,
    column: str | None,
    where: str | None = None,
    writable: bool = True,
    updatable: bool = True,
) -> Iterator[Warehouse]:
    """The table, open for a run, and closed with everything it needed at the end.

    Raises:
        MailvetError: missing table or column, a view, missing rights, a lock, a condition that fails; nothing was
            changed.
    """
    from mailvet import open_table

    database, close = _duckdb(hook) if _is_duckdb(hook) else _engine(hook)
    try:
        warehouse = open_table(
            database,
            table,
            column,
            where=where,
            policy=settings.chosen_policy,
            prefix=settings.store.prefix,
            events=settings.history,
            writable=writable,
            updatable=updatable,
        )
        for remark in warehouse.remarks:
            log.warning("%s", remark)
        try:
            yield warehouse
        finally:
            warehouse.close()
    finally:
        close()


@contextmanager
def opened_events(hook: DbApiHook) -> Iterator[EventStore]:
    """The events of the database, open to be written to.

    Raises:
        MailvetError: no connection, a lock, or a missing right.
    """
    from mailvet.sdk import open_events

    database, close = _duckdb_file(hook) if _is_duckdb(hook) else _engine(hook)
    try:
        store = open_events(database)
        try:
            yield store
        finally:
            store.close()
    finally:
        close()


def _duckdb_file(hook: Any) -> tuple[Any, Any]:
    """The path of the database, once it is sure that there is one."""
    connection, close = _duckdb(hook)
    (path,) = connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    ).fetchone()
    close()
    return Path(path), lambda: None


def _duckdb(hook: Any) -> tuple[Any, Any]:
    """The hook's connection, once it is sure that this does not make a new, empty database."""
    import duckdb

    from mailvet import SourceError
    from mailvet.sdk import opening_failed

    name = hook.get_conn_id()
    database = str(hook.get_database()) if hasattr(hook, "get_database") else (hook.get_connection(name).host or "")
    if database in ("", ":memory:"):
        raise SourceError(
            f"The Airflow connection {name} names no DuckDB file, so there is no table in it. Put the path of the file "
            "into its field 'Database path' (host)."
        )
    path = None if ":" in database.partition("/")[0] else Path(database)
    if path is not None and not path.exists():
        raise SourceError(f"There is no file {path}, which the Airflow connection {name} names. Check the path.")
    try:
        connection = hook.get_conn()
    except duckdb.Error as error:
        raise opening_failed(error, path or Path(name)) from None
    return connection, connection.close


def _engine(hook: DbApiHook) -> tuple[Any, Any]:
    from mailvet import SourceError

    try:
        import sqlalchemy
    except ImportError:
        raise SourceError(
            "Tables in this database are reached through SQLAlchemy, which is not installed on this worker. "
            "Install mailvet[postgres], or sqlalchemy and the driver of the database."
        ) from None
    try:
        engine = hook.get_sqlalchemy_engine(
            # The hook knows how to connect; and no message may quote rows or parameters.
            {"creator": hook.get_conn, "poolclass": sqlalchemy.pool.NullPool, "hide_parameters": True}
        )
    except (AirflowException, NotImplementedError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise SourceError(
            f"The Airflow connection {hook.get_conn_id()} ({hook.conn_type}) gives no SQLAlchemy engine: {error}. "
            "Install the driver of the database on the workers."
        ) from None
    return engine, engine.dispose


@contextmanager
def translated(kept: str = "") -> Iterator[None]:
    """Airflow's errors for mailvet's, without addresses and without the database's own traceback, which may quote rows.

    What does not fit (connection, credentials, table, rights, settings) fails the task at once, because a retry cannot
    mend it. Everything else, what is not recognised included, fails this try, and the next one goes on where it
    stopped.

    :param kept: what to add about the work done so far.
    """
    from mailvet import MailvetError, NetworkError, UnavailableError
    from mailvet.sdk import is_permanent

    levels = {name: logging.getLogger(name).level for name in _LOUD}
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    except AirflowNotFoundException as error:
        raise AirflowFailException(
            f"{error}. Make the Airflow connection (Admin > Connections, or the environment variable "
            "AIRFLOW_CONN_<NAME>), or correct its name in the DAG."
        ) from None
    except AirflowException:
        raise
    except (UnavailableError, NetworkError) as error:
        raise AirflowException(_masked(error.worded(argument_words))) from None
    except MailvetError as error:
        raise AirflowFailException(_masked(error.worded(argument_words))) from None
    except Exception as error:
        if is_permanent(error):
            said = _masked(first_line(str(getattr(error, "orig", None) or error)))
            raise AirflowFailException(
                f"The database refuses the connection: {said}. "
                "Correct the Airflow connection (user, password, key, database)."
            ) from None
        log.error("%s", _masked(traceback.format_exc()))
        raise AirflowException(
            _masked(f"{type(error).__name__}: {str(error).strip().rstrip('.')}. {kept}".strip())
        ) from None
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def first_line(text: str) -> str:
    """What a driver says, without the hints and statements that follow."""
    return (text.strip().splitlines() or ["no reason given"])[0].rstrip(".")


def _masked(text: str) -> str:
    from mailvet.sdk import mask_addresses, printable

    return printable(mask_addresses(text), lines=True)

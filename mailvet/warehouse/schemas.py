"""Connections in which a name without a schema is of one schema: that of mailvet's own tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mailvet.errors import SourceError
from mailvet.warehouse.dialects import dialect_of
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.opening import engine_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

__all__ = ["engine_in", "enter_schema", "url_in"]


def url_in(url: URL, schema: str) -> URL:
    """The URL of the same database with this schema as the default one, where a URL can say so."""
    kind = url.get_backend_name()
    database = url.database or ""
    if kind in ("snowflake", "trino"):  # database/schema, catalog/schema
        return url.set(database=f"{database.partition('/')[0]}/{schema}")
    if kind in ("mysql", "mariadb", "bigquery", "clickhouse", "clickhousedb"):  # there the schema is the database
        return url.set(database=schema)
    if kind == "databricks":
        return url.update_query_dict({"schema": schema})
    return url


def enter_schema(engine: Engine, schema: str) -> None:
    """Make a schema the default one of every connection that the engine makes, where a statement can say so."""
    from sqlalchemy import event

    say = dialect_of(engine.dialect.name)
    if say.enter_schema is None:
        return
    statement = say.enter_schema.format(name=_quoted(engine, schema))

    def begin(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()
        connection.commit()

    # Before SQLAlchemy looks at its first connection, which is when it learns the default schema.
    event.listen(engine, "connect", begin, insert=True)


def engine_in(url: str, schema: str) -> tuple[Engine, Callable[[], None] | None]:
    """An engine whose connections have a schema as the default one; the schema is made where it is not there.

    Args:
        url: of SQLAlchemy's form.
        schema: its name.

    Returns:
        The engine, and what drops the schema again if it was made here.

    Raises:
        SourceError: no connection, or there is no such schema and it cannot be made.
        SettingsError: as `open_table`.
    """
    from sqlalchemy.exc import SQLAlchemyError

    outside = engine_of(url)
    say = dialect_of(outside.dialect.name)
    try:
        there, default = _schemas(outside)
        if schema not in there and not (say.folds_names and schema.lower() in map(str.lower, there)):
            if say.make_schema is None:
                raise SourceError(
                    f"{_kind(outside)} has no schema {schema}, and none can be made there; there are: "
                    f"{', '.join(there)}."
                )
            _run(outside, say.make_schema.format(name=_quoted(outside, schema)))
            made = True
        else:
            made = False
        engine = engine_of(url_in(outside.url, schema).render_as_string(hide_password=False))
        if engine.url == outside.url and say.enter_schema is None and schema != default:
            raise SourceError(
                f"A session of {_kind(outside)} cannot change its default schema, which is {default}: name that one, "
                f"or sign in as a user whose default schema is {schema}."
            )
        enter_schema(engine, schema)
    except (SQLAlchemyError, OSError) as error:
        text = first_line(str(getattr(error, "orig", None) or error))
        text = text.replace(str(outside.url.password), "***") if outside.url.password else text
        raise source_error(f"The schema {schema} cannot be used: {text}. Nothing was changed.", error) from None
    finally:
        outside.dispose()

    def drop() -> None:
        try:
            _run(outside, say.drop_schema.format(name=_quoted(outside, schema)))
        finally:
            outside.dispose()

    return engine, drop if made else None


def _schemas(engine: Engine) -> tuple[list[str], str | None]:
    from sqlalchemy import inspect

    with engine.connect() as connection:
        inspector = inspect(connection)
        return list(inspector.get_schema_names()), inspector.default_schema_name


def _run(engine: Engine, statement: str) -> None:
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _quoted(engine: Engine, name: str) -> str:
    """As SQLAlchemy does, which knows how each database folds the case of names."""
    return str(engine.dialect.identifier_preparer.quote(name))


def _kind(engine: Engine) -> str:
    return str(engine.dialect.name)

"""DuckDB as a data source of Great Expectations.

`context.data_sources.add_sql(name, connection_string= "duckdb+mailvet:///warehouse.duckdb")`.

Great Expectations closes a connection before it fetches the rows, and a DuckDB cursor dies with its connection. This
dialect is duckdb-engine's, except that it fetches the rows at once. Needs the extra `gx-duckdb`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

from mailvet import SettingsError

try:
    import duckdb_engine
except ModuleNotFoundError:
    raise SettingsError(
        "DuckDB as a data source of Great Expectations needs duckdb-engine. Install mailvet[gx-duckdb]."
    ) from None

__all__ = ["BufferedDialect", "connection_string", "register"]


class _BufferedContext(duckdb_engine.Dialect.execution_ctx_cls):  # type: ignore[valid-type,misc]
    def post_exec(self) -> None:
        super().post_exec()
        if self.cursor.description and not self.execution_options.get("stream_results"):
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, self.cursor.description, self.cursor.fetchall()
            )


class BufferedDialect(duckdb_engine.Dialect):
    """duckdb-engine's dialect with results that outlive their connection."""

    execution_ctx_cls = _BufferedContext
    supports_statement_cache = True


def register() -> None:
    """Make `duckdb+mailvet://` known to SQLAlchemy. Importing `ge_expectations` does it."""
    registry.register("duckdb.mailvet", "ge_expectations.duckdb", "BufferedDialect")


def connection_string(path: str, **query: Any) -> str:
    """The connection string of a DuckDB file for `add_sql`.

    >>> connection_string("warehouse.duckdb")
    'duckdb+mailvet:///warehouse.duckdb'
    """
    options = "&".join(f"{name}={value}" for name, value in query.items())
    return f"duckdb+mailvet:///{path}{'?' if options else ''}{options}"

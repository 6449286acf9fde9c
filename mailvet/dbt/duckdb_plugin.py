"""Functions for SQL models on DuckDB, a plug-in of dbt-duckdb, named in profiles.yml.

    plugins:
      - module: mailvet.dbt.duckdb_plugin
        config: {config: mailvet.toml}     # may be left out

`mailvet_check(email)` is the core's answer at depth offline (syntax and lists, no network) as a struct; null in, null
out. DuckDB calls it with up to 2,048 rows at a time. The function exists in dbt's own connection only: materialise
what calls it as a table, since a view would fail for every other program.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin

from mailvet import Depth, Settings, SettingsError, verify_many

__all__ = ["ANSWER", "Plugin"]

ANSWER = pa.struct(
    [
        ("status", pa.string()),
        ("reason", pa.string()),
        ("recommendation", pa.string()),
        ("score", pa.int16()),
        ("suggestion", pa.string()),
        ("flags", pa.string()),
        ("domain", pa.string()),
    ]
)
"""What `mailvet_check` returns."""

_SQL_TYPE = (
    "STRUCT(status VARCHAR, reason VARCHAR, recommendation VARCHAR, score SMALLINT, suggestion VARCHAR, "
    'flags VARCHAR, "domain" VARCHAR)'
)


class Plugin(BasePlugin):
    """What dbt-duckdb loads; `config` may name a mailvet.toml and a policy."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the settings; a mistake in them stops dbt before it opens the database."""
        unknown = sorted(set(plugin_config) - {"config", "policy"})
        if unknown:
            raise SettingsError(
                f"The plug-in mailvet.dbt.duckdb_plugin knows no option {', '.join(unknown)}; there are: config and "
                "policy."
            )
        self._settings = Settings.load(
            plugin_config.get("config"), depth=Depth.offline, policy=plugin_config.get("policy")
        )

    def configure_connection(self, conn: Any) -> None:
        """Make the functions known to dbt's connection."""
        conn.create_function(
            "mailvet_check",
            self._check,
            ["VARCHAR"],
            _SQL_TYPE,
            type="arrow",
            null_handling="special",
            side_effects=False,
        )

    def _check(self, cells: pa.ChunkedArray) -> pa.Array:
        verdicts = verify_many(cells.to_pylist(), settings=self._settings)
        columns = [verdicts.column(field.name).combine_chunks().cast(field.type) for field in ANSWER]
        missing = cells.combine_chunks().is_null() if isinstance(cells, pa.ChunkedArray) else cells.is_null()
        return pa.StructArray.from_arrays(columns, fields=list(ANSWER), mask=missing)

"""Compile a dbt project as other adapters would: dbt itself on an empty DuckDB, with every `adapter.dispatch` of the
package looking for another adapter's macros. `python compile_as.py FOLDER snowflake bigquery ...` writes
FOLDER/compiled_<name>.
"""

from __future__ import annotations

import os
import sys
from typing import Any

DISPATCH = {
    "snowflake": ("snowflake", "default"),
    "bigquery": ("bigquery", "default"),
    "redshift": ("redshift", "postgres", "default"),
    "databricks": ("databricks", "spark", "default"),
    "spark": ("spark", "default"),
}
"""Adapter -> the prefixes that its `dispatch` tries in turn: its own, those of the adapters it builds on, default."""


def main(folder: str, *adapters: str) -> None:
    """Compile once for each adapter; the project is parsed once."""
    from dbt.cli.main import dbtRunner
    from dbt.context.providers import BaseDatabaseWrapper

    original = BaseDatabaseWrapper.dispatch
    os.chdir(folder)
    parsed = dbtRunner().invoke(["parse", "--profiles-dir", ".", "--quiet"])
    assert parsed.success, parsed.exception
    manifest: Any = parsed.result
    for adapter in adapters:

        def dispatch(
            self: Any, macro_name: str, macro_namespace: str | None = None, packages: Any = None, to: str = adapter
        ) -> Any:
            if macro_namespace not in ("mailvet", "mailvet_integration_tests"):
                return original(self, macro_name, macro_namespace, packages)  # dbt's own stay those of what runs
            self._get_adapter_macro_prefixes = lambda: list(DISPATCH[to])
            try:
                return original(self, macro_name, macro_namespace, packages)
            finally:
                del self._get_adapter_macro_prefixes

        BaseDatabaseWrapper.dispatch = dispatch  # type: ignore[method-assign]
        compiled = dbtRunner(manifest=manifest).invoke(
            ["compile", "--profiles-dir", ".", "--quiet", "--target-path", f"compiled_{adapter}"]
        )
        assert compiled.success, (adapter, compiled.exception, compiled.result)


if __name__ == "__main__":
    main(*sys.argv[1:])

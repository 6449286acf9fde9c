"""The core inside a dbt project.

- `verdicts`: the body of a Python model on DuckDB that fills the verdict table;
- `mailvet.dbt.duckdb_plugin`: functions for SQL models on DuckDB, named in profiles.yml;
- `mailvet.dbt.plpython`: what PostgreSQL's functions of the dbt package call;
- `mailvet.dbt.runner`: `mailvet dbt run`, which verifies what the models of a project hold, on every adapter.

The dbt package itself (macros, tests, the verdict table) lies in `dbt_macros`; `mailvet dbt path` says where.
"""

from __future__ import annotations

from mailvet.dbt.package import package_path
from mailvet.dbt.python_model import verdicts

__all__ = ["package_path", "verdicts"]

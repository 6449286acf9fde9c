"""The SQL for the warehouses that are not run here: rendered by dispatch, and parsed in the warehouse's own dialect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from tests.dbt.compile_as import DISPATCH
from tests.dbt.conftest import PACKAGE, ROOT


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """Adapter -> (file, SQL) of every model, test and statement of integration_tests."""
    folder = tmp_path_factory.mktemp("dialects") / "integration_tests"
    shutil.copytree(
        PACKAGE / "integration_tests", folder, ignore=shutil.ignore_patterns("target*", "dbt_packages", "logs")
    )
    (folder / "dbt_packages").mkdir()
    (folder / "dbt_packages" / "mailvet").symlink_to(PACKAGE, target_is_directory=True)
    (folder / "packages.yml").unlink()
    project = folder / "dbt_project.yml"
    # Names as every dialect reads them.
    project.write_text(f"{project.read_text()}\nquoting: {{database: false, schema: false, identifier: false}}\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "dbt" / "compile_as.py"), str(folder), *DISPATCH],
        env={**os.environ, "MAILVET_TEST_DUCKDB": str(folder / "empty.duckdb")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for adapter in DISPATCH:
        root = folder / f"compiled_{adapter}" / "compiled"
        paths = sorted(path for path in root.rglob("*.sql") if path.is_file())
        found[adapter] = [(str(path.relative_to(root)), path.read_text()) for path in paths]
    return found


@pytest.mark.parametrize("adapter", list(DISPATCH))
def test_every_statement_parses_in_its_dialect(adapter: str, compiled: dict[str, list[tuple[str, str]]]) -> None:
    assert len(compiled[adapter]) > 30
    statements = 0
    for name, sql in compiled[adapter]:
        for statement in sqlglot.parse(sql, read=adapter, error_level=sqlglot.ErrorLevel.RAISE):
            if statement is None:
                continue
            # What the parser does not understand it keeps as a command.
            assert not isinstance(statement, exp.Command), (name, statement.sql())
            statements += 1
    assert statements >= 60


KEYS = {
    "snowflake": "sha2(coalesce(cast(email as varchar), ''), 256)",
    "bigquery": "to_hex(sha256(coalesce(cast(email as string), '')))",
    "redshift": "sha2(coalesce(cast(email as varchar(65535)), ''), 256)",
    "databricks": "sha2(coalesce(cast(email as string), ''), 256)",
    "spark": "sha2(coalesce(cast(email as string), ''), 256)",
}
OF_OTHERS = {
    "snowflake": (" ~ '", "convert_to(", "strlen("),
    "bigquery": (" ~ '", "varchar", "smallint", "''''", "''+", "split_part("),
    "redshift": ("is distinct from", "convert_to(", "merge into", "encode("),
    "databricks": ("varchar", " ~ '", "is distinct from"),
    "spark": ("varchar", " ~ '", "is distinct from"),
}
"""What other dialects write, which the parser would let pass in this one."""


@pytest.mark.parametrize("adapter", list(DISPATCH))
def test_each_dialect_gets_its_own_functions(adapter: str, compiled: dict[str, list[tuple[str, str]]]) -> None:
    texts = {Path(name).name: " ".join(sql.split()) for name, sql in compiled[adapter]}
    assert KEYS[adapter] in texts["candidates.sql"]
    everything = " ".join(text for name, text in texts.items() if name != "vectors.sql")
    for foreign in OF_OTHERS[adapter]:
        assert foreign not in everything, foreign
    assert ("merge into" in everything) == (adapter != "redshift")

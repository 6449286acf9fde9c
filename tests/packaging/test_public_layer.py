"""The names that users and integrations import: `mailvet`, its submodules of that purpose, and `mailvet.sdk`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mailvet
import mailvet.sdk
from tests.packaging.checkout import ROOT

INTEGRATIONS = ("airflow_provider_mailvet", "ge_expectations", "mailvet/dbt", "examples")
FOR_USERS = ("mailvet.dbt", "mailvet.doctor", "mailvet.lab", "mailvet.spark")


@pytest.mark.parametrize("module", [mailvet, mailvet.sdk], ids=["mailvet", "sdk"])
def test_every_name_that_is_offered_is_there(module: ModuleType) -> None:
    offered = {name for names in module._HOMES.values() for name in names}
    extra = {"__version__", *mailvet._SUBMODULES} if module is mailvet else set()
    assert sorted(module.__all__) == sorted(offered | extra)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []


def test_a_name_that_is_not_offered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'mailvet\.sdk' has no attribute 'nothing'"):
        mailvet.sdk.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        from mailvet import nothing  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("folder", INTEGRATIONS)
def test_integrations_import_public_names_only(folder: str) -> None:
    inner = [
        f"{path.relative_to(ROOT)}: {module} {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for module, name in _imported(path)
        if not _is_public(module, name) and not (folder == "mailvet/dbt" and module.startswith("mailvet.dbt"))
    ]
    assert not inner, f"import these from mailvet or mailvet.sdk: {inner}"


def test_an_inner_module_would_be_seen(tmp_path: Path) -> None:
    for line in ("from mailvet.runs.run import run", "import mailvet.runs.run", "from mailvet.runs import run"):
        (tmp_path / "plugin.py").write_text(f"def execute():\n    {line}\n")
        assert [_is_public(*found) for found in _imported(tmp_path / "plugin.py")] == [False], line


def _imported(path: Path) -> Iterator[tuple[str, str | None]]:
    """Module and name of every import of mailvet in a file, also those for types."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mailvet":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "mailvet")


def _is_public(module: str, name: str | None) -> bool:
    if any(module == room or module.startswith("mailvet.lab.") for room in FOR_USERS):
        return True
    if module == "mailvet":
        return name is None or name in mailvet.__all__
    return module == "mailvet.sdk" and (name is None or name in mailvet.sdk.__all__)

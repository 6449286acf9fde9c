"""Paths, links, commands and names in the pages of the repository exist, and what is generated is current."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tests.packaging.checkout import ROOT, repository_files

PAGES = [path for path in repository_files() if path.suffix == ".md" and path.parent.name != "generated"]
TOP = (
    "mailvet",
    "airflow_provider_mailvet",
    "ge_expectations",
    "dbt_macros",
    "tests",
    "benchmarks",
    "docs",
    "examples",
)
FOLDERS_OF_THE_USER = {"mailvet/connections", "mailvet/lists"}
PATHS = re.compile(rf"(?<![\w./-])(?:{'|'.join(TOP)}|\.github|\.ci)/[\w./*-]*\w")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_in(text: str) -> Iterator[str]:
    """What a page shows as code: blocks and words between backticks."""
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    yield from blocks
    for block in blocks:
        text = text.replace(block, "")
    yield from re.findall(r"`([^`\n]+)`", text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = page.read_text("utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        if not found.exists() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_paths_in_code_exist(page: Path) -> None:
    named = {path for code in code_in(page.read_text("utf-8")) for path in PATHS.findall(code)} - FOLDERS_OF_THE_USER
    missing = [
        path
        for path in sorted(named)
        if not ((ROOT / path).exists() or (page.parent / path).exists() or "..." in path or any(ROOT.glob(path)))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    import mailvet.cli.commands

    commands = set(getattr(get_command(mailvet.cli.commands.app), "commands", {}))
    wrong = []
    for code in code_in(page.read_text("utf-8")):
        for line in code.splitlines():
            if match := re.match(r"(?:\$ )?make ([a-z][\w-]*)", line):
                wrong += [line] if match[1] not in make_targets() else []
            if match := re.match(r"(?:\$ )?mailvet ([a-z]+)\b(?![\w.=])", line):
                wrong += [line] if match[1] not in commands else []
    assert wrong == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parts[-2] == "docs"], ids=name_of)
def test_python_names_exist(page: Path) -> None:
    """`mailvet.a.b` in code is a module or a public name in one; names of dbt macros and of files are not meant."""
    macros = {path.stem for path in (ROOT / "dbt_macros" / "macros").rglob("*.sql")}
    sql = "\n".join(path.read_text("utf-8") for path in (ROOT / "dbt_macros" / "macros").rglob("*.sql"))
    missing = []
    for dotted in set(re.findall(r"`(mailvet(?:\.\w+)+)", page.read_text("utf-8"))):
        first = dotted.split(".")[1]
        if first in {"toml", "duckdb"} or first in macros or re.search(rf"\b(?:macro|test) (?:test_)?{first}\(", sql):
            continue
        if not resolves(dotted):
            missing.append(dotted)
    assert missing == []


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or attributes in one."""
    parts = dotted.split(".")
    found: Any = importlib.import_module(parts[0])
    for place, part in enumerate(parts[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(parts[:place]))
            except ImportError:
                return False
    return True


def test_the_page_on_architecture_names_every_package() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("## Packages and imports")[1].split("\n## ")[0]
    parts = [
        path
        for path in sorted((ROOT / "mailvet").iterdir())
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    ]
    assert len(parts) > 20
    assert [name_of(path) for path in parts if f"`{name_of(path)}`" not in table] == []


def test_the_picture_of_the_architecture_is_current() -> None:
    made = script("docs/make_architecture.py")
    assert made.PICTURE.read_text("utf-8") == made.draw()
    paths = [package.path for level in made.LEVELS for package in level.packages]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_generated_tables_are_current() -> None:
    made = script("docs/make_tables.py")
    pages = [page for page in PAGES if page.parent == ROOT / "docs"]
    assert sum("<!-- generated: " in page.read_text("utf-8") for page in pages) > 3
    assert [page.name for page in pages if made.rendered(page.read_text("utf-8")) != page.read_text("utf-8")] == []


def workflow_steps() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            assert job["timeout-minutes"] > 0
            yield from ((path.name, step["run"]) for step in job["steps"] if "run" in step)


def test_workflows_run_what_is_there() -> None:
    steps = list(workflow_steps())
    assert {name for name, _ in steps} == {"backends.yml", "docs.yml", "lint.yml", "tests.yml", "wheel.yml"}
    targets = [target for _, run in steps for target in re.findall(r"^make ([a-z][\w-]*)", run, re.MULTILINE)]
    assert {"lint", "test-fast", "setup"} <= set(targets) <= make_targets()
    stand_ins = yaml.safe_load((ROOT / ".github/workflows/backends.yml").read_text("utf-8"))["jobs"]["stand-ins"]
    assert set(stand_ins["strategy"]["matrix"]["target"]) <= make_targets()
    paths = [path for _, run in steps for path in PATHS.findall(run)]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_owned_paths_exist() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text("utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert rules[0][0] == "*"
    assert [path for path, *_ in rules[1:] if not (ROOT / path.strip("/")).exists()] == []
    assert [owners for _, *owners in rules if not owners or any(not owner.startswith("@") for owner in owners)] == []


def test_issue_forms_have_what_github_requires() -> None:
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text("utf-8"))
        assert form["name"], path.name
        assert form["description"], path.name
        fields = [element for element in form["body"] if element["type"] != "markdown"]
        assert all(field["attributes"]["label"] for field in fields), path.name
        identifiers = [field["id"] for field in fields]
        assert len(set(identifiers)) == len(identifiers), path.name


def test_hooks_run_programs_of_the_environment() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        assert [path for path in PATHS.findall(" ".join(arguments)) if not (ROOT / path).exists()] == []


def test_the_site_lists_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1]
    listed = set(re.findall(r"[\w/-]+\.md", nav))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents}

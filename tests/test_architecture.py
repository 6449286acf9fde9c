"""The import contract of the whole tree, and that every rule stands once.

Rooms import only downwards, no modules import each other in a circle, no module is longer than one idea, and nothing
but `mailvet.privacy` says what a formula is or how an address is masked. Imports under TYPE_CHECKING do not count;
imports inside functions do.

What does not hold yet stands in the tables named `*_TODAY`, each with the reason. An entry that is no longer needed
fails the test, so the tables only get shorter.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Final

from mailvet.privacy import FORMULA_START

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("mailvet", "airflow_provider_mailvet", "ge_expectations")

GROUPS: Final = (
    "mailvet.cli mailvet.__main__ mailvet.service mailvet.doctor mailvet.lab mailvet.spark mailvet.dbt mailvet.sdk "
    "airflow_provider_mailvet ge_expectations",
    "mailvet.runs mailvet.reports mailvet.learning mailvet.exports",
    "mailvet.verification mailvet.warehouse",
    "mailvet.probing mailvet.signals mailvet.scoring",
    "mailvet.dns mailvet.smtp mailvet.syntax mailvet.reference mailvet.history",
    "mailvet.policies mailvet.gates mailvet.verdict mailvet.settings mailvet.service_settings mailvet.setting_types "
    "mailvet.private_files mailvet.data",
    "mailvet.privacy mailvet.vocabulary mailvet.errors mailvet.lazy mailvet.patterns",
)
"""The rooms from top to bottom: each imports from its own group and from those below."""
READERS_OF_PACKAGED_DATA: Final = "mailvet.data"
"""Imports from the lowest group alone."""
PLUG_INS: Final = ("airflow_provider_mailvet", "ge_expectations", "mailvet.dbt", "mailvet.spark", "mailvet.sdk")
"""Use the names of the public layer; the rooms below them know their own modules."""

LONGEST_MODULE: Final = 600
MOST_SKIPS: Final = 20

CLIMBS_TODAY: Final[dict[tuple[str, str], str]] = {}
CIRCLES_TODAY: Final = {
    "airflow_provider_mailvet.plugin": "the package builds the application that reads it",
}
"""A module of each circle."""
LONG_TODAY: Final[dict[str, str]] = {}
COPIES_TODAY: Final[dict[str, str]] = {}
SKIPS_TODAY: Final[dict[str, str]] = {}


def test_rooms_import_only_downwards() -> None:
    climbs = {
        (module, imported)
        for module in modules()
        for imported in imports_of(module)
        if _group(imported) < _group(module)
    }
    _same_as_known(climbs, CLIMBS_TODAY, "imports that climb")


def test_readers_of_packaged_data_stand_on_the_ground() -> None:
    others = {
        (module, imported)
        for module in modules()
        if _is_in(module, READERS_OF_PACKAGED_DATA)
        for imported in imports_of(module)
        if _group(imported) != len(GROUPS) - 1 and not _is_in(imported, READERS_OF_PACKAGED_DATA)
    }
    known = {climb: why for climb, why in CLIMBS_TODAY.items() if _is_in(climb[0], READERS_OF_PACKAGED_DATA)}
    _same_as_known(others, known, "imports of the readers of packaged data")


def test_no_modules_import_each_other_in_a_circle() -> None:
    circles = _circles({module: imports_of(module) for module in modules()})
    unknown = [circle for circle in circles if not circle & CIRCLES_TODAY.keys()]
    assert not unknown, f"circles of imports: {[sorted(circle) for circle in unknown]}"
    gone = [module for module in CIRCLES_TODAY if not any(module in circle for circle in circles)]
    assert not gone, f"no circle any more; take out of CIRCLES_TODAY: {gone}"


def test_rooms_below_the_plug_ins_import_modules_and_not_the_public_layer() -> None:
    users = {
        f"{module}: {name}"
        for module in modules()
        if not any(_is_in(module, plug_in) for plug_in in PLUG_INS)
        for name in _names_of_the_public_layer(module)
        if name != "__version__"
    }
    assert not users, f"import the module that holds the name instead: {sorted(users)}"


def test_every_module_has_its_room() -> None:
    homeless = [module for module in modules() if _group_or_none(module) is None]
    assert not homeless, f"name the room of these in GROUPS: {homeless}"


def test_no_module_is_too_long() -> None:
    long = {
        path.relative_to(ROOT).as_posix()
        for path in modules().values()
        if len(path.read_text("utf-8").splitlines()) > LONGEST_MODULE
    }
    _same_as_known(long, LONG_TODAY, f"modules of more than {LONGEST_MODULE} lines")


def test_formulas_and_masks_are_defined_once() -> None:
    copies = {
        path.relative_to(ROOT).as_posix()
        for module, path in modules().items()
        if module != "mailvet.privacy" and any(map(_is_copy, ast.walk(_tree(path))))
    }
    _same_as_known(copies, COPIES_TODAY, "copies of what mailvet.privacy defines")


def test_what_counts_as_a_copy() -> None:
    for text in (
        r"starts = cell.str.contains(r'^[=+\-@]')",
        "starts = cell.startswith(('=', '+', '-', '@'))",
        "starts = cell[0] in '=+-@\\t\\r'",
        "masked = f'{local[:1]}***@{domain}'",
        "masked = text[0] + '***'",
        "masked = re.sub('[0-9]+', '<number>', text)",
    ):
        assert any(map(_is_copy, ast.walk(ast.parse(text)))), text
    for text in ("name = '-'", "signs = ('+', '-')", "url = url.replace(password, '***')", "'''a***@b.c'''"):
        assert not any(map(_is_copy, ast.walk(ast.parse(text)))), text


def test_the_formatter_lays_out_the_tree() -> None:
    found = _skips()
    if SKIPS_TODAY and found.total() <= MOST_SKIPS:
        raise AssertionError(f"only {found.total()} left; empty SKIPS_TODAY")
    assert SKIPS_TODAY or found.total() <= MOST_SKIPS, f"{found.total()} comments keep the formatter out: {found}"


def _same_as_known(
    found: set[str] | set[tuple[str, str]], known: dict[str, str] | dict[tuple[str, str], str], what: str
) -> None:
    assert not (new := sorted(found - known.keys())), f"{what}: {new}"
    assert not (gone := sorted(known.keys() - found)), f"no longer needed, take it out of the table: {gone}"


# -------------------------------------------------------------------- the tree


@cache
def modules() -> dict[str, Path]:
    """Every module of the product -> its file."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imports_of(module: str) -> frozenset[str]:
    """The product's modules that a module imports, at its top or inside a function."""
    known = modules()
    return frozenset(
        name if name in known else name.rpartition(".")[0]
        for name in _imported_names(module)
        if name in known or name.rpartition(".")[0] in known
    ) - {module, "mailvet"}  # the package itself imports nothing until asked


def _names_of_the_public_layer(module: str) -> list[str]:
    return [
        name.rpartition(".")[2]
        for name in _imported_names(module)
        if name.rpartition(".")[0] == "mailvet" and name not in modules()
    ]


def _imported_names(module: str) -> Iterator[str]:
    """The dotted names behind `import` and `from ... import`."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _outside_type_checking(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _outside_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _outside_type_checking(other)
        else:
            yield child
            yield from _outside_type_checking(child)


def _is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def _group_or_none(module: str) -> int | None:
    """The place of a module's group, counted from the top."""
    if module == "mailvet":
        return len(GROUPS) - 1
    groups = (place for place, rooms in enumerate(GROUPS) for room in rooms.split() if _is_in(module, room))
    return next(groups, None)


def _group(module: str) -> int:
    group = _group_or_none(module)
    assert group is not None, module
    return group


def _circles(graph: dict[str, frozenset[str]]) -> list[set[str]]:
    """The sets of modules that reach each other; one circle is found and cut at a time."""
    edges = {module: set(imported) for module, imported in graph.items()}
    circles: list[set[str]] = []
    while True:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            path: list[str] = error.args[1]
            circles.append(set(path))
            for one, other in pairwise(path):  # each is imported by the one behind it
                edges[other].discard(one)
        else:
            return circles


# -------------------------------------------------------------------- copies


def _is_copy(node: ast.AST) -> bool:
    """Whether a part of a program says again what begins a formula, or how what is personal is masked."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        values = {part.value for part in node.elts if isinstance(part, ast.Constant)}
        return {"=", "+", "-", "@"} <= values
    if isinstance(node, ast.BinOp | ast.JoinedStr):
        return any(_is_mask(part) for part in ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        return any(isinstance(part, ast.Constant) and part.value == "<number>" for part in node.args)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_class_of_signs(node.value)


def _is_mask(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("***")


def _is_class_of_signs(text: str) -> bool:
    signs = set(text.strip("^()").strip("[]").replace("\\", ""))
    return {"=", "+", "-", "@"} <= signs <= {*FORMULA_START, *"trn|'"}


# -------------------------------------------------------------------- comments


def _skips() -> Counter[str]:
    """How many comments keep the formatter out of each file, in the tree's Python files."""
    found: Counter[str] = Counter()
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name[0] != "."]
    for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
        text = path.read_text("utf-8")
        if "fmt: skip" in text or "fmt: off" in text:
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
            found[path.relative_to(ROOT).as_posix()] = sum(
                "fmt: skip" in comment or "fmt: off" in comment for comment in comments
            )
    return found

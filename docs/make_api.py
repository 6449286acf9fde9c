"""Write docs/api.md, the public names of mailvet, from their docstrings: `python docs/make_api.py [--check]`.

`--check` writes nothing and ends with 1 when the page is not as it would be written.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import mailvet
import mailvet.sdk

PAGE = Path(__file__).resolve().parent / "api.md"
WIDTH = 100

SECTIONS = {
    "Addresses": ("verify", "averify", "verify_many", "suggest", "classify_reply", "email_key"),
    "Tables": ("open_table", "plan", "run", "RunResult", "Progress", "gate", "GateResult", "export", "ExportResult"),
    "Settings": ("Settings",),
    "Verdicts": ("Verdict", "Evidence", "Status", "Reason", "Recommendation", "Depth", "Policy"),
    "Errors": (
        "MailvetError",
        "SettingsError",
        "SourceError",
        "UnavailableError",
        "LockedError",
        "ConnectionLostError",
        "RunUnderWayError",
        "PreflightError",
        "NetworkError",
    ),
}
"""The names of `mailvet` by heading."""

SUBMODULES = ("mailvet.spark", "mailvet.doctor", "mailvet.dbt")
"""Told by a line for each of their names. `mailvet.errors` is told above, `mailvet.sdk` in full, the lab in lab.md."""

HEAD = """\
<!-- Written by docs/make_api.py from the docstrings; edits are lost. -->
# Python API

`import mailvet` is cheap: every name is imported when it is first used. The names of this page are public and kept
within a minor version. What else stands in a module may move. The mail world for tests is told in [lab.md](lab.md).
"""


def page() -> str:
    """The whole page."""
    told = {name for names in SECTIONS.values() for name in names}
    left_out = set(mailvet.__all__) - told - set(mailvet._SUBMODULES) - {"__version__"}
    assert not left_out, f"name the section of {sorted(left_out)}"
    parts = [HEAD]
    for heading, names in SECTIONS.items():
        parts += [f"## {heading}\n", *(_described(name, getattr(mailvet, name)) for name in names)]
    for name in SUBMODULES:
        module = import_module(name)
        members = {each: getattr(module, each) for each in module.__all__}
        rows = [f"| `{each}` | {_first_sentence(value)} |" for each, value in members.items() if callable(value)]
        parts.append(f"## {name}\n\n{_markdown(module.__doc__)}\n\n| name | |\n|---|---|\n" + "\n".join(rows) + "\n")
    parts.append(f"## mailvet.sdk\n\n{_markdown(mailvet.sdk.__doc__)}\n")
    parts += [_described(name, getattr(mailvet.sdk, name)) for name in sorted(mailvet.sdk.__all__, key=str.lower)]
    return "\n".join(parts)


def _described(name: str, value: Any) -> str:
    if inspect.isclass(value):
        text = _class(name, value)
    elif callable(value):  # functools.cache makes other objects of functions
        text = f"```python\n{_signature(name, value)}\n```\n\n{_markdown(value.__doc__)}\n"
    else:
        text = f"{_about_constant(name)}\n"
    return f"### {name}\n\n{text}"


# -------------------------------------------------------------------- functions


def _signature(name: str, function: Any, *, method: bool = False) -> str:
    """Name, parameters and result, a parameter a line where they do not fit into one."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if method else 0 :]
    texts: list[str] = []
    for parameter in parameters:
        kinds = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.KEYWORD_ONLY]
        if parameter.kind is kinds[1] and not any(p.kind in kinds for p in parameters[: parameters.index(parameter)]):
            texts.append("*")
        texts.append(_parameter(parameter))
    start = "async def" if inspect.iscoroutinefunction(function) else "def"
    result = _type(signature.return_annotation)
    line = f"{start} {name}({', '.join(texts)}) -> {result}"
    if len(line) <= WIDTH:
        return line
    return f"{start} {name}(\n" + "".join(f"    {text},\n" for text in texts) + f") -> {result}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = f"{str(parameter).partition(':')[0]}: {_type(parameter.annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return text
    default = parameter.default
    return f"{text} = {default if isinstance(default, Enum) else _value(default)}"


def _value(value: object) -> str:
    # What has no literal shows an address in memory.
    text = repr(value)
    return "..." if " at 0x" in text else text


def _type(annotation: object) -> str:
    if annotation is inspect.Signature.empty:
        return "Any"
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


# -------------------------------------------------------------------- classes and constants


def _class(name: str, kind: type[Any]) -> str:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base is not object)
    parts = [f"```python\nclass {name}{f'({bases})' if bases else ''}\n```\n", f"{_markdown(kind.__doc__)}\n"]
    if issubclass(kind, Enum):
        parts.append(", ".join(f"`{member.value}`" for member in kind) + "\n")
    elif fields := {field: (typed, text) for each in _parts(kind) for field, typed, text in _fields(each)}:
        rows = [
            f"| `{field}` | `{typed.replace('|', chr(92) + '|')}` | {text} |" for field, (typed, text) in fields.items()
        ]
        parts.append("| field | type | |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    own = {
        each: value for part in _parts(kind) for each, value in vars(part).items() if not hasattr(part.__base__, each)
    }
    methods = [line for each, value in own.items() if (line := _method(each, value))]
    return "\n".join([*parts, *(["\n".join(methods) + "\n"] if methods else [])])


def _parts(kind: type[Any]) -> list[type[Any]]:
    """A class, and the protocols of mailvet's that it is made of."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("mailvet")]
    return [kind, *(base for base in bases if getattr(base, "_is_protocol", False))]


def _fields(kind: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Name, type and docstring of every annotated field in the source of a class."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    for node, behind in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        typed = ast.unparse(node.annotation)
        if node.target.id.startswith("_") or typed.startswith("ClassVar"):
            continue
        text = ""
        if isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            text = " ".join(str(behind.value.value).split())
        yield node.target.id, typed, text.replace("|", "\\|")


def _method(name: str, value: Any) -> str | None:
    """A line for a public method or property."""
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if name.startswith("_"):
        return None
    if isinstance(value, property):
        return f"- `{name}`: {_first_sentence(value)}"
    if not inspect.isfunction(function) or not function.__doc__:
        return None
    signature = _signature(name, function, method=not isinstance(value, staticmethod))
    signature = " ".join(signature.removeprefix("async ").removeprefix("def ").split()).replace("( ", "(")
    return f"- `{signature.replace(',)', ')').replace(', )', ')')}`: {_first_sentence(function)}"


def _about_constant(name: str) -> str:
    """The docstring under a module's constant."""
    home = next(home for home, names in mailvet.sdk._HOMES.items() if name in names)
    body = ast.parse(inspect.getsource(import_module(home))).body
    for node, behind in pairwise(body):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if name in names and isinstance(behind, ast.Expr):
            assert isinstance(behind.value, ast.Constant)
            return _markdown(str(behind.value.value))
    raise LookupError(f"{home}.{name} has no docstring")


# -------------------------------------------------------------------- docstrings

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")


def _first_sentence(value: Any) -> str:
    text = inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def _markdown(docstring: str | None) -> str:
    """A docstring as Markdown: sections become lists, examples become blocks of code."""
    lines: list[str] = []
    section = False
    code = False
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line.startswith(">>>") and not code:
            lines.append("```python")
            code = True
        elif code and not line.strip():
            lines.append("```")
            code = False
        if code:
            lines.append(re.sub(r"\s+# doctest:.*", "", line))
        elif _SECTION.fullmatch(line):
            section = True
            lines += [f"**{line.rstrip(':')}**", ""]
        elif section and re.match(r"    \S", line):
            lines.append(_item(line.strip()))
        else:
            section = section and (not line.strip() or line.startswith(" "))
            lines.append(
                f"  {line.strip()}" if section and line.startswith(" " * 8) else line.strip() if section else line
            )
    return "\n".join([*lines, *(["```"] if code else [])]).strip()


def _item(text: str) -> str:
    """`name: what it is` as an item of a list; what names nothing stays as it is."""
    name, colon, about = text.partition(": ")
    if colon and re.fullmatch(r"[\w*]+(, [\w*]+)*", name):
        names = ", ".join(f"`{each}`" for each in name.split(", "))
        return f"- {names}: {about}"
    return text


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text("utf-8") == page() else "docs/api.md is old: run python docs/make_api.py")
    PAGE.write_text(page(), "utf-8")

"""What may leave this machine of a database's error: words that any database says, and names of the test's tables.

Everything else, which may name a table, a host, a user or a person, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mailvet.doctor.write_test.places import PREFIX

__all__ = ["public_note"]

_LONGEST = 400
_GAP = "..."
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|\d+|[^\sA-Za-z_0-9]|\s+")
_MARKS = frozenset("()[]{}<>=,;:+-*/%|'\"`!?")
_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a aborted access aggregate aliases all alias already alter ambiguous an analysis analyze and any are argument
    arguments array as at attempt be because before being binary boolean but by bytes cannot cast catalog character
    characters clause cluster code collate collation column columns command commit compilation condition conflict
    connection constraint contain contains conversion convert could count create current data database date datetime
    day decimal declared default delete denied depth distinct does double drop duplicate each else empty end error
    escape evaluate exceeded exceeds exception executing exist exists expected expecting expression extract failed
    failure feature field file filter float following for format found from full function functions given granted
    group grouping has have having hint identifier if ignored illegal implicit in incompatible incorrect index inner
    input insert insufficient int integer internal into invalid is it join key keyword kind last left length less
    level like limit line literal lock locked long mapping match matched matching materialized maximum merge message
    missing mode more must name named near nested new no not nothing null number numeric object of offset on one only
    operand operation operator option options or order out outer over parameter parameters parse parser partition
    permission permissions permitted point position possible precision prefix prepared primary privilege privileges
    procedure query quote range read reason recursive reference referenced regexp remaining requires resolve resource
    result resolved right row rows run scalar schema select sequence session set should side signature size source sql
    state statement static string subquery such supported syntax table tables target temporary text than that the then
    this time timeout timestamp to token too transaction truncated type types undefined unexpected unique unknown
    unresolved unsupported update usage use used user using valid value values varchar variable version view was
    when where which while window with within without wrong zone
    """,
    )
)
"""English and SQL, as databases speak them."""


def public_note(error: BaseException) -> str:
    """An error as it may be sent to others.

    >>> public_note(ValueError("column mailvet_status of relation payroll.staff does not exist near 'bob'"))
    "ValueError: column mailvet_status of ... does not exist near '...'"
    """
    cause = _driver_error(error)
    text = str(getattr(cause, "orig", None) or cause).strip().split("\n", 1)[0]
    code = _code(cause)
    head = f"{type(cause).__name__}{f' {code}' if code else ''}"
    return f"{head}: {_public(text)}"[:_LONGEST]


def _public(text: str) -> str:
    kept: list[str] = []
    for token in _TOKEN.findall(text):
        if token.isspace():
            kept.append(" ")
        elif token in _MARKS or token.lower() in _WORDS or token.lower().startswith(f"{PREFIX}_"):
            kept.append(token)
        else:
            kept.append(_GAP)
    joined = "".join(kept)
    return re.sub(r"\.{3}(\s*\.{3})+", _GAP, joined).strip()


def _driver_error(error: BaseException) -> BaseException:
    """The first error of the chain that is not mailvet's own."""
    for each in _chain(error):
        if not type(each).__module__.startswith("mailvet"):
            return each
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def _code(error: BaseException) -> str:
    """The SQLSTATE or number that a driver gives, if it is one."""
    cause: Any = getattr(error, "orig", None) or error
    first = cause.args[0] if getattr(cause, "args", None) else None
    return next(iter(_codes(getattr(cause, "sqlstate", None), getattr(cause, "errno", None), first)), "")


def _codes(*candidates: Any) -> Iterable[str]:
    for each in candidates:
        if isinstance(each, int) and not isinstance(each, bool):
            yield str(each)
        elif isinstance(each, str) and re.fullmatch(r"[0-9A-Z]{5}", each):
            yield each

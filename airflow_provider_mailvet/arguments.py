"""Values as they stand in a DAG, or come out of a template as text; and how messages name the arguments."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

__all__ = ["NOT_GIVEN", "argument_words", "count", "drop_unset", "duration", "given", "listed", "renamed"]

NOT_GIVEN: Any = "not given"
"""The default of arguments for which None means something."""

_WORDS = {
    "config": "the field 'Settings file' (config) of the mailvet connection",
    "key_column": "key_columns",
    "output": "output_path",
}
"""Arguments of mailvet that have another name here."""


def argument_words(name: str, value: Any) -> str:
    """An argument in a message of mailvet's, as it is written in a DAG."""
    return _WORDS.get(name, name) if value is None else f"{_WORDS.get(name, name)}={value!r}"


def given(value: Any) -> Any:
    """A value, or None where a template rendered nothing: "", "None" or null; a list without such elements."""
    if isinstance(value, (list, tuple)):
        kept = [each for each in value if given(each) is not None]
        return kept or None
    return None if isinstance(value, str) and value.strip() in ("", "None") else value


def drop_unset(operator: Any) -> None:
    """Give every templated argument that rendered to nothing the value it has when it is left out.

    Raises:
        SettingsError: one that has to be given is not.
    """
    from mailvet import SettingsError
    from mailvet.sdk import argument

    parameters = {
        name: parameter
        for each in reversed(type(operator).__mro__)
        if "__init__" in vars(each)
        for name, parameter in inspect.signature(vars(each)["__init__"]).parameters.items()
    }
    for name in operator.template_fields:
        value = given(getattr(operator, name))
        if value is None:
            value = parameters[name].default if name in parameters else None
            if value is inspect.Parameter.empty or name == "conn_id":
                raise SettingsError(f"{argument(name)} is not given: its template rendered to nothing.")
        setattr(operator, name, value)


def listed(value: str | Iterable[str] | None) -> list[str]:
    """Names in a list, in text with commas, or in a list that a template has turned into text; None is no name.

    >>> listed("status, reason"), listed("['status']"), listed(None)
    (['status', 'reason'], ['status'], [])
    """
    if value is None:
        return []
    if isinstance(value, str):
        if value.lstrip().startswith(("[", "(")):
            try:
                return listed(ast.literal_eval(value.strip()))
            except (ValueError, SyntaxError):
                pass
        value = value.split(",")
    return [text for each in value if (text := str(each).strip())]


def renamed(old: str, new: str, value: Any) -> Any:
    """The value of an argument that has another name now, with a DeprecationWarning.

    A flag becomes the limit it stands for: True allows none, False is no limit.
    """
    warnings.warn(f"{old} is called {new} now.", DeprecationWarning, stacklevel=3)
    return (0.0 if value else None) if isinstance(value, bool) else value


def duration(value: timedelta | str | float | None, name: str) -> timedelta:
    """A length of time given as "45m", as seconds or as a timedelta; None is no time at all.

    Raises:
        SettingsError: it is no duration.
    """
    from mailvet import SettingsError
    from mailvet.sdk import argument, parse_duration

    if value is None:
        return timedelta(0)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingsError(f"{argument(name)}: {error}.") from None


def count(value: int | str | None, name: str) -> int | None:
    """A whole number above 0, or None.

    Raises:
        SettingsError: it is none.
    """
    from mailvet import SettingsError
    from mailvet.sdk import argument

    if value is None:
        return None
    if not re.fullmatch(r"[1-9]\d*", str(value)):
        raise SettingsError(f"{argument(name, str(value))}: give a whole number above 0, or leave it out.")
    return int(value)

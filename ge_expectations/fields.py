"""Arguments that several expectations share: their types, descriptions and checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from great_expectations.compatibility import pydantic

from mailvet.settings import parse_duration, parse_share
from mailvet.verdict import Recommendation, Status

__all__ = [
    "CONFIG", "DEPTH", "POLICY", "SHOW_ADDRESSES", "VERDICT_TABLE", "VERIFY", "DepthName", "PolicyName", "UnknownRule",
    "VerifyRule", "checked_duration", "checked_share", "checked_words",
]  # fmt: skip

DepthName = Literal["offline", "dns", "smtp"]
PolicyName = Literal["marketing", "transactional", "signup"]
VerifyRule = Literal["never", "missing", "always"]
UnknownRule = Literal["pass", "fail", "error"]

DEPTH = pydantic.Field(
    default=None, description="How far to verify: offline, dns or smtp. Default: as the settings say."
)
CONFIG = pydantic.Field(default=None, description="Path of a mailvet.toml. Default: the environment alone.")
VERDICT_TABLE = pydantic.Field(
    default=None,
    description="Where verdicts are stored: a table (schema.table) of the same database or Spark catalog; for a "
    "dataframe the path of a Parquet file or DuckDB database. Default: mailvet_verdicts where it exists.",
)
VERIFY = pydantic.Field(
    default="missing",
    description="never: ask nobody, rely on the verdict table. missing: verify what has no verdict that still holds. "
    "always: ignore the verdict table.",
)
POLICY = pydantic.Field(
    default=None, description="What the mail is for: marketing, transactional or signup. Default: as the settings say."
)
SHOW_ADDRESSES = pydantic.Field(
    default=False, description="Let results and Data Docs show the failing addresses as the result format says."
)

_WORDS = {str(word) for kind in (Status, Recommendation) for word in kind}


def checked_words(words: Iterable[str]) -> list[str]:
    """
    Statuses and recommendations, each once.

    Raises:
        ValueError: none at all, or something else.
    """
    chosen = list(dict.fromkeys(str(word) for word in words))
    odd = [word for word in chosen if word not in _WORDS]
    if odd or not chosen:
        raise ValueError(f"{odd or 'nothing'} named; there are: {', '.join(sorted(_WORDS))}")
    return chosen


def checked_share(value: object) -> object:
    """
    A share such as "2%" or 0.02 as a number; what is a suite parameter stays as it is.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no share; write for example '2%' or '0.02'")
    return parse_share(str(value))


def checked_duration(text: str) -> str:
    """
    A duration such as "30d", unchanged.

    Raises:
        ValueError: it is none.
    """
    parse_duration(text)
    return text

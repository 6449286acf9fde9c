"""Arguments that several expectations share: their types, descriptions and checks.

Every argument may be a suite parameter, `{"$PARAMETER": "name"}`, whose value comes with the run: Great Expectations
puts it in and builds the expectation once more, so that the same checks look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from great_expectations.compatibility import pydantic
from great_expectations.core.suite_parameters import get_suite_parameter_key, is_suite_parameter

from mailvet.sdk import among_words, parse_duration, parse_share

__all__ = [
    "COLUMN",
    "CONFIG",
    "DEPTH",
    "POLICY",
    "SHOW_ADDRESSES",
    "VERDICT_TABLE",
    "VERIFY",
    "Column",
    "Depth",
    "Flag",
    "OptionalText",
    "OptionalWords",
    "Parameter",
    "Policy",
    "Share",
    "Text",
    "UnknownRule",
    "VerifyRule",
    "Words",
    "checked_confidence",
    "checked_duration",
    "checked_share",
    "checked_words",
    "without_parameters",
]


class Parameter(dict[str, str]):
    """A suite parameter of Great Expectations: `{"$PARAMETER": "name"}`."""

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], Any]]:
        yield cls._check

    @classmethod
    def _check(cls, value: Any) -> Any:
        if not is_suite_parameter(value):
            raise ValueError('give a value, or a suite parameter: {"$PARAMETER": "name"}')
        return value

    @classmethod
    def __modify_schema__(cls, schema: dict[str, Any]) -> None:
        schema.update(
            title="Suite parameter",
            type="object",
            properties={"$PARAMETER": {"type": "string"}},
            required=["$PARAMETER"],
        )


if TYPE_CHECKING:  # by the time an expectation is evaluated, every suite parameter has been replaced by its value
    Column = str
    Text = str
    OptionalText = str | None
    Flag = bool
    Words = list[str]
    OptionalWords = list[str] | None
    Share = float | str
    Depth = Literal["offline", "dns", "smtp"] | None
    Policy = str | None
    VerifyRule = Literal["never", "missing", "always"]
    UnknownRule = Literal["pass", "fail", "error"]
else:
    Column = pydantic.StrictStr | Parameter
    Text = str | Parameter
    OptionalText = str | Parameter | None
    Flag = bool | Parameter
    Words = list[str] | Parameter
    OptionalWords = list[str] | Parameter | None
    Share = float | str | Parameter
    Depth = Literal["offline", "dns", "smtp"] | Parameter | None
    Policy = str | Parameter | None
    VerifyRule = Literal["never", "missing", "always"] | Parameter
    UnknownRule = Literal["pass", "fail", "error"] | Parameter

COLUMN = pydantic.Field(..., min_length=1, description="The column of addresses.")
DEPTH = pydantic.Field(
    default=None, description="How far to verify: offline, dns or smtp. Default: as the settings say."
)
CONFIG = pydantic.Field(default=None, description="Path of a mailvet.toml. Default: the environment alone.")
VERDICT_TABLE = pydantic.Field(
    default=None,
    description="Where verdicts are stored: a table (schema.table) of the same database or Spark catalog; for a "
    "dataframe the path of a Parquet file or, on Pandas, of a DuckDB database. Default: mailvet_verdicts where it "
    "exists.",
)
VERIFY = pydantic.Field(
    default="missing",
    description="never: rely on the verdict table alone. missing: verify what has no verdict that still holds. "
    "always: ignore the verdict table.",
)
POLICY = pydantic.Field(
    default=None,
    description="What the mail is for: marketing, transactional, signup, or a policy of the config's own. Default: as "
    "the settings say.",
)
SHOW_ADDRESSES = pydantic.Field(
    default=False, description="Let results and Data Docs show the failing addresses as the result format says."
)


def checked_words(words: Any) -> Any:
    """Statuses and recommendations, each once: a list, or text with commas; a suite parameter stays as it is.

    Raises:
        ValueError: none at all, or something else.
    """
    if is_suite_parameter(words):
        return words
    chosen = list(among_words(words))
    if not chosen:
        raise ValueError("nothing is named; name statuses or recommendations, such as 'send'")
    return chosen


def checked_share(value: Any) -> Any:
    """A share such as "2%" or 0.02 as a number; a suite parameter stays as it is.

    Raises:
        ValueError: it is none.
    """
    if is_suite_parameter(value):
        return value
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no share; write for example '2%' or '0.02'")
    return parse_share(str(value))


def checked_confidence(value: Any) -> Any:
    """The same, between 0 and 1 and neither of them.

    Raises:
        ValueError: it is none.
    """
    share = checked_share(value)
    if not is_suite_parameter(share) and not 0 < share < 1:
        raise ValueError(f"{value!r} is no confidence; give a number between 0 and 1, such as 0.95 or '95%'")
    return share


def checked_duration(text: Any) -> Any:
    """A duration such as "30d", unchanged, as is a suite parameter.

    Raises:
        ValueError: it is none.
    """
    if not is_suite_parameter(text):
        parse_duration(text)
    return text


def without_parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for a sentence: a suite parameter is told by its name."""
    return {
        name: f"<{get_suite_parameter_key(value)}>" if is_suite_parameter(value) else value
        for name, value in given.items()
    }

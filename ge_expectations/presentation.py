"""What all our expectations share in front of people.

Their sentence in suites and Data Docs, the observed value with reasons by count, and results without addresses unless
they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from great_expectations.expectations.expectation import _style_row_condition, render_suite_parameter_string
from great_expectations.expectations.metadata_types import SupportedDataSources
from great_expectations.render import (  # type: ignore[attr-defined]
    AtomicDiagnosticRendererType,
    LegacyRendererType,
    RenderedAtomicContent,
    RenderedStringTemplateContent,
    renderedAtomicValueSchema,
)
from great_expectations.render.components import LegacyDiagnosticRendererType
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererConfiguration, RendererValueType
from great_expectations.render.util import num_to_str, parse_row_condition_string

from ge_expectations.batch_checks import why_unusable
from ge_expectations.fields import without_parameters

if TYPE_CHECKING:
    from ge_expectations.tally import Tally

__all__ = ["DATA_SOURCES", "EmailExpectation", "counted", "describe_schema", "either", "percent", "without_addresses"]

DATA_SOURCES = [
    SupportedDataSources.PANDAS.value,
    SupportedDataSources.SPARK.value,
    SupportedDataSources.SQLITE.value,
    SupportedDataSources.POSTGRESQL.value,
    "DuckDB",
]

_VALUES = ("partial_unexpected_list", "partial_unexpected_counts", "unexpected_list", "unexpected_rows")
_SHOWN_REASONS = 6


def either(words: Any) -> str:
    """Words as alternatives; text, the name of a suite parameter, as it is.

    >>> either(["send", "risky"]), either("<allowed>")
    ('send or risky', '<allowed>')
    """
    return words if isinstance(words, str) else " or ".join(words)


def percent(share: float) -> str:
    """A share as people write it.

    >>> percent(0.0215), percent(1)
    ('2.15%', '100%')
    """
    return f"{share * 100:.4g}%"


def counted(counts: Mapping[str, int]) -> str:
    """Counts in words, the largest first and no more than a line of them.

    >>> counted({"mailbox_not_found": 3, "null_mx": 1})
    '3 mailbox_not_found, 1 null_mx'
    """
    # Sorted here, for stored results come back in the order of the names.
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {name}" for name, count in ordered[:_SHOWN_REASONS]]
    rest = sum(count for _, count in ordered[_SHOWN_REASONS:])
    return ", ".join([*shown, f"{rest:,} others"] if rest else shown)


def without_addresses(result: dict[str, Any], column: str, *, keep_query: bool) -> None:
    """Take every value of the column out of a map expectation's result, in place. Counts and ids stay."""
    inner = result.get("result")
    if not isinstance(inner, dict):
        return
    for name in _VALUES:
        inner.pop(name, None)
    for name in ("unexpected_index_list", "partial_unexpected_index_list"):
        for row in inner.get(name) or ():
            if isinstance(row, dict):
                row.pop(column, None)
    if not keep_query:
        inner.pop("unexpected_index_query", None)


def describe_schema(schema: dict[str, Any], title: str, issue: str) -> None:
    """Put what catalogues of expectations show into a model's schema."""
    schema["properties"]["metadata"]["properties"].update(
        {
            "data_quality_issues": {"title": "Data Quality Issues", "type": "array", "const": [issue]},
            "library_metadata": {"title": "Library Metadata", "type": "object", "const": LIBRARY_METADATA},
            "short_description": {"title": "Short Description", "type": "string", "const": title},
            "supported_data_sources": {"title": "Supported Data Sources", "type": "array", "const": DATA_SOURCES},
        }
    )


LIBRARY_METADATA: dict[str, Any] = {
    "maturity": "beta",
    "tags": ["email", "deliverability"],
    "contributors": ["mailvet"],
    "requirements": ["mailvet"],
    "has_full_test_suite": True,
    "manually_reviewed_code": True,
}


class EmailExpectation:
    """Mixin: text for suites and Data Docs, and a look at the batch. A subclass says its sentence in `_sentence`."""

    library_metadata: ClassVar[dict[str, Any]] = LIBRARY_METADATA
    _library_metadata: ClassVar[dict[str, Any]] = LIBRARY_METADATA

    @classmethod
    def _sentence(cls, kwargs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """What is expected: a template with `$names`, and the values of the names; the column is put before it."""
        raise NotImplementedError

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        """What was found, in words; None when the result does not tell."""
        raise NotImplementedError

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: Any = None, **_: Any
    ) -> Any:
        """The metrics to compute; for a batch that cannot be worked with the one alone that says why."""
        return why_unusable(execution_engine) or self._dependencies(execution_engine, runtime_configuration)

    def _dependencies(self, execution_engine: Any, runtime_configuration: Any) -> Any:
        base: Any = super()
        return base.get_validation_dependencies(execution_engine, runtime_configuration)

    @classmethod
    def _given(cls, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments with the defaults of those not given."""
        fields: Mapping[str, Any] = cls.__fields__  # type: ignore[attr-defined]
        return without_parameters({name: kwargs.get(name, field.default) for name, field in fields.items()})

    @classmethod
    def _mostly(cls, given: Mapping[str, Any], params: dict[str, Any]) -> str:
        mostly = given.get("mostly")
        if isinstance(mostly, (int, float)) and mostly < 1:
            params["mostly_pct"] = num_to_str(mostly * 100, no_scientific=True)
            return ", at least $mostly_pct % of the time."
        return "."

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: Any) -> Any:
        kwargs = renderer_configuration.kwargs or {}
        template, params = cls._sentence(cls._given(kwargs))
        if renderer_configuration.include_column_name and kwargs.get("column"):
            template, params = f"$column {template}", {**params, "column": cls._given(kwargs)["column"]}
        for name, value in params.items():
            renderer_configuration.add_param(name=name, param_type=RendererValueType.STRING, value=str(value))
        renderer_configuration.template_str = template
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None, **_: Any
    ) -> list[RenderedStringTemplateContent]:
        options = runtime_configuration or {}
        styling = options.get("styling")
        kwargs = configuration.kwargs if configuration else {}
        template, params = cls._sentence(cls._given(kwargs))
        if options.get("include_column_name") is not False and kwargs.get("column"):
            template, params = f"$column {template}", {**params, "column": cls._given(kwargs)["column"]}
        if kwargs.get("row_condition") is not None:
            condition = parse_row_condition_string(kwargs["row_condition"])
            template, styling = _style_row_condition(condition, template, params, styling)
        return [
            RenderedStringTemplateContent(
                content_block_type="string_template",
                string_template={"template": template, "params": params, "styling": styling},
            )
        ]

    @classmethod
    def _observed_text(cls, result: Any) -> str:
        found = result.result if result is not None else None
        return (cls._observed(found) if found else None) or "--"

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None, **_: Any
    ) -> str:
        return cls._observed_text(result)

    @classmethod
    @renderer(renderer_type=AtomicDiagnosticRendererType.OBSERVED_VALUE)
    def _atomic_diagnostic_observed_value(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None, **_: Any
    ) -> RenderedAtomicContent:
        settings: Any = RendererConfiguration(
            configuration=configuration, result=result, runtime_configuration=runtime_configuration
        )
        settings.add_param("observed_value", RendererValueType.STRING, value=cls._observed_text(result))
        value = renderedAtomicValueSchema.load(
            {
                "template": "$observed_value",
                "params": settings.params.dict(),
                "schema": {"type": "com.superconductive.rendered.string"},
            }
        )
        return RenderedAtomicContent(
            name=AtomicDiagnosticRendererType.OBSERVED_VALUE, value=value, value_type="StringValueType"
        )


def unexpected_in_words(result: Mapping[str, Any], by: str) -> str | None:
    """The observed value of a map expectation: the share that fails, and of what."""
    share = result.get("unexpected_percent")
    counts = (result.get("details") or {}).get(by) or {}
    if share is None and not counts:
        return None
    text = f"{percent((share or 0.0) / 100)} unexpected"
    return f"{text}: {counted(counts)}" if counts else text


def oldest_of(tally: Tally) -> str | None:
    """When the oldest verdict was made, ISO 8601."""
    return tally.oldest.isoformat(timespec="seconds") if tally.oldest else None

"""What people read: sentences, observed values, and both kinds of rendering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from great_expectations.expectations.registry import get_renderer_impl
from great_expectations.render.renderer.inline_renderer import InlineRenderer

import ge_expectations as mx

from .conftest import Home, five

SENTENCES: list[tuple[Any, str]] = [
    (
        mx.ExpectColumnValuesToBeDeliverableEmail(column="email"),
        "email values must be e-mail addresses whose verdict is send.",
    ),
    (
        mx.ExpectColumnValuesToBeDeliverableEmail(
            column="email", policy="signup", depth="dns", allow=["send", "risky"], unknown="pass", mostly=0.985
        ),
        "email values must be e-mail addresses whose verdict is send or risky for signup mail (verified as far as "
        "dns); addresses of unknown verdict pass, at least 98.5 % of the time.",
    ),
    (mx.ExpectColumnBounceRateToBeBelow(column="email"), "email hard bounces to expect must stay below 2%."),
    (
        mx.ExpectColumnBounceRateToBeBelow(column="email", max_rate=0.005, judge_by="upper", among=["send"]),
        "email hard bounces to expect must stay below 0.5% with 95% confidence, among rows whose verdict is send.",
    ),
    (
        mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", depth="smtp"),
        "email values must be e-mail addresses verified within the last 30d as far as smtp.",
    ),
    (
        mx.ExpectNoUndeliverableRows(column="email"),
        "email must not be an address that mailvet_verdicts calls undeliverable, in any row.",
    ),
    (
        mx.ExpectColumnValuesToBeEmailSyntax(column="email", international=False, mostly=0.9),
        "email values must be written as e-mail addresses that need no SMTPUTF8, at least 90 % of the time.",
    ),
]


def filled(template: str, params: dict[str, Any]) -> str:
    for name in sorted(params, key=len, reverse=True):
        value = params[name]
        template = template.replace(f"${name}", str(value["value"] if isinstance(value, dict) else value))
    return template


@pytest.mark.parametrize(("expectation", "sentence"), SENTENCES)
def test_both_renderers_say_the_same_sentence(expectation: Any, sentence: str) -> None:
    configuration = expectation.configuration
    _, legacy = get_renderer_impl(configuration.type, "renderer.prescriptive")  # type: ignore[misc]
    (old,) = legacy(configuration=configuration)
    assert filled(old.string_template["template"], old.string_template["params"]) == sentence
    (new,) = InlineRenderer(render_object=configuration).get_rendered_content()
    assert filled(new.value.template, new.value.params) == sentence


def test_a_row_condition_is_part_of_the_sentence() -> None:
    from great_expectations.expectations.row_conditions import Column

    configuration = mx.ExpectColumnValuesToBeEmailSyntax(
        column="email", row_condition=Column("team") == "a"
    ).configuration
    _, legacy = get_renderer_impl(configuration.type, "renderer.prescriptive")  # type: ignore[misc]
    (old,) = legacy(configuration=configuration)
    text = filled(old.string_template["template"], old.string_template["params"])
    assert text.startswith("If ")
    assert "team" in text


def test_observed_values_tell_reasons_by_count(homes: Callable[[str], Home], config: str) -> None:
    home = homes("duckdb")
    result = home.suite(*five(home, config, lenient=False))
    told = []
    for each in result.results:
        _, legacy = get_renderer_impl(each.expectation_config.type, "renderer.diagnostic.observed_value")  # type: ignore[misc]
        text = legacy(result=each)
        (atomic,) = [
            content
            for content in InlineRenderer(render_object=each).get_rendered_content()
            if str(content.name).endswith("observed_value")
        ]
        assert filled(atomic.value.template, atomic.value.params) == text
        told.append(text)
    deliverable, bounces, recently, rows, syntax = told
    assert deliverable == ("44.44% unexpected: 1 dns_error, 1 mailbox_not_found, 1 null_mx, 1 syntax_invalid")
    assert bounces.startswith("34.")
    assert "of 9 addresses" in bounces
    assert bounces.endswith("expected bounces: 1 mailbox_not_found, 1 null_mx, 1 syntax_invalid")
    assert recently.startswith("100% unexpected: 9 verified_too_long_ago; oldest verdict of 20")
    assert rows == "3 rows: 1 mailbox_not_found, 1 null_mx, 1 syntax_invalid"
    assert syntax == "11.11% unexpected: 1 missing_at"


def test_long_lists_of_reasons_are_cut() -> None:
    from ge_expectations.presentation import counted

    assert counted({f"reason_{i}": 10 - i for i in range(9)}).endswith("5 reason_5, 9 others")


def test_a_result_without_details_renders(homes: Callable[[str], Home], config: str) -> None:
    home = homes("sqlite")
    result = home.suite(*five(home, config, lenient=False), result_format="BOOLEAN_ONLY")
    for each in result.results:
        _, legacy = get_renderer_impl(each.expectation_config.type, "renderer.diagnostic.observed_value")  # type: ignore[misc]
        assert isinstance(legacy(result=each), str)


def test_schemas_describe_every_expectation() -> None:
    for name in mx.__all__:
        kind = getattr(mx, name)
        if name.startswith("Expect"):
            schema = kind.schema()
            assert schema["title"].startswith("Expect")
            assert kind.__doc__
            described = schema["properties"]["metadata"]["properties"]["supported_data_sources"]["const"]
            assert "DuckDB" in described

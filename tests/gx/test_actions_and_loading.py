"""The report of a checkpoint, and what happens without `import ge_expectations`."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import great_expectations as gx
import pytest

import ge_expectations as mx
from mailvet.errors import SettingsError

from .conftest import PLANTED, Home, five


def checkpoint_of(home: Home, expectations: list[Any], name: str, action: mx.MailvetReportAction) -> Any:
    suite = home.context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = home.context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=home.definition, suite=suite)
    )
    return home.context.checkpoints.add(
        gx.Checkpoint(name=name, validation_definitions=[definition], actions=[action], result_format="COMPLETE")
    )


def test_the_report_holds_counts_and_no_addresses(homes: Callable[[str], Home], config: str, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "gate.json"
    action = mx.MailvetReportAction(name="report", path=str(path), on_error="raise")
    checkpoint_of(homes("duckdb"), five(homes("duckdb"), config, lenient=False), "report", action).run()
    text = path.read_text()
    report = json.loads(text)
    assert report["outcome"] == "failed"
    assert [each["outcome"] for each in report["expectations"]] == ["failed"] * 5
    deliverable = report["expectations"][0]
    assert (deliverable["severity"], deliverable["unexpected_count"]) == ("critical", 4)
    assert deliverable["details"]["failing_by_reason"]["null_mx"] == 1
    assert report["expectations"][3]["observed_value"] == 3
    assert not [email for _, email, _ in PLANTED if email and email in text]


def test_an_error_is_raised_when_asked_for_and_reported_in_any_case(
    homes: Callable[[str], Home], config: str, tmp_path: Path
) -> None:
    home = homes("sqlite")

    def wrong() -> list[Any]:
        return [mx.ExpectColumnValuesToBeDeliverableEmail(column="age", config=config)]

    path = tmp_path / "gate.json"
    raising = mx.MailvetReportAction(name="report", path=str(path), on_error="raise")
    with pytest.raises(mx.VerificationError, match="not text"):
        checkpoint_of(home, wrong(), "raising", raising).run()
    assert json.loads(path.read_text())["outcome"] == "error"
    reported = checkpoint_of(home, wrong(), "reporting", mx.MailvetReportAction(name="report")).run()
    assert (reported.success, mx.outcome_of(reported)) == (False, "error")


def test_details_of_other_expectations_are_left_out(homes: Callable[[str], Home], tmp_path: Path) -> None:
    import great_expectations.expectations as gxe

    path = tmp_path / "gate.json"
    foreign = [gxe.ExpectColumnDistinctValuesToBeInSet(column="email", value_set=["x"])]
    action = mx.MailvetReportAction(name="report", path=str(path))
    checkpoint_of(homes("pandas"), foreign, "foreign", action).run(
        {"dataframe": homes("pandas").parameters["dataframe"]}
    )
    assert "acme.test" not in path.read_text()


def in_another_process(code: str) -> subprocess.CompletedProcess[str]:
    script = "import warnings; warnings.filterwarnings('ignore')\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_a_missing_import_is_loud(tmp_path: Path, config: str) -> None:
    context = gx.get_context(mode="file", project_root_dir=tmp_path)
    source = context.data_sources.add_pandas("pandas")
    definition = source.add_dataframe_asset("contacts").add_batch_definition_whole_dataframe("all")
    expectations = [
        mx.ExpectColumnValuesToBeDeliverableEmail(column="email", config=config),
        mx.ExpectNoUndeliverableRows(column="email", config=config),
    ]
    suite = context.suites.add(gx.ExpectationSuite(name="contacts", expectations=expectations))
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name="contacts", data=definition, suite=suite)
    )
    context.checkpoints.add(
        gx.Checkpoint(
            name="contacts", validation_definitions=[validation], actions=[mx.MailvetReportAction(name="report")]
        )
    )
    reloaded = context.suites.get("contacts")
    mx.assert_loaded(reloaded, context=context)
    assert reloaded.expectations[1].unexpected_rows_query == expectations[1].unexpected_rows_query

    forgotten = in_another_process(
        f"""
        import great_expectations as gx
        context = gx.get_context(mode="file", project_root_dir={str(tmp_path)!r})
        suite = context.suites.get("contacts")
        print("loaded", len(suite.expectations))
        try:
            context.checkpoints.get("contacts")
        except Exception as error:
            print("checkpoint:", type(error).__name__)
        import ge_expectations
        try:
            ge_expectations.assert_loaded(suite, context=context)
        except Exception as error:
            print(error)
        """
    )
    said = forgotten.stdout
    assert "loaded 0" in said, forgotten.stderr
    assert "checkpoint: ValidationActionRegistryRetrievalError" in said
    assert "has 2 expectations, but only 0 were loaded" in said
    assert "expect_no_undeliverable_rows" in said


def test_assert_loaded_counts_what_is_expected() -> None:
    suite = gx.ExpectationSuite(name="s", expectations=[mx.ExpectColumnValuesToBeEmailSyntax(column="email")])
    mx.assert_loaded(suite, expected=1)
    with pytest.raises(SettingsError, match="only 1 were loaded"):
        mx.assert_loaded(suite, expected=2)


def test_the_dialect_is_known_without_importing_duckdb_engine() -> None:
    said = in_another_process(
        """
        import sys
        import ge_expectations
        print("duckdb_engine" in sys.modules)
        import sqlalchemy
        print(sqlalchemy.create_engine("duckdb+mailvet:///:memory:").dialect.name)
        """
    )
    assert said.stdout.split() == ["False", "duckdb"], said.stderr

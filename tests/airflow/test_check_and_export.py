"""Gates and lists over a table whose verdicts are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from tests.airflow.conftest import CELLS, PEOPLE, rows


def check(**arguments: Any) -> dict[str, Any]:
    return MailvetCheckOperator(task_id="gate", conn_id="crm", table="contacts", **arguments).execute({})


@pytest.fixture
def verified(crm: Path, metadata_database: Path, lab_connection: str) -> Path:
    """The table, verified by DNS alone: mailboxes are unknown, one domain takes no mail, three cells are no address."""
    operator = MailvetVerifyOperator(
        task_id="verify", conn_id="crm", table="contacts", depth="dns", mailvet_conn_id=lab_connection, outlets=[]
    )
    summary = operator.execute({})
    assert (summary["depth"], summary["by_status"]) == ("dns", {"unknown": 21, "undeliverable": 2})
    return crm


def test_a_gate_lets_pass_what_is_within_its_limits(verified: Path) -> None:
    result = check(max_undeliverable_rate="10%", max_age="1d", max_bounce_rate=0.5, max_unknown_rate=1)
    assert result["passed"] is True
    assert (result["rows"], result["addresses"], result["undeliverable"], result["stale"]) == (len(CELLS), 23, 2, 0)
    assert result["low"] < result["expected_bounce_rate"] < result["high"]
    assert {limit["name"]: limit["passed"] for limit in result["limits"]} == dict.fromkeys(
        ("max_undeliverable_rate", "max_unknown_rate", "max_unverified_rate", "max_stale_rate", "max_bounce_rate"), True
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_undeliverable_rate": 0.05}, "8.70% undeliverable, where max_undeliverable_rate allows 5.00%"),
        ({"max_unknown_rate": "10%"}, "unknown, where max_unknown_rate allows 10.00%"),
        ({"max_age": 0.001}, "too old, where max_stale_rate allows 0.00%"),
        ({"max_bounce_rate": 0.01}, "hard bounces expected"),
        ({"max_bounce_rate": 0.25, "judge_by": "upper"}, "hard bounces expected"),
        ({"max_do_not_send_rate": 0}, "8.70% not to be sent to, where max_do_not_send_rate allows 0.00%"),
    ],
)
def test_a_gate_that_stays_shut_says_by_how_much(verified: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(AirflowFailException, match="not fit to be sent to") as failure:
        check(**arguments)
    assert said in str(failure.value)
    with pytest.raises(AirflowSkipException):
        check(**arguments, on_failure="skip")
    assert check(**arguments, on_failure="warn")["passed"] is False


def test_a_condition_makes_the_audience(verified: Path) -> None:
    result = check(where="email like '%@acme.test'", max_undeliverable_rate=0, max_do_not_send_rate=0)
    assert result["addresses"] == len([cell for cell in CELLS if cell and cell.endswith("@acme.test")])


def test_a_table_nobody_verified_never_passes(crm: Path, metadata_database: Path) -> None:
    with pytest.raises(AirflowFailException, match=r"100\.00% without a verdict.*Verify it first"):
        check(max_undeliverable_rate="2%")
    with pytest.raises(AirflowFailException, match=r"nothing is verified, where max_undeliverable_rate"):
        check(max_unverified_rate=None, max_undeliverable_rate="2%")
    assert check(max_unverified_rate=None)["unverified"] == 23
    assert check(max_unverified_rate="100%", on_failure="warn")["unverified_rate"] == 1


@pytest.mark.parametrize("rendered", ["", "None", None])
def test_a_template_that_renders_nothing_is_a_limit_that_is_not_given(
    crm: Path, metadata_database: Path, rendered: str | None
) -> None:
    gate = MailvetCheckOperator(
        task_id="gate",
        conn_id="crm",
        table="contacts",
        max_unverified_rate="{{ params.unverified }}",
        max_undeliverable_rate="{{ params.undeliverable }}",
        where="{{ params.where }}",
        on_failure="warn",
    )
    gate.max_unverified_rate = gate.max_undeliverable_rate = gate.where = rendered
    result = gate.execute({})
    assert [(limit["name"], limit["limit"]) for limit in result["limits"]] == [("max_unverified_rate", 0.0)]


def test_old_names_of_limits_warn_and_mean_the_new_ones(verified: Path) -> None:
    with pytest.warns(DeprecationWarning, match="max_undeliverable is called max_undeliverable_rate now"):
        result = check(max_undeliverable=0.5, forbid_do_not_send=True, max_unverified=0.2, on_failure="warn")
    assert [(limit["name"], limit["limit"]) for limit in result["limits"]] == [
        ("max_undeliverable_rate", 0.5),
        ("max_do_not_send_rate", 0.0),
        ("max_unverified_rate", 0.2),
    ]
    with pytest.warns(DeprecationWarning, match="max_unverified is called"):
        assert check(max_unverified=None)["limits"] == []


def test_old_names_still_go_into_a_mapped_task() -> None:
    with DAG("mapped_gates"):
        with pytest.warns(DeprecationWarning, match="max_undeliverable is called"):
            MailvetVerifyOperator(task_id="verify", conn_id="crm", table="contacts", max_undeliverable="2%")
        mapped = MailvetCheckOperator.partial(task_id="gate", conn_id="crm", max_unknown="5%", forbid_do_not_send=True)
        assert mapped.expand(table=["a", "b"]).partial_kwargs["max_unknown"] == "5%"


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_failure": "explode"},
        {"judge_by": "mood"},
        {"confidence": 1},
        {"max_stale_rate": 0.1},
    ],
)
def test_a_gate_that_cannot_be_is_refused_where_the_dag_is_read(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"choose|between|needs"):
        MailvetCheckOperator(task_id="gate", conn_id="crm", table="contacts", **arguments)


def test_lists_become_files(verified: Path, tmp_path: Path) -> None:
    result = MailvetExportOperator(
        task_id="lists",
        conn_id="crm",
        table="contacts",
        output_path=str(tmp_path / "list.csv"),
        lists=["do_not_send", "reverify"],
        key_columns=["id"],
        columns=["reason"],
    ).execute({})
    names = [str(tmp_path / "list.do_not_send.csv"), str(tmp_path / "list.reverify.csv")]
    assert list(result) == names
    assert {path.name for path in tmp_path.glob("list.*")} == {"list.do_not_send.csv", "list.reverify.csv"}
    lines = Path(names[0]).read_text().splitlines()
    assert lines[0] == "id,mailvet_reason"
    assert len(lines) - 1 == result[names[0]] == 2


def test_lists_become_tables_and_replace_only_when_told(verified: Path) -> None:
    def lists(**more: Any) -> dict[str, int]:
        return MailvetExportOperator(
            task_id="lists", conn_id="crm", table="contacts", output_table="audience", **more
        ).execute({})

    result = lists()
    assert result == {
        "audience_send": 0,
        "audience_reverify": 21,
        "audience_do_not_send": 2,
        "audience_missing": 2,
    }
    assert rows(
        verified, f"select count(*) from audience_reverify where email in ({', '.join(repr(p) for p in PEOPLE)})"
    ) == [(12,)]
    with pytest.raises(AirflowFailException, match="already exists"):
        lists()
    assert lists(if_exists="replace") == result


def test_a_list_of_another_name_and_two_targets_are_refused(crm: Path, metadata_database: Path) -> None:
    with pytest.raises(ValueError, match="either output_path"):
        MailvetExportOperator(task_id="lists", conn_id="crm", table="contacts")
    with pytest.raises(AirflowFailException, match="choose from send"):
        MailvetExportOperator(
            task_id="lists", conn_id="crm", table="contacts", output_table="a", lists=["all"]
        ).execute({})


def test_a_table_is_handed_over_to_a_tool(verified: Path, tmp_path: Path) -> None:
    def hand(**more: Any) -> dict[str, Any]:
        return MailvetExportOperator(
            task_id="news",
            conn_id="crm",
            table="contacts",
            to="mailchimp",
            output_path=str(tmp_path / "news.csv"),
            among="reverify",
            tool_columns={"Number": "id"},
            **more,
        ).execute({})

    result = hand()
    lines = (tmp_path / "news.csv").read_text().splitlines()
    assert lines[0] == "Email Address,Number"
    assert len(lines) - 1 == result["written"] == result["files"][str(tmp_path / "news.csv")]
    assert result["written"] + sum(result["left_out"].values()) == result["rows"] == len(CELLS)
    assert "@" not in json.dumps(result)
    again = hand(changes_since=result["manifest"])
    assert again["changes"] == {"added": 0, "changed": 0, "removed": 0}


def test_a_tool_that_is_not_known_or_has_no_file_is_refused(verified: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A tool takes a file"):
        MailvetExportOperator(task_id="news", conn_id="crm", table="contacts", to="brevo", output_table="a")
    news = MailvetExportOperator(
        task_id="news", conn_id="crm", table="contacts", to="bravo", output_path=str(tmp_path / "news.csv")
    )
    with pytest.raises(AirflowFailException, match=r"to='bravo': no such destination is known"):
        news.execute({})

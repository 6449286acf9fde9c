"""What goes wrong in a user's project, and what they read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.dbt.conftest import DbtProject

TESTS = """
models:
  - name: contacts
    columns: [{name: email, data_tests: [{mailvet.%s: {arguments: {%s}}}]}]
"""


def test_a_test_before_there_is_a_verdict_table_says_how_to_make_it(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.built("run", "--select", "contacts")
    project.write("models/contacts.yml", TESTS % ("no_do_not_send", ""))
    message = project.refused("test")
    assert "there is no verdict table" in message
    assert "Make it with `dbt run --select mailvet_verdicts` and fill it with `mailvet dbt run`" in message
    # To look at the SQL needs no table.
    project.built("compile")

    project.built("run", "--select", "mailvet_verdicts")
    project.write("models/contacts.yml", TESTS % ("email_deliverable", "statuses: [good]"))
    assert "statuses is good; choose one of deliverable, undeliverable, risky, unknown" in project.refused("test")
    project.write("models/contacts.yml", TESTS % ("undeliverable_rate_below", "max_undeliverable_rate: 2"))
    assert "max_undeliverable_rate is 2; give a share between 0 and 1, as 0.02 or '2%'" in project.refused("test")
    for given, said in (
        ("max_bounce_rate: true", "max_bounce_rate is True; give a share"),
        ("max_bounce_rate: many", "max_bounce_rate is many; give a share"),
        ("max_age: soon", "max_age is soon; write for example"),
        ("max_stale_rate: 1%", "max_stale_rate needs max_age"),
        ("confidence: 1, max_bounce_rate: 1%", "confidence is 1; give a number between"),
        ("among: [nice], max_bounce_rate: 1%", "among is nice; choose one of send"),
        ("judge_by: mood", "judge_by is mood; choose one of estimate, upper"),
    ):
        project.write("models/contacts.yml", TESTS % ("gate", given))
        assert said in project.refused("test")
    # An old name still means what the new one does, and warns; where nothing is verified every limit fails.
    project.write("models/contacts.yml", TESTS % ("undeliverable_rate_below", "max_rate: 0.5, unverified: ignore"))
    message = project.refused("test")
    assert "max_rate is called max_undeliverable_rate now" in message
    assert "unverified is called max_unverified_rate now" in message
    assert "Got 1 result" in message
    project.write("models/contacts.yml", TESTS % ("gate", "among: [send], max_undeliverable_rate: 2%"))
    assert "max_undeliverable_rate cannot fail among send under the policy marketing" in project.built("test")
    project.write("models/contacts.yml", (TESTS % ("no_do_not_send", "")).replace("name: email", "name: mail"))
    assert "there is no column mail in" in project.refused("test")


def test_the_lists_of_offline_checks_are_asked_for_by_name(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.write("models/offline.sql", "{{ mailvet.offline_checks(ref('contacts')) }}")
    message = project.refused("run", "--select", "contacts", "offline")
    assert "mailvet_typo_domains" in message
    assert "is not there yet. Load them with `dbt seed --select package:mailvet`" in message
    # To look at the SQL needs no seed.
    project.built("compile", "--select", "offline")
    # A project without it may leave the seeds out.
    settings = (project.folder / "dbt_project.yml").read_text()
    project.write("dbt_project.yml", f"{settings}seeds: {{mailvet: {{+enabled: false}}}}\n")
    (project.folder / "models" / "offline.sql").unlink()
    project.built("build")
    assert project.rows("select table_name from duckdb_tables() where table_name like '%domains'") == []


def test_an_ephemeral_model_cannot_be_written_to(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.write("models/seen.sql", "{{ config(materialized='ephemeral') }} select * from {{ ref('contacts') }}")
    project.write(
        "models/other.sql", "{{ config(post_hook=\"{{ mailvet.write_back(ref('seen')) }}\") }} select 1 as id"
    )
    for command in (
        ("run",),
        ("run-operation", "mailvet.write_back", "--args", "{relation: seen}"),
    ):
        assert "is an ephemeral model, which is no table: write back to the table behind it" in project.refused(
            *command
        )


@pytest.mark.parametrize("target", ["duckdb", "postgres"])
def test_write_back_refuses_what_it_cannot_write_to(target: str, make_project: Callable[..., DbtProject]) -> None:
    project = make_project(target)
    project.write("models/contacts_seen.sql", "{{ config(materialized='view') }} select * from {{ ref('contacts') }}")
    project.built("run")

    def write_back(arguments: str) -> tuple[str, ...]:
        return ("run-operation", "mailvet.write_back", "--args", arguments)

    message = project.refused(*write_back("{relation: contacts_seen}"))
    assert "is a view: status columns cannot be written to it" in message
    assert "mailvet.with_verdicts()" in message
    assert "there is no table" in project.refused(*write_back("{relation: nowhere.customers}"))
    assert "there is no column mail in" in project.refused(*write_back("{relation: contacts, email_column: mail}"))
    assert "there is no status column colour" in project.refused(*write_back("{relation: contacts, columns: [colour]}"))
    assert "bulk is no policy" in project.refused(*write_back("{relation: contacts, policy: bulk}"))
    columns = "select column_name from information_schema.columns where table_name = 'contacts' order by 1"
    assert project.rows(columns) == [("email",), ("id",)]

    # As an operation of its own it is there for the next connection too.
    project.rows(
        "insert into dbt.mailvet_verdicts (email_key, email, status, reason, recommendation, score, flags, depth, "
        "evidence, checked_at, attempts, rules_version) "
        f"select {_KEY[target]}, 'ann@acme.test', 'deliverable', 'mailbox_accepted', 'send', 99, '', 'smtp', '[]', "
        "current_timestamp, 1, 'x'"
    )
    project.built(*write_back("{relation: contacts, columns: [status, score], prefix: m_, where: id > 1}"))
    assert project.rows("select id, m_status, m_score from dbt.contacts where m_status is not null") == [
        (3, "deliverable", 99)
    ]


_KEY = {"duckdb": "sha256('ann@acme.test')", "postgres": "encode(sha256('ann@acme.test'), 'hex')"}


def test_a_configuration_that_would_empty_the_verdict_table_is_refused(
    make_project: Callable[..., DbtProject],
) -> None:
    project = make_project()
    settings = (project.folder / "dbt_project.yml").read_text()
    project.write(
        "dbt_project.yml", settings.replace("models: {shop: {+materialized: table}}", "models: {+materialized: table}")
    )
    message = project.refused("run")
    assert "turns the verdict table into table, which would lose every verdict" in message
    assert "models: {mailvet: {+materialized: incremental, +full_refresh: false}}" in message


def test_duckdb_has_no_functions_to_create_and_says_what_there_is(make_project: Callable[..., DbtProject]) -> None:
    message = make_project().refused("run-operation", "mailvet.create_functions")
    assert "duckdb cannot run mailvet inside the database. Run `mailvet dbt run`" in message

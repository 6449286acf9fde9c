"""A Python model of the user's that is the verdict table, and the function for SQL models."""

from __future__ import annotations

import socket
from collections.abc import Callable

from mailvet.lab import Lab
from tests.dbt.conftest import WITHOUT_LISTS, DbtProject, asked

MODEL = """
import mailvet.dbt


def model(dbt, session):
    dbt.config(materialized="{materialized}", unique_key="email_key", alias="mailvet_verdicts")
    return mailvet.dbt.verdicts(dbt, session, dbt.ref("contacts"), {arguments})
"""
OWN_MODEL = """
name: shop
version: 1.0.0
config-version: 2
profile: shop
flags: {send_anonymous_usage_stats: false, require_ref_prefers_node_package_to_root: true}
models: {shop: {+materialized: table}}
vars: {mailvet_verdict_model: answers}
"""
VERDICTS = "select email, reason, run_id, checked_at from dbt.mailvet_verdicts order by email"
REASONS = "select email, reason from dbt.mailvet_verdicts where email <> '' order by email"
EXPECTED = [
    ("ann@acme.test", "mailbox_accepted"),
    ("bob@acme.test", "mailbox_accepted"),
    ("eve@nomail.test", "null_mx"),
    ("nobody@acme.test", "mailbox_not_found"),
    ("not an address", "syntax_invalid"),
]


def with_model(
    project: DbtProject, *, materialized: str = "incremental", arguments: str = "settings='mailvet.toml'"
) -> DbtProject:
    project.write("dbt_project.yml", OWN_MODEL)
    project.write("models/answers.py", MODEL.format(materialized=materialized, arguments=arguments))
    project.write("models/verified.sql", "{{ mailvet.with_verdicts(ref('contacts')) }}")
    return project


def test_a_model_fills_itself_and_a_second_run_asks_and_changes_nothing(
    make_project: Callable[..., DbtProject], lab: Lab
) -> None:
    project = with_model(make_project())
    lab.write_config(project.folder / "mailvet.toml")
    project.built("build", *WITHOUT_LISTS)
    assert project.rows(REASONS) == EXPECTED
    # The package's macros read the model that the variable names.
    assert project.rows("select mailvet_reason from dbt.verified where id in (1, 5, 6, 7) order by id") == [
        ("mailbox_accepted",),
        ("null_mx",),
        ("syntax_invalid",),
        (None,),
    ]

    lab.reset_counters()
    before = project.rows(VERDICTS)
    project.built("build", *WITHOUT_LISTS)
    assert asked(lab) == 0
    assert project.rows(VERDICTS) == before

    # A new address is asked, and only that.
    project.write("models/contacts.sql", "select 1 as id, 'zoe@acme.test' as email union all select 2, 'ann@acme.test'")
    project.built("build", *WITHOUT_LISTS)
    assert sum(counters.recipients["ann@acme.test"] for counters in lab.counters().values()) == 0
    assert len(project.rows(VERDICTS)) == len(before) + 1


def test_nothing_is_lost_where_dbt_makes_the_table_anew(make_project: Callable[..., DbtProject], lab: Lab) -> None:
    project = with_model(make_project(), materialized="table")
    lab.write_config(project.folder / "mailvet.toml")
    project.built("run")
    before = project.rows(VERDICTS)
    lab.reset_counters()
    project.write("models/contacts.sql", "select 1 as id, 'ann@acme.test' as email")
    project.built("run", "--full-refresh")
    assert asked(lab) == 0
    assert project.rows(VERDICTS) == before


def test_a_degraded_run_fails_the_model_and_leaves_its_table_as_it_was(
    make_project: Callable[..., DbtProject], lab: Lab
) -> None:
    project = with_model(make_project(rows=[(1, "ann@acme.test")]))
    lab.write_config(project.folder / "mailvet.toml")
    project.built("run")
    before = project.rows(VERDICTS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        project.write(
            "silent.toml",
            f"depth = 'dns'\n[dns]\nnameservers = ['127.0.0.1']\nport = {silent.getsockname()[1]}\ntimeout = 0.2\n",
        )
        project.write(
            "models/contacts.sql", "select 1 as id, 'ann@acme.test' as email union all select 2, 'new@acme.example'"
        )
        with_model(project, arguments="settings='silent.toml'")
        message = project.refused("run")
        assert "No DNS answers: 127.0.0.1 did not reply" in message
        assert "The table of mailvet_verdicts stays as it was; on_degraded='warn' saves" in message
        assert project.rows(VERDICTS) == before
        with_model(project, arguments="settings='silent.toml', on_degraded='warn'")
        project.built("run")
        assert ("new@acme.example", "not_probed") in project.rows(REASONS)
        with_model(project, arguments="on_degraded='ignore'")
        assert "on_degraded='ignore': choose 'fail' or 'warn'." in project.refused("run")


def test_mistakes_in_the_model_say_what_to_do(make_project: Callable[..., DbtProject]) -> None:
    project = with_model(make_project(), arguments="column='mail', depth='offline'")
    assert "There is no column mail in this model's input; there are: id, email" in project.refused("run")
    with_model(project, arguments="where='nonsense', depth='offline'")
    assert "The input cannot be read: Binder Error" in project.refused("run")
    with_model(project, arguments="depth='deep'")
    assert "depth: Input should be 'offline', 'dns' or 'smtp'" in project.refused("run")
    project.rows("create table dbt.mailvet_verdicts as select 1 as email_key")
    with_model(project, arguments="depth='offline'")
    assert "is there already and is no verdict table: it has no column" in project.refused("run")


def test_the_plugin_answers_in_sql_as_the_core_does(make_project: Callable[..., DbtProject]) -> None:
    project = make_project(plugins=", plugins: [{module: mailvet.dbt.duckdb_plugin, config: {policy: signup}}]")
    project.write(
        "models/checked.sql",
        "select id, answer.reason, answer.suggestion, answer.recommendation from (\n"
        "  select id, mailvet_check(email) as answer from {{ ref('contacts') }}\n"
        "  union all select 8, mailvet_check('info@gmial.com') union all select 9, mailvet_check('info@acme.com'))",
    )
    project.built("run")
    assert project.rows("select * from dbt.checked where id > 5 order by id") == [
        (6, "syntax_invalid", None, "do_not_send"),
        (7, None, None, None),
        (8, "typo_domain", "info@gmail.com", "do_not_send"),
        (9, "role_account", None, "send"),
    ]


def test_the_plugin_stops_dbt_at_a_mistake_in_its_options(make_project: Callable[..., DbtProject]) -> None:
    project = make_project(plugins=", plugins: [{module: mailvet.dbt.duckdb_plugin, config: {depth: smtp}}]")
    assert "knows no option depth; there are: config and policy" in project.refused("run")

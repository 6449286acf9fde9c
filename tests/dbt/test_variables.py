"""The package's variables hold wherever dbt lets a project write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.dbt.conftest import DbtProject

_PROJECT = """
name: shop
version: 1.0.0
config-version: 2
profile: shop
flags: {{send_anonymous_usage_stats: false, require_ref_prefers_node_package_to_root: true}}
models: {{shop: {{+materialized: table}}}}
vars: {variables}
"""
_ANSWERS = """
{{ config(alias='mailvet_verdicts') }}
select sha256(email) as email_key, email, 'risky' as status, 'accept_all' as reason, 'reverify' as recommendation,
    cast(70 as smallint) as score, cast(null as varchar) as suggestion, 'dns' as depth, 1 as attempts,
    '1' as rules_version, cast(null as varchar) as mailbox_key, timestamp '2026-11-01' as checked_at,
    cast(null as timestamp) as next_check_at
    {%- for name in ('flags', 'domain', 'operator', 'mx_host', 'smtp_code', 'smtp_reply', 'evidence', 'run_id') %},
    cast(null as varchar) as {{ name }}
    {%- endfor %}
from (values ('ann@acme.test')) as v(email)
"""
_SEEN = """
select '{{ mailvet.policy_named() }}' as policy, '{{ mailvet.prefix_named() }}' as prefix,
    '{{ mailvet.setting("mailvet_depth", "smtp") }}' as depth,
    '{{ mailvet.setting("mailvet_python_path", []) | join(";") }}' as paths,
    '{{ mailvet.setting("mailvet_functions_schema", "mailvet") }}' as functions_schema,
    '{{ mailvet.verdicts().identifier }}' as verdicts
"""
_ALL = (
    "{mailvet_policy: transactional, mailvet_depth: dns, mailvet_verdict_model: answers, "
    "mailvet_python_path: [/a, /b], mailvet_functions_schema: checks, mailvet_prefix: \"{{ 'v' ~ '_' }}\"}"
)
_UNIT_TEST = """
unit_tests:
  - name: a_unit_test_may_choose
    model: seen
    overrides: {vars: {mailvet_policy: signup}}
    given: [{input: ref('answers'), rows: []}]
    expect: {rows: [{policy: signup, prefix: v_}]}
"""
_RESOLVED = "select * from dbt.seen"


def _project(make_project: Callable[..., DbtProject], variables: str) -> DbtProject:
    project = make_project()
    project.write("dbt_project.yml", _PROJECT.format(variables=variables))
    project.write("models/answers.sql", _ANSWERS)
    project.write("models/seen.sql", _SEEN)
    project.write("models/verified.sql", "{{ mailvet.with_verdicts(ref('contacts')) }}")
    project.write("models/due.sql", "{{ mailvet.candidates(ref('contacts')) }}")
    return project


@pytest.mark.slow
def test_what_is_written_for_the_package_holds_in_the_projects_own_models(
    make_project: Callable[..., DbtProject],
) -> None:
    project = _project(make_project, f"{{mailvet_policy: signup, mailvet: {_ALL}}}")
    project.write("models/seen.yml", _UNIT_TEST)
    project.built("build", "--select", "package:shop")
    assert project.rows(_RESOLVED) == [("transactional", "v_", "dns", "/a;/b", "checks", "mailvet_verdicts")]
    assert project.rows("select v_status, v_recommendation from dbt.verified where id = 1") == [("risky", "send")]
    assert ("ann@acme.test",) not in project.rows("select email from dbt.due")
    # The command line comes before all.
    project.built("run", "--select", "seen", "--vars", "{mailvet_policy: marketing}")
    assert project.rows(_RESOLVED)[0][:2] == ("marketing", "v_")


@pytest.mark.slow
def test_what_is_written_for_the_project_holds_there_and_for_the_package(
    make_project: Callable[..., DbtProject],
) -> None:
    project = _project(make_project, f"{{shop: {_ALL}, mailvet: {{mailvet_policy: signup}}}}")
    project.built("run", "--select", "package:shop")
    assert project.rows(_RESOLVED) == [("transactional", "v_", "dns", "/a;/b", "checks", "mailvet_verdicts")]
    assert project.rows("select count(*) from duckdb_tables() where table_name = 'mailvet_verdicts'") == [(1,)]


@pytest.mark.slow
def test_a_name_that_is_no_variable_of_the_package_is_said(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.write("dbt_project.yml", _PROJECT.format(variables="{mailvet: {policy: transactional}}"))
    said = " ".join(project.built("run", "--select", "mailvet_verdicts").split())
    assert "vars: mailvet: policy is no variable of this package" in said
    assert "mailvet_policy" in said

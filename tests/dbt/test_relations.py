"""Every macro and every test of the package on every kind of relation that dbt hands over.

A table, a source, an ephemeral model, a text; whole, empty (`--empty`), a sample (`--sample`), batch by batch, and as
an input of a unit test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.dbt.conftest import PACKAGE, DbtProject

TARGETS = ("duckdb", "postgres")

CALLS = {
    "with_verdicts": "mailvet.with_verdicts({relation}, 'email')",
    "candidates": "mailvet.candidates({relation}, 'email')",
    "offline_checks": "mailvet.offline_checks({relation}, 'email')",
    "send_list": "mailvet.send_list({relation}, 'email')",
    "suppression_list": "mailvet.suppression_list({relation}, 'email')",
    "source_quality": "mailvet.source_quality({relation}, 'source', acquired_column='happened_at')",
    "gate_figures": "mailvet.gate_figures({relation}, 'email', max_age='30d')",
    "kpis": "mailvet.kpis({relation}, 'email', 'event', 'happened_at', source_column='source')",
    "mailbox_keys": "mailvet.mailbox_keys({relation}, 'email')",
    "verdicts_of": "mailvet.verdicts_of({relation}, 'email')",
    "verified": "mailvet.verified({relation}, 'email')",
}
"""Macro -> a call of it that makes a whole select."""

RELATIONS = {
    "table": "ref('contacts')",
    "source": "source('crm', 'people')",
    "ephemeral": "ref('contacts_ephemeral')",
    "text": "'(select * from ' ~ ref('contacts') ~ ')'",
}

TESTS = {
    "email_syntax": "blank: fail",
    "email_deliverable": "",
    "email_verified_recently": "",
    "no_do_not_send": "key_columns: [id]",
    "undeliverable_rate_below": "max_undeliverable_rate: 0.1",
    "bounce_risk_below": "max_bounce_rate: 0.01",
    "unknown_rate_below": "max_unknown_rate: 0",
    "do_not_send_rate_below": "",
    "unverified_rate_below": "",
    "unprobed_rate_below": "",
    "stale_rate_below": "",
    "missing_rate_below": "",
    "gate": "max_bounce_rate: 0.01, max_age: 1d",
}
"""Generic test -> arguments."""

_ROWS = [
    (1, "ann@acme.example", "web", "2026-11-28", "delivered"),
    (2, "bob@acme.example", "web", "2026-11-29", "opened"),
    (3, "gone@acme.example", "fair", "2026-11-29", "hard_bounce"),
    (4, "not an address", "fair", "2026-11-28", "delivered"),
    (5, None, "fair", "2026-11-29", "delivered"),
    (6, "new@mailinator.com", "web", "2026-11-29", "delivered"),
]
_VERDICTS = [
    ("ann@acme.example", "deliverable", "mailbox_accepted", 99),
    ("bob@acme.example", "deliverable", "mailbox_accepted", 98),
    ("gone@acme.example", "undeliverable", "mailbox_not_found", 2),
    ("not an address", "undeliverable", "syntax_invalid", 0),
]
_PROJECT = """
name: shop
version: 1.0.0
config-version: 2
profile: shop
flags: {send_anonymous_usage_stats: false, require_ref_prefers_node_package_to_root: true}
models:
  shop: {+materialized: table}
  # As projects write it who sample everything: a verdict is of any time, and is no part of the sample.
  mailvet: {+event_time: checked_at}
"""


def _sql(value: object) -> str:
    return "null" if value is None else "'" + str(value) + "'"


def _contacts(text: str) -> str:
    values = ", ".join(
        f"({number}, {_sql(email)}, {_sql(source)}, timestamp {_sql(when)}, {_sql(event)})"
        for number, email, source, when, event in _ROWS
    )
    return (
        f"select id, cast(email as {text}) as email, cast(source as {text}) as source, happened_at, "
        f"cast(event as {text}) as event from (values {values}) as v(id, email, source, happened_at, event)"
    )


def _key(target: str, text: str) -> str:
    return f"sha256({text})" if target == "duckdb" else f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"


def _calls(target: str) -> dict[str, str]:
    return {name: call for name, call in CALLS.items() if name != "verified" or target == "postgres"}


@dataclass
class Built:
    """The project after its tables, models and tests were built."""

    project: DbtProject
    said: str
    results: dict[str, tuple[str, int]]
    """Name of a node -> its status, and how many rows failed."""

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        return sorted(self.project.rows(f"select * from dbt.{name}"), key=repr)

    def again(self, *arguments: str) -> None:
        fine, said = self.project.dbt(*arguments)
        assert fine, (said[-6000:], [name for name, (status, _) in _results(self.project).items() if status == "error"])


def _results(project: DbtProject) -> dict[str, tuple[str, int]]:
    found = json.loads((project.folder / "target" / "run_results.json").read_text())["results"]
    parts = [(row["unique_id"].split("."), row) for row in found]
    # unit_test.<project>.<model>.<name>
    return {
        name[3] if name[0] == "unit_test" else name[2]: (row["status"], row["failures"] or 0) for name, row in parts
    }


def _write(project: DbtProject, target: str) -> None:
    text = "varchar" if target == "duckdb" else "text"
    project.write("dbt_project.yml", _PROJECT)
    project.write("models/contacts.sql", _contacts(text))
    project.write("models/contacts_view.sql", "{{ config(materialized='view') }} select * from {{ ref('contacts') }}")
    project.write(
        "models/contacts_ephemeral.sql", "{{ config(materialized='ephemeral') }} select * from {{ ref('contacts') }}"
    )
    unique = ", unique_key='row_key'" if target == "postgres" else ""
    for macro, call in _calls(target).items():
        for relation, expression in RELATIONS.items():
            project.write(f"models/{macro}_{relation}.sql", "{{ " + call.format(relation=expression) + " }}")
        project.write(
            f"models/{macro}_batches.sql",
            "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='batched_at', "
            f"batch_size='day', begin='2026-11-28'{unique}) }}}}\n"
            "{% set day = model.batch.event_time_start if model.batch else '2026-11-28' %}\n"
            "select found_rows.*, cast('{{ day }}' as timestamp) as batched_at, "
            "concat('{{ day }}', row_number() over ()) as row_key from (\n{{ "
            + call.format(relation=RELATIONS["table"])
            + " }}\n) as found_rows",
        )
    project.write("models/contacts.yml", _yaml(target))


def _yaml(target: str) -> str:
    def tests(relation: str, config: str) -> str:
        return "\n".join(
            f"          - mailvet.{name}: {{name: {name}_on_{relation}, arguments: {{{arguments}}}, "
            f"config: {{severity: warn{config}}}}}"
            for name, arguments in TESTS.items()
        )

    def node(name: str, config: str, tested: str) -> str:
        return f"  - name: {name}\n{config}    columns:\n      - name: email\n        data_tests:\n{tested}\n"

    timed = "    config: {event_time: happened_at}\n"
    half = ", where: \"id <= 3 and source not like '%)'\""
    source = "\n".join(f"  {line}" for line in node("people", timed, tests("source", "")).splitlines())
    return (
        "models:\n"
        + node("contacts", timed, tests("table", ""))
        + node("contacts_view", timed, tests("rows_of_table", half))
        + node("contacts_ephemeral", timed, tests("ephemeral", ", store_failures: true"))
        + node("with_verdicts_ephemeral", "", tests("rows_of_ephemeral", half))
        + f"sources:\n  - name: crm\n    schema: crm\n    tables:\n{source}\n"
        + _UNIT_TESTS
    )


# As SQL, since dbt looks the columns of rows up in the database, where an ephemeral model has none.
_GIVEN = """
    given:
      - input: {relation}
        format: sql
        rows: |
          select id, email, 'web' as source, timestamp '2026-11-28' as happened_at, event
          from (values (1, 'ann@acme.example', 'delivered'), (2, 'gone@acme.example', 'hard_bounce'),
            (3, 'new@mailinator.com', 'delivered')) as v(id, email, event)
"""
_GIVEN_VERDICTS = """
      - input: ref('mailvet_verdicts')
        format: sql
        rows: |
          select {key} as email_key, email, status, reason, recommendation, score, cast(null as {text}) as suggestion,
            'smtp' as depth, checked_at, cast(null as timestamp) as next_check_at, 1 as attempts, '1' as rules_version,
            cast(null as {text}) as mailbox_key, cast(null as {text}) as flags, cast(null as {text}) as domain,
            cast(null as {text}) as operator, cast(null as {text}) as mx_host, cast(null as smallint) as smtp_code,
            cast(null as {text}) as smtp_reply, cast(null as {text}) as evidence, cast(null as {text}) as run_id,
            cast(null as double precision) as bounce_probability
          from (values ('ann@acme.example', 'deliverable', 'mailbox_accepted', 'send', 99, timestamp '2026-11-29'),
            ('gone@acme.example', 'undeliverable', 'mailbox_not_found', 'do_not_send', 2, timestamp '2026-11-29'))
            as v(email, status, reason, recommendation, score, checked_at)
"""
_GIVEN_LISTS = """
      - {input: ref('mailvet_typo_domains'), rows: [{domain: gmial.com, meant: gmail.com}]}
      - {input: ref('mailvet_free_domains'), rows: [{domain: gmail.com, kind: free}]}
      - {input: ref('mailvet_disposable_domains'), rows: [{domain: mailinator.com, kind: disposable}]}
      - {input: ref('mailvet_relay_domains'), rows: [{domain: relay.firefox.com}]}
      - {input: ref('mailvet_role_names'), rows: [{name: info, place: everywhere}]}
"""
_EXPECTED = {
    "with_verdicts": (
        "{id: 1, mailvet_status: deliverable, mailvet_score: 99}, "
        "{id: 2, mailvet_status: undeliverable, mailvet_score: 2}, {id: 3, mailvet_status: null, mailvet_score: null}"
    ),
    "candidates": "{email: new@mailinator.com, due_because: never verified}",
    "offline_checks": (
        "{email: ann@acme.example, reason: not_probed}, {email: gone@acme.example, reason: not_probed}, "
        "{email: new@mailinator.com, reason: disposable}"
    ),
    "send_list": "{id: 1}",
    "suppression_list": "{email: gone@acme.example, reason: mailbox_not_found, contacts: 1}",
    "source_quality": "{source: web, contacts: 3, verified: 2, unverified: 1}",
    "gate_figures": "{addresses: 3, verified: 2, undeliverable: 1}",
    "kpis": "{source: web, messages: 3, hard_bounces: 1}",
}


def _unit_tests() -> str:
    text = "unit_tests:\n"
    for name, expected in _EXPECTED.items():
        for relation in ("table", "ephemeral", *(["source"] if name == "with_verdicts" else [])):
            text += f"  - name: unit_{name}_{relation}\n    model: {name}_{relation}"
            text += _GIVEN.format(relation=RELATIONS[relation]).rstrip()
            text += {"offline_checks": _GIVEN_LISTS, "kpis": "\n"}.get(name, "__VERDICTS__")
            text += f"    expect: {{rows: [{expected}]}}\n"
    return text


_UNIT_TESTS = _unit_tests()


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def built(target: str, make_project: Callable[..., DbtProject]) -> Built:
    project = make_project(target)
    _write(project, target)
    text = "varchar" if target == "duckdb" else "text"
    verdicts = _GIVEN_VERDICTS.format(key=_key(target, "email"), text=text)
    path = "models/contacts.yml"
    project.write(path, (project.folder / path).read_text().replace("__VERDICTS__", verdicts))
    project.rows("create schema crm")
    project.rows(f"create table crm.people as {_contacts(text)}")
    if target == "postgres":
        project.rows("create schema mailvet")
        project.rows(
            "create function mailvet.verify(emails text[], depth text, config text) returns table (email text) "
            "language sql as 'select unnest(emails)'"
        )
    project.built("run", "--select", "mailvet_verdicts", "contacts")
    for email, status, reason, score in _VERDICTS:
        project.rows(
            "insert into dbt.mailvet_verdicts (email_key, email, status, reason, recommendation, score, flags, depth, "
            f"evidence, checked_at, attempts, rules_version) select {_key(target, _sql(email))}, {_sql(email)}, "
            f"'{status}', '{reason}', 'send', {score}, '', 'smtp', '[]', timestamp '2026-11-01', 1, 'x'"
        )
    _, said = project.dbt("build", "--event-time-start", "2026-11-28", "--event-time-end", "2026-11-30")
    return Built(project, said, _results(project))


def test_every_macro_and_test_is_tried() -> None:
    described = [
        macro
        for path in (PACKAGE / "macros").rglob("*.yml")
        for macro in yaml.safe_load(path.read_text("utf-8"))["macros"]
        if "arguments" in macro
    ]
    takes_a_relation = {m["name"] for m in described if m["arguments"][0]["name"] == "relation"}
    # write_back changes a table; test_bad_input has what it says of anything else. test_stage_events has records.
    assert takes_a_relation - {"write_back", "stage_events"} == set(CALLS)
    assert {m["name"].removeprefix("test_") for m in described if m["name"].startswith("test_")} == set(TESTS)


@pytest.mark.slow
def test_every_macro_and_test_works_on_whatever_dbt_makes_of_a_relation(built: Built, target: str) -> None:
    wrong = {name: result for name, result in built.results.items() if result[0] not in ("success", "pass", "warn")}
    assert not wrong, built.said[-8000:]
    names = _calls(target)
    assert len(built.results) >= len(names) * 5 + len(TESTS) * 5 + len(_EXPECTED) * 2

    whole = {name: built.rows(f"{name}_table") for name in names}
    assert all(whole.values())
    for name, expected in whole.items():
        for relation in RELATIONS:
            assert built.rows(f"{name}_{relation}") == expected, (name, relation)
    for name in TESTS:
        assert built.results[f"{name}_on_ephemeral"] == built.results[f"{name}_on_table"]
        assert built.results[f"{name}_on_source"] == built.results[f"{name}_on_table"]
        assert built.results[f"{name}_on_rows_of_ephemeral"] == built.results[f"{name}_on_rows_of_table"]
    assert built.results["no_do_not_send_on_table"] == ("warn", 2)
    assert built.results["no_do_not_send_on_rows_of_table"] == ("warn", 1)
    _batches_and_samples_are_of_contacts_and_not_of_verdicts(built, target)


def _batches_and_samples_are_of_contacts_and_not_of_verdicts(built: Built, target: str) -> None:
    counted = "select count(*), count(mailvet_status) from dbt."
    assert built.project.rows(f"{counted}with_verdicts_batches") == [(6, 4)]

    others = [name for name in RELATIONS if name != "table"]
    built.again("run", "--sample", "{'start': '2026-11-29', 'end': '2026-11-30'}", "--select", *_models(target))
    for name in _rendered_anew(target):
        for relation in others:
            assert built.rows(f"{name}_{relation}") == built.rows(f"{name}_table"), (name, relation)
    found = built.project.rows("select id, mailvet_status from dbt.with_verdicts_table order by 1")
    assert found == [(2, "deliverable"), (3, "undeliverable"), (5, None), (6, None)]

    built.again(
        "build", "--empty", "--exclude", "resource_type:unit_test", "--select", *_models(target), "contacts_view"
    )
    for name in _rendered_anew(target):
        for relation in RELATIONS:
            expected = 1 if name == "gate_figures" else 0
            assert len(built.rows(f"{name}_{relation}")) == expected, (name, relation)
    assert {status for status, _ in _results(built.project).values()} <= {"success", "pass", "warn"}


def _rendered_anew(target: str) -> list[str]:
    """The macros built again of a sample and empty: each where a second alias is an error, two where it is not."""
    return list(_calls(target)) if target == "postgres" else ["with_verdicts", "gate_figures"]


def _models(target: str) -> list[str]:
    return [f"{name}_{relation}" for name in _rendered_anew(target) for relation in RELATIONS] + ["contacts_ephemeral"]

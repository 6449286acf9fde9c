"""What Airflow knows of the provider, what importing it costs, and the connection type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mailvet.get_provider_info import get_provider_info
from airflow_provider_mailvet.hooks.mailvet import MailvetHook
from mailvet.settings import Settings
from mailvet.vocabulary import Depth
from tests.airflow.conftest import connect
from tests.dns.name_servers import in_thread, split_horizon

ROOT = Path(__file__).parent.parent.parent
MODULES = [
    "airflow_provider_mailvet.operators.verify",
    "airflow_provider_mailvet.operators.check",
    "airflow_provider_mailvet.operators.export",
    "airflow_provider_mailvet.hooks.mailvet",
    "airflow_provider_mailvet.links",
    "airflow_provider_mailvet.shards",
    "airflow_provider_mailvet.assets",
]

_LOADED = """
import importlib, json, sys
import airflow.sdk
from airflow.sdk import Asset, BaseHook, BaseOperator, BaseOperatorLink
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_the_operators_costs_a_dag_processor_next_to_nothing(metadata_database: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *MODULES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    assert "airflow_provider_mailvet.operators.verify" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {
        "dbt",
        "duckdb",
        "great_expectations",
        "pandas",
        "polars",
        "psycopg",
        "pyarrow",
        "pydantic_settings",
    }
    assert [name for name in loaded if name.partition(".")[0] == "mailvet"] in ([], ["mailvet", "mailvet.lazy"])


def test_the_provider_is_listed_with_its_connection_type(metadata_database: Path) -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()  # type: ignore[no-untyped-call]
    assert manager.providers["mailvet"].data["name"] == "mailvet"
    hook = manager.hooks["mailvet"]
    assert hook is not None
    assert hook.hook_class_name == "airflow_provider_mailvet.hooks.mailvet.MailvetHook"
    fields = {name.rpartition("__")[2] for name in manager.connection_form_widgets if "__mailvet__" in name}
    assert {"depth", "policy", "nameservers", "connections_per_operator", "private_networks", "proxy"} <= fields
    assert manager.field_behaviours["mailvet"]["relabeling"]["host"] == "Hello name"
    assert "airflow_provider_mailvet.links.VerificationReportLink" in manager.extra_links_class_names


def test_the_command_line_lists_it(metadata_database: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), "providers", "list", "--output", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    listed = json.loads(done.stdout[done.stdout.index("[{") :])
    assert "mailvet" in [row["package_name"] for row in listed]


def test_every_module_of_the_provider_info_is_there() -> None:
    from importlib import import_module

    info = get_provider_info()
    for kind in ("operators", "hooks", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                assert import_module(module).__all__


def test_the_fields_of_the_connection_are_settings(monkeypatch: pytest.MonkeyPatch, metadata_database: Path) -> None:
    connect(
        monkeypatch,
        "probe",
        conn_type="mailvet",
        host="probe.example.com",
        login="verify@example.com",
        extra={
            "depth": "dns",
            "policy": "signup",
            "nameservers": "192.0.2.1, 192.0.2.2",
            "dns_port": 5353,
            "connections_per_operator": 2,
            "connections": "",
            "private_networks": "127.0.0.0/8",
        },
    )
    settings = MailvetHook("probe").settings(depth="offline", smtp={"port": 2525})
    assert (settings.depth, str(settings.policy)) == (Depth.offline, "signup")
    assert (settings.dns.nameservers, settings.dns.port) == (("192.0.2.1", "192.0.2.2"), 5353)
    assert (settings.pacing.connections_per_operator, settings.pacing.connections) == (2, 100)
    assert (settings.smtp.hello_name, settings.smtp.mail_from, settings.smtp.port) == (
        "probe.example.com",
        "verify@example.com",
        2525,
    )
    assert settings.smtp.allow_private_networks == ("127.0.0.0/8",)


def test_a_form_with_only_the_settings_file_stores_nothing_that_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata_database: Path
) -> None:
    file = tmp_path / "mailvet.toml"
    file.write_text(
        'depth = "dns"\npolicy = "signup"\n[dns]\nport = 5353\nnameservers = ["192.0.2.1"]\n'
        "[pacing]\nconnections = 7\nconnections_per_operator = 2\n[smtp]\nport = 2525\n"
        'hello_name = "probe.example.com"\nmail_from = "verify@example.com"\nallow_private_networks = ["127.0.0.0/8"]\n'
    )
    # What the form sends: every field's value, which is its default (`schema.default`) until it is filled in.
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    form = {name: field["schema"].get("default") for name, field in fields.items()} | {"config": str(file)}
    for empty in ({}, dict.fromkeys(set(form) - {"config"}, ""), dict.fromkeys(set(form) - {"config"}, " ")):
        connect(monkeypatch, "probe", conn_type="mailvet", host="", login=None, extra=form | empty)
        settings = MailvetHook("probe").settings()
        assert settings.model_dump(exclude_unset=True) == Settings.load(file).model_dump(exclude_unset=True)


def test_the_default_connection_need_not_exist(metadata_database: Path) -> None:
    assert MailvetHook().settings(depth="dns").depth is Depth.dns


def test_the_connection_test_says_in_a_sentence_what_the_doctor_found(lab_connection: str) -> None:
    well, sentence = MailvetHook(lab_connection).test_connection()
    assert well, sentence
    assert sentence


def test_the_connection_test_fails_for_a_resolver_that_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, metadata_database: Path
) -> None:
    with in_thread(split_horizon, knows_controls=False) as server:
        extra = {"depth": "dns", "nameservers": server.host, "dns_port": server.port}
        connect(monkeypatch, "split", conn_type="mailvet", extra=json.dumps(extra))
        well, sentence = MailvetHook("split").test_connection()
    assert not well
    assert "[dns] controls" in sentence


def test_the_connection_test_refuses_what_cannot_be_a_setting(
    monkeypatch: pytest.MonkeyPatch, metadata_database: Path
) -> None:
    connect(monkeypatch, "odd", conn_type="mailvet", host="not a host name")
    well, sentence = MailvetHook("odd").test_connection()
    assert not well
    assert "hello_name" in sentence

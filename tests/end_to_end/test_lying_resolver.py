"""A resolver that says no to everything (split horizon, a VPC, Kubernetes) makes nobody undeliverable at any door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

import mailvet
from mailvet.dns.trust import control_names
from mailvet.doctor.checks import examine
from mailvet.settings import Settings
from tests.dns.name_servers import Asked, ScriptedServer, Wire, in_thread, response_to, split_horizon
from tests.end_to_end.conftest import Done, make_table, rows

Call = Callable[..., Done]
TABLE = ("verify", "crm.duckdb", "--table", "contacts")
CUSTOMERS = ["ann@acme.example.com", "bob@firm.example.org", "cid@gmail.com"]


@pytest.fixture
def resolver() -> Iterator[ScriptedServer]:
    with in_thread(split_horizon, knows_controls=False) as server:
        yield server


def _config(server: ScriptedServer, folder: Path, more: str = "", depth: str = "dns") -> Path:
    path = folder / "mailvet.toml"
    path.write_text(
        f'depth = "{depth}"\n[dns]\nnameservers = ["{server.host}"]\nport = {server.port}\ntimeout = 0.3\n'
        f'lifetime = 0.6\n{more}\n[store]\npath = "verdicts.duckdb"\n'
    )
    return path


def test_a_run_is_degraded_names_the_setting_and_calls_nobody_undeliverable(
    here: Path, mailvet_command: Call, resolver: ScriptedServer
) -> None:
    _config(resolver, here)
    make_table(here / "crm.duckdb", CUSTOMERS)
    done = mailvet_command(*TABLE)
    assert done.code == 3
    assert "[dns] controls" in " ".join(done.out.split())
    found = rows(here / "crm.duckdb", "select distinct mailvet_status, mailvet_reason from contacts")
    assert found == [("unknown", "dns_error")]
    assert sum(resolver.asked[name, "MX"] for name in control_names() if name != "gmail.com") <= 12


def test_no_stored_verdict_worsens(here: Path, mailvet_command: Call) -> None:
    honest = True

    def script(asked: Asked) -> Wire:
        if honest and asked.name == "acme.example.com" and asked.kind == "MX":
            return response_to(asked, "acme.example.com. 300 IN MX 0 .")
        return split_horizon(asked)

    make_table(here / "crm.duckdb", CUSTOMERS[:1])
    with in_thread(script) as server:
        _config(server, here)
        assert mailvet_command(*TABLE).code == 0
    with in_thread(split_horizon, knows_controls=False) as server:
        _config(server, here)
        with duckdb.connect(str(here / "crm.duckdb")) as db:
            db.execute("update mailvet_verdicts set next_check_at = now()::timestamp - interval 1 day")
        assert mailvet_command(*TABLE).code == 3
    assert rows(here / "crm.duckdb", "select mailvet_reason from contacts") == [("null_mx",)]


def test_without_controls_the_resolver_is_believed_and_the_summary_says_so(
    here: Path, mailvet_command: Call, resolver: ScriptedServer
) -> None:
    _config(resolver, here, "controls = []")
    make_table(here / "crm.duckdb", CUSTOMERS)
    done = mailvet_command(*TABLE)
    assert done.code == 0
    assert "[dns] controls = []" in " ".join(done.out.split())
    found = rows(here / "crm.duckdb", "select mailvet_reason from contacts order by id")
    assert found == [("domain_not_found",), ("domain_not_found",), ("dns_error",)]  # a provider does not vanish


@pytest.mark.parametrize("as_json", [False, True])
def test_check_exits_degraded(here: Path, mailvet_command: Call, resolver: ScriptedServer, as_json: bool) -> None:
    _config(resolver, here)
    done = mailvet_command("check", *CUSTOMERS[:2], *(["--json"] if as_json else []))
    assert done.code == 3
    assert "[dns] controls" in done.err
    if as_json:
        verdicts = [json.loads(line) for line in done.out.splitlines()]
        assert [verdict["reason"] for verdict in verdicts] == ["dns_error"] * 2


def test_check_of_invented_records_exits_degraded(here: Path, mailvet_command: Call) -> None:
    def inventing(asked: Asked) -> Wire:
        return response_to(asked, *([f"{asked.name}. 60 IN A 192.0.2.9"] if asked.kind == "A" else []))

    with in_thread(inventing) as server:
        _config(server, here)
        done = mailvet_command("check", CUSTOMERS[0])
    assert done.code == 3
    assert "invents A records" in done.err


def test_the_doctor_fails_and_looks_afresh(here: Path, mailvet_command: Call) -> None:
    lying = True

    def script(asked: Asked) -> Wire:
        if not lying and asked.name in control_names() and asked.kind == "MX":
            return response_to(asked, f"{asked.name}. 300 IN MX 10 mx.{asked.name}.")
        return split_horizon(asked)

    with in_thread(script, knows_controls=False) as server:
        config = _config(server, here)
        done = mailvet_command("doctor", "--json")
        assert done.code == 3
        checks = {check["name"]: check for check in json.loads(done.out)}
        assert checks["honest_resolver"]["state"] == "fail"
        assert "[dns] controls" in checks["honest_resolver"]["advice"]
        lying = False
        again = {check.name: check for check in examine(Settings.load(config))}
        assert again["honest_resolver"].state == "ok"


def test_single_addresses_are_unknown(here: Path, resolver: ScriptedServer) -> None:
    settings = Settings.load(_config(resolver, here))
    verdict = mailvet.verify(CUSTOMERS[0], settings=settings)
    assert (verdict.status, verdict.reason) == ("unknown", "dns_error")
    assert "control" in str(next(fact.detail for fact in verdict.evidence if fact.layer == "route"))
    assert set(mailvet.verify_many(CUSTOMERS, settings=settings)["status"].to_pylist()) == {"unknown"}


def test_a_run_that_would_ask_mailboxes_blames_the_resolver_and_not_the_host_name(
    here: Path, mailvet_command: Call, resolver: ScriptedServer
) -> None:
    _config(resolver, here, "[smtp]\nhello_name = 'probe.example.com'", depth="smtp")
    make_table(here / "crm.duckdb", CUSTOMERS)
    done = mailvet_command(*TABLE)
    assert done.code == 3
    assert "[dns] controls" in " ".join((done.out + done.err).split())

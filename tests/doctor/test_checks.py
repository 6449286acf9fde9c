"""Is this machine fit to ask? Each check against the lab's DNS and mail servers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.doctor import machine
from mailvet.doctor.checks import Check, examine, summary
from mailvet.lab import Lab, World
from mailvet.lab.world import HELLO_NAME
from mailvet.reference import list_sources
from mailvet.settings import Settings
from tests.probing import lab_settings

ORDER = [
    "resolver",
    "honest_resolver",
    "host_name",
    "port_25",
    "reverse_dns",
    "spf",
    "block_lists",
    "clock",
    "lists",
    "store",
    "tables",
]


def spf(world: World, name: str, record: str) -> None:
    world.domain(name, [(10, "mx.ours.test")]).record(name, "TXT", f'"{record}"')


@pytest.fixture(scope="module")
def world_lab() -> Any:
    """ours.test is as it should be; every other domain has one thing wrong with its SPF or its server."""
    world = World().host("mx.ours.test", address="127.9.9.9").domain("ours.test", [(10, "mx.ours.test")])
    world.record("ours.test", "TXT", '"v=spf1 ip4:127.0.0.1 -all"')
    world.host("down.test", "port_closed").domain("down.test", [(10, "down.test")])
    world.host("rude.test", "blocks_at_connect").domain("rude.test", [(10, "rude.test")])
    world.host("odd.test", profile="garbage").domain("odd.test", [(10, "odd.test")])
    world.domain("null.test", [(0, ".")])
    world.domain("bare.test", [(10, "mx.ours.test")])
    for name, record in {
        "none-of-us": "v=spf1 ip4:192.0.2.0/24 -all",
        "soft": "v=spf1 ~all",
        "broken": "v=spf1 ip4:nonsense -all",
        "ptr": "v=spf1 ptr -all",
    }.items():
        spf(world, f"{name}.test", record)
    world.domain("lost.test", [(10, "mx.ours.test")], dns="servfail")
    world.domain("other-name.test").record("other-name.test", "A", "127.0.0.1")
    world.record("2.0.0.127.in-addr.arpa", "PTR", "liar.test.").domain("liar.test").record(
        "liar.test", "A", "127.0.0.9"
    )
    world.record("1.0.0.127.bad.list.test", "A", "127.0.0.2").record(
        "1.0.0.127.closed.list.test", "A", "127.255.255.254"
    )
    world.domain("good.list.test").domain("list.test")
    with Lab(world) as lab:
        yield lab


def of(lab: Lab, *, sender: str = "ours.test", **sections: Any) -> dict[str, Check]:
    """The checks by name; SMTP settings are merged."""
    smtp = {"mail_from": f"verify@{sender}" if sender else "", **sections.pop("smtp", {})}
    checks = examine(lab_settings(lab, smtp=smtp, **sections))
    assert [check.name for check in checks] == ORDER
    return {check.name: check for check in checks}


def states(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.state for name, check in checks.items()}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_all_is_well_where_all_is_well(world_lab: Lab) -> None:
    world_lab.reset_counters()
    checks = of(world_lab)
    assert states(checks) == dict.fromkeys(ORDER, "ok") | {"block_lists": "skipped"}
    assert summary(list(checks.values())) == "All 10 checks passed."
    assert all(check.advice is None for check in checks.values())


def test_only_the_sender_s_own_server_is_asked_and_no_recipient_is_named(world_lab: Lab) -> None:
    world_lab.reset_counters()
    of(world_lab)
    asked = {name: counters for name, counters in world_lab.counters().items() if counters.connections}
    assert list(asked) == ["mx.ours.test"]
    assert asked["mx.ours.test"].connections == 1
    assert not asked["mx.ours.test"].recipients
    assert asked["mx.ours.test"].data == 0


def test_shallower_depths_skip_what_they_do_not_need(world_lab: Lab) -> None:
    world_lab.reset_counters()
    by_dns = of(world_lab, depth="dns")
    assert [name for name, state in states(by_dns).items() if state == "skipped"] == ORDER[2:7]
    offline = of(world_lab, depth="offline")
    assert [name for name, state in states(offline).items() if state == "skipped"] == ORDER[:7]
    assert not any(counters.connections for counters in world_lab.counters().values())


@pytest.mark.parametrize(
    ("sender", "state", "said"),
    [
        ("down.test", "fail", "No connection to down.test"),
        ("rude.test", "warn", "refuses us: 5"),
        ("odd.test", "warn", "not as a mail server does"),
        ("null.test", "warn", "takes no mail (null_mx)"),
        ("nowhere.test", "warn", "takes no mail (domain_not_found)"),
        ("", "skipped", "No mail server of ours is known"),
    ],
)
def test_port_25_is_tried_with_the_sender_s_server(world_lab: Lab, sender: str, state: str, said: str) -> None:
    check = of(world_lab, sender=sender)["port_25"]
    assert check.state == state
    assert said in check.found
    assert check.advice


@pytest.mark.parametrize(
    ("domain", "state", "said"),
    [
        ("ours.test", "ok", "allows 127.0.0.1"),
        ("none-of-us.test", "fail", "says fail"),
        ("soft.test", "warn", "softfail"),
        ("bare.test", "warn", "has no SPF record"),
        ("broken.test", "warn", "permerror"),
        ("lost.test", "warn", "temperror"),
        ("ptr.test", "skipped", "not evaluated"),
    ],
)
def test_spf_of_the_sender_s_domain_is_evaluated(world_lab: Lab, domain: str, state: str, said: str) -> None:
    check = of(world_lab, sender=domain)["spf"]
    assert (check.state, said in check.found) == (state, True), check


def test_with_the_null_sender_the_hello_name_stands_in_for_spf(world_lab: Lab) -> None:
    check = of(world_lab, sender="")["spf"]
    assert (check.state, HELLO_NAME in check.found) == ("ok", True)


@pytest.mark.parametrize(
    ("name", "state"), [("localhost.localdomain", "fail"), ("unknown.test", "fail"), ("other-name.test", "ok")]
)
def test_the_hello_name_has_to_be_public_and_to_resolve(world_lab: Lab, name: str, state: str) -> None:
    assert of(world_lab, smtp={"hello_name": name})["host_name"].state == state


@pytest.mark.parametrize(
    ("smtp", "state", "said"),
    [
        ({"hello_name": "other-name.test"}, "warn", f"is called {HELLO_NAME}, and we say hello as other-name.test"),
        ({"source_addresses": ("127.0.0.2",)}, "fail", "is called liar.test, which does not resolve back"),
        ({"source_addresses": ("127.0.0.3",)}, "fail", "has no reverse DNS"),
    ],
)
def test_reverse_and_forward_dns_have_to_agree(world_lab: Lab, smtp: dict[str, Any], state: str, said: str) -> None:
    check = of(world_lab, smtp=smtp)["reverse_dns"]
    assert (check.state, said in check.found) == (state, True), check
    assert check.advice


def test_behind_a_proxy_the_address_is_that_of_the_hello_name(world_lab: Lab) -> None:
    check = of(world_lab, sender="", smtp={"proxy": "socks5://127.0.0.1:1"})["reverse_dns"]
    assert check.state == "ok"
    assert "taken from the hello name" in check.found


@pytest.mark.parametrize(
    ("zones", "state", "said"),
    [
        (("good.list.test",), "ok", "Not listed by good.list.test"),
        (("good.list.test", "bad.list.test"), "fail", "bad.list.test (127.0.0.1)"),
        (("closed.list.test",), "warn", "No usable answer from closed.list.test"),
        ((), "skipped", "configured"),
    ],
)
def test_block_lists_are_asked_only_where_configured(
    world_lab: Lab, zones: tuple[str, ...], state: str, said: str
) -> None:
    check = of(world_lab, doctor={"block_lists": zones})["block_lists"]
    assert (check.state, said in check.found) == (state, True), check


def test_a_resolver_that_rewrites_is_found_out(mailvet_lab_factory: Any) -> None:
    world = World().host("mx.ours.test").domain("ours.test", [(10, "mx.ours.test")])
    world.rewrites_nxdomain = "127.5.5.5"
    checks = of(mailvet_lab_factory(world))
    assert checks["honest_resolver"].state == "fail"
    assert "127.5.5.5" in checks["honest_resolver"].found


def test_without_dns_the_rest_of_the_network_is_skipped() -> None:
    silent = Settings.load(dns={"nameservers": ("127.0.0.1",), "port": 9, "timeout": 0.1, "lifetime": 0.1})
    checks = examine(silent)
    assert [check.name for check in checks] == ORDER
    assert [check.state for check in checks[:7]] == ["fail", *["skipped"] * 6]
    assert "No DNS answers" in summary(checks)
    assert "Check the network" in summary(checks)


def offline(**sections: Any) -> dict[str, Check]:
    return {check.name: check for check in examine(Settings.load(depth="offline", **sections))}


def test_a_store_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    assert offline(store={"path": str(tmp_path / "new" / "verdicts.duckdb")})["store"].state == "ok"
    assert not (tmp_path / "new").exists()
    text = tmp_path / "notes.duckdb"
    text.write_text("no database\n" * 500)
    assert offline(store={"path": str(text)})["store"].state == "fail"
    file = tmp_path / "file"
    file.write_text("x")
    assert offline(store={"path": str(file / "verdicts.duckdb")})["store"].state == "fail"


def test_a_clock_behind_the_newest_verdict_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.duckdb"
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with duckdb.connect(str(path)) as db:
        db.execute(
            "create table mailvet_verdicts as select $1::timestamp as checked_at", [tomorrow.replace(tzinfo=None)]
        )
    check = offline(store={"path": str(path)})["clock"]
    assert check.state == "fail"
    assert "before the newest verdict" in check.found


def test_a_clock_before_the_lists_and_old_lists_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = list_sources.list_infos()

    def dated(day: str) -> None:
        changed = [list_sources.ListInfo(i.name, i.entries, i.source, i.version, i.licence, day) for i in infos[:2]]
        monkeypatch.setattr(machine, "list_infos", lambda: changed)

    dated("2199-01-01")
    assert "before mailvet was made" in offline()["clock"].found
    dated("2020-01-01")
    check = offline()["lists"]
    assert check.state == "warn"
    assert "roles, no_reply" in check.found


def test_the_summary_names_the_worst_first() -> None:
    checks = [
        Check("clock", "ok", "Fine."),
        Check("spf", "warn", "No SPF.", "Publish one."),
        Check("port_25", "fail", "No connection.", "Ask for it."),
        Check("lists", "skipped", "-"),
    ]
    said = summary(checks)
    assert said.startswith("Of 3 checks 1 failed, 1 to look at: No connection. Ask for it.")
    assert summary(checks[:2]) == "Of 2 checks 1 to look at: No SPF. Publish one."
    assert summary(checks[:1]) == "All 1 checks passed."
    assert json.loads(json.dumps(checks[1].as_dict()))["advice"] == "Publish one."

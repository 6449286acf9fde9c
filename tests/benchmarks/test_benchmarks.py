"""The harness of the benchmarks: it stays on loopback, counts rightly, and says plainly what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import accuracy, intervals, probing, report, routing, run, spark, targets, worlds
from benchmarks.processes import JobFailedError, LabProcess, call
from mailvet.lab import World


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
    ids=["none", "all", "some", "nothing seen"],
)
def test_a_share_carries_the_interval_of_wilson(hits: int, of: int, low: float, high: float) -> None:
    assert intervals.wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_ratios_are_taken_run_by_run() -> None:
    assert intervals.paired_ratios([10.0, 40.0, 9.0], [10.0, 5.0, 3.0]) == (3.0, 1.0, 8.0)


def reach(destinations: list[list[Any]]) -> list[str]:
    """In a process of its own: what happens to a connection and to a datagram to each destination."""
    import socket

    from benchmarks import loopback

    loopback.install({"mx.acme.test": ["127.0.0.1"]})
    heard = []
    for host, port in destinations:
        for kind, send in ((socket.SOCK_STREAM, False), (socket.SOCK_DGRAM, True)):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.settimeout(1)
                try:
                    if send:
                        sock.sendto(b"", (host, port))
                    else:
                        sock.connect((host, port))
                    heard.append("sent")
                except OSError as error:
                    heard.append(type(error).__name__)
    for name in ("mx.acme.test", "mx.elsewhere.test"):
        try:
            heard.append(str(socket.getaddrinfo(name, 25)[0][4][0]))
        except socket.gaierror:
            heard.append("no such name")
    return heard


def test_a_measured_process_reaches_nothing_but_loopback() -> None:
    # TEST-NET-1 and a name: neither may be tried, whatever a library asks for.
    heard = call("tests.benchmarks.test_benchmarks:reach", destinations=[["192.0.2.1", 25], ["example.com", 25]])
    assert heard == ["NotLoopbackError"] * 4 + ["127.0.0.1", "no such name"]


def resolve_elsewhere() -> str:
    """In a process of its own: what becomes of a resolver of c-ares for a server that is not on loopback."""
    import asyncio

    import aiodns

    from benchmarks import loopback

    loopback.install({})

    async def make() -> str:
        try:
            aiodns.DNSResolver(nameservers=["192.0.2.53:53"])
        except loopback.NotLoopbackError:
            return "refused"
        return "made"

    return asyncio.run(make())


def test_c_ares_is_only_let_at_name_servers_on_loopback() -> None:
    assert call("tests.benchmarks.test_benchmarks:resolve_elsewhere") == "refused"


def test_a_job_that_fails_says_why() -> None:
    with pytest.raises(JobFailedError, match="no attribute 'no_such_thing'"):
        call("benchmarks.machine:no_such_thing")


def test_a_wrong_answer_stops_the_probing_before_its_speed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_EXPECTED", {True: "undeliverable", False: "deliverable"})
    monkeypatch.setattr(probing, "PROBERS", {"mailvet": None})
    with pytest.raises(AssertionError, match="20 wrong, 0 open answers"):
        probing.measure(count=20, domains=2, hosts=1, latencies=(0.0,), runs=1)


def test_the_lab_counts_what_is_asked_of_it() -> None:
    pairs = worlds.probing_addresses(40, 4)
    with LabProcess("probing", count=40, domains=4, hosts=2) as lab:
        done = call("benchmarks.peers:run", name="mailvet", cells=[cell for cell, _ in pairs], about=lab.about)
        counted = lab.counters()
        lab.reset()
        assert lab.counters()["rcpt"] == 0
    assert done["statuses"] == ["deliverable" if exists else "undeliverable" for _, exists in pairs]
    assert {cell for cell, _ in pairs} <= set(counted["asked"])
    assert set(counted["hosts"]) >= {"mx.operator-00.test", "mx.operator-01.test"}
    assert counted["data"] == 0


def test_the_zone_and_the_world_of_the_routes_say_the_same() -> None:
    zone, right = worlds.routing_zone(200, hosts=5)
    world: World = worlds.routing(200, hosts=5)
    kinds = {"domain_not_found": "dead_domain", "null_mx": "null_mx", "no_mail_server": "no_mail"}
    for domain, answer in right.items():
        assert world.truth(f"ann@{domain}").kind == kinds.get(answer, "unknown_mailbox")
        assert (f"\n{domain.partition('.')[0]} " in zone) == (answer != "domain_not_found")


@pytest.mark.parametrize(
    ("found", "right", "agrees"),
    [
        ("mx1.bench.test", "mx1.bench.test", True),
        ("mx2.bench.test", "mx1.bench.test", False),
        (None, "domain_not_found", False),
        ("no_mail", "null_mx", True),
        ("no_mail", "domain_not_found", False),
    ],
)
def test_a_lost_or_other_route_counts_as_wrong(found: str | None, right: str, agrees: bool) -> None:
    assert routing._agrees(found, right) is agrees


def row(kind: str, status: str, advice: str, reason: str = "", *, live: bool = False, dead: bool = False) -> Any:
    return accuracy._Row("a cell", kind, live, dead, (status,), status, advice, reason)


def test_shares_count_only_the_rows_they_speak_of() -> None:
    rows = [
        row("unknown_mailbox", "undeliverable", "do_not_send", dead=True),
        row("unknown_mailbox", "unknown", "reverify", dead=True),
        row("live", "undeliverable", "do_not_send", live=True),
        row("live", "deliverable", "send", live=True),
        row("blocked", "undeliverable", "do_not_send", "mailbox_not_found"),
        row("blocked", "risky", "do_not_send", "role_account"),
        row("temporary", "unknown", "reverify"),
    ]
    shares = {name: share[:2] for name, share in accuracy._shares(rows).items()}
    assert shares["dead_found"] == (1, 2)
    assert shares["live_lost"] == (1, 2)
    assert shares["jumped_to_conclusions"] == (1, 3)


def spark_and_others(**other: int) -> dict[str, Any]:
    """Figures of two interleaved runs over 2,000 rows."""

    def each(few_cpu: float, *cpu: float, reasons: dict[str, int]) -> list[dict[str, Any]]:
        return [{"cpu": whole, "few_cpu": few_cpu, "seconds": 4.0, "reasons": reasons} for whole in cpu]

    right = {"not_probed": 1_900, "syntax_invalid": 100}
    return {
        "alone": each(1.0, 10.0, 19.0, reasons=right),
        "layers": each(0.0, 3.6, 3.6, reasons=right),
        "spark": each(4.0, 13.0, 31.0, reasons=right | other),
        "first": 40.0,
    }


def test_what_is_paid_once_is_no_part_of_what_a_row_costs() -> None:
    figures = spark._figures(spark_and_others())
    assert figures["rows"] == 2_000
    assert figures["alone_cpu"] == pytest.approx((7.5, 5.0, 10.0))
    assert figures["spark_cpu"] == pytest.approx((10.0, 5.0, 15.0))
    assert figures["ratio"] == pytest.approx((1.25, 1.0, 1.5))
    assert figures["fixed"] == (4.0, 4.0, 4.0)
    assert figures["once"] == 18.0
    assert [target.reached for target in targets.judge({"spark": {"depths": {"offline": figures}}})] == [True]


def test_spark_that_answers_otherwise_has_no_speed() -> None:
    with pytest.raises(AssertionError, match="'typo_domain': 1"):
        spark._figures(spark_and_others(typo_domain=1))


def test_every_part_has_its_section() -> None:
    assert set(run.PARTS) - {"judgement", "worlds"} == set(report._PARTS) == set(report._MODULES) == set(report._TITLES)


def test_every_part_runs_and_the_page_has_a_section_and_a_judgement_for_each(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    parts = ["accuracy", "probing", "routes", "storage"]
    chosen = [word for part in parts for word in ("--only", part)]
    assert run.main([*chosen, "--quick", "--docs", str(tmp_path), "--json", str(figures)]) == 0
    results = json.loads(figures.read_text())["results"]
    assert list(results) == parts
    assert {target.part for target in targets.judge(results)} == set(parts)
    page = (tmp_path / "benchmarks.md").read_text()
    for title in ("Accuracy", "Asking mailboxes", "Mail routes", "DuckDB"):
        assert f"\n## {title}\n" in page
    assert "figures say that the programs run" in page
    assert results["accuracy"]["lost"] == 0
    assert results["accuracy"]["in_order"]
    assert results["accuracy"]["servers"]["data"] == 0


def test_a_part_that_fails_is_named_on_the_page_and_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(**_: Any) -> None:
        raise AssertionError("3 answers are wrong")

    monkeypatch.setattr(run, "PARTS", {"routes": (fail, {})})
    assert run.main(["--only", "routes", "--docs", str(tmp_path)]) == 1
    assert "3 answers are wrong" in capsys.readouterr().out
    page = (tmp_path / "benchmarks.md").read_text()
    assert "This part failed:\n\n```text\n3 answers are wrong" in page
    assert targets.judge({"routes": {"error": "3 answers are wrong"}}) == []


def test_a_run_of_some_parts_leaves_the_documentation_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "PARTS", {"routes": (lambda: {"error": "none"}, {}), "storage": (lambda: {}, {})})
    run.main(["--only", "routes"])
    assert not (tmp_path / "docs").exists()

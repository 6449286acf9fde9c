"""The layers together, and the faces for people: from plain code, loops, threads and forks."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mailvet
from mailvet.errors import PreflightError, SettingsError
from mailvet.lab import Lab, World
from mailvet.settings import Settings
from mailvet.smtp.session import Session
from mailvet.verdict import Verdict, email_key, verdict_schema
from mailvet.verification import stream as module
from mailvet.verification.stream import Verifier
from mailvet.vocabulary import Depth, Policy, Reason, Recommendation, Status
from tests.probing import acme, lab_settings, probe, total

LabFactory = Callable[..., Lab]


@pytest.fixture
def offline() -> Settings:
    return Settings.load(depth="offline")


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", "bob:full"))


# ---------------------------------------------------------------- faces


@pytest.mark.parametrize(
    ("depth", "reason"), [("offline", "not_probed"), ("dns", "not_probed"), ("smtp", "mailbox_accepted")]
)
def test_one_address_is_verified_to_the_depth_asked_for(lab: Lab, depth: str, reason: str) -> None:
    verdict = module.verify("ann@acme.test", depth=depth, settings=lab_settings(lab))
    assert isinstance(verdict, Verdict)
    assert (verdict.reason, verdict.depth) == (Reason(reason), Depth(depth))
    assert verdict.email_key == email_key("ann@acme.test")
    assert verdict.checked_at is not None
    assert verdict.checked_at.utcoffset() == timedelta(0)
    assert (verdict.mx_host == "mx.acme.test") is (depth != "offline")


def test_the_package_offers_the_same_faces() -> None:
    assert mailvet.verify is module.verify
    assert mailvet.averify is module.averify
    assert mailvet.verify_many is module.verify_many


@pytest.mark.parametrize("count", [3, 100])
def test_many_addresses_keep_order_and_length_and_each_text_is_verified_once(lab: Lab, count: int) -> None:
    cells: list[str | None] = [f"p{n % 7}@acme.test" if n % 3 else ("ann@acme.test", None)[n % 2] for n in range(count)]
    cells += [f"q{n}@acme.test" for n in range(count)]
    table = module.verify_many(cells, depth="smtp", settings=lab_settings(lab))
    assert table.schema == verdict_schema()
    assert table["email"].to_pylist() == [cell or "" for cell in cells]
    assert table["email_key"].to_pylist() == [email_key(cell) for cell in cells]
    assert sum(total(lab).recipients[f"p{n}@acme.test"] > 1 for n in range(7)) <= 1


@pytest.mark.parametrize("cell", [None, "", " \t\r\n", "\xa0\u3000", "\u200b", "\ufeff\xad", "\u2060 \u200d"])
@pytest.mark.parametrize("policy", list(Policy))
def test_a_cell_without_anything_visible_is_missing(cell: str | None, policy: Policy, offline: Settings) -> None:
    verdict = module.verify(cell, settings=offline.model_copy(update={"policy": policy}))
    assert (verdict.reason, verdict.status) == (Reason.missing, Status.unknown)
    assert verdict.recommendation is Recommendation.do_not_send
    assert (verdict.score, verdict.suggestion, verdict.flags, verdict.mailbox_key) == (0, None, (), None)
    assert verdict.next_check_at is None


def test_a_table_keeps_its_length_and_order_with_missing_cells(offline: Settings) -> None:
    cells = [None, "ann@acme.com", "", "ann@acme.com", "\u200b", *(f"p{n}@acme.com" for n in range(30)), " "]
    reasons = module.verify_many(cells, settings=offline)["reason"].to_pylist()
    expected = ["missing" if not (cell or "").strip("\u200b ") else "not_probed" for cell in cells]
    assert reasons == expected


@pytest.mark.parametrize("cells", [[], iter(())])
def test_no_addresses_give_an_empty_table(cells: Any, offline: Settings) -> None:
    table = module.verify_many(cells, settings=offline)
    assert (table.num_rows, table.schema) == (0, verdict_schema())


@pytest.mark.parametrize("count", [1, 40])
def test_odd_cells_are_verdicts_and_never_errors(count: int, offline: Settings) -> None:
    odd: list[Any] = ["\ud800@acme.com", "a\x00b@acme.com", 17, "x" * 100_000, "\u202eann@acme.com", "🙃"]
    table = module.verify_many(odd + [f"p{n}@acme.com" for n in range(count)], settings=offline)
    assert set(table["status"].to_pylist()[: len(odd)]) == {"undeliverable"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ann@acme.com", "call mailvet.verify(text)"),
        (b"ann@acme.com", "call mailvet.verify(text)"),
        (pd.DataFrame({"email": ["ann@acme.com"]}), "Pass the column"),
        (pl.DataFrame({"email": ["ann@acme.com"]}), "Pass the column"),
        (pa.table({"email": ["ann@acme.com"]}), "Pass the column"),
        ({"email": ["ann@acme.com"]}, "Pass the column"),
        (np.array([["ann@acme.com"]]), "Pass the column"),
        (7, "not int"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_not_one_column_of_cells_is_refused_by_what_to_pass(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)) as refused:
        module.verify_many(given)
    assert "ann@" not in str(refused.value)


@pytest.mark.parametrize("make", [list, iter, pd.Series, pl.Series, pa.array, lambda c: np.array(c, dtype=object)])
def test_a_column_of_every_library_is_read_alike(make: Callable[[list[str | None]], Any], offline: Settings) -> None:
    cells = ["ann@acme.com", None, "bob@@acme.com"]
    found, listed = module.verify_many(make(cells), settings=offline), module.verify_many(cells, settings=offline)
    assert found.select(["email_key", "reason"]).equals(listed.select(["email_key", "reason"]))


def test_absent_values_of_pandas_are_no_text(offline: Settings) -> None:
    cells = pd.Series(["ann@acme.com", float("nan"), pd.NA], dtype=object)
    assert module.verify_many(cells, settings=offline)["reason"].to_pylist()[1:] == (
        module.verify_many([None, None], settings=offline)["reason"].to_pylist()
    )


def test_an_unknown_depth_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="deep"):
        module.verify("ann@acme.com", depth="deep")


@pytest.mark.parametrize("name", ["localhost", "machine", "box.localdomain", "printer.local"])
def test_without_a_real_host_name_nothing_is_probed(lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: name)
    with pytest.raises(PreflightError, match="hello_name"):
        module.verify("ann@acme.test", settings=lab_settings(lab, smtp={"hello_name": None}))
    assert total(lab).connections == 0


def test_a_host_name_that_does_not_resolve_is_not_said(lab: Lab) -> None:
    with pytest.raises(PreflightError, match="does not resolve"):
        module.verify("ann@acme.test", settings=lab_settings(lab, smtp={"hello_name": "gone.example.test"}))
    assert total(lab).connections == 0


async def test_inside_a_running_loop_both_faces_work_and_the_loop_stays_alive(lab: Lab) -> None:
    configured = lab_settings(lab)
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    beating = asyncio.ensure_future(heart())
    verdicts = await asyncio.gather(*(module.averify(f"p{n}@acme.test", settings=configured) for n in range(5)))
    assert {verdict.reason for verdict in verdicts} == {Reason.mailbox_not_found}
    assert beats > 0
    beating.cancel()
    assert module.verify("ann@acme.test", settings=configured).status is Status.deliverable


def test_many_threads_may_ask_at_once(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")

    def work(number: int) -> list[str]:
        if number % 2:
            return [module.verify(f"p{number}@acme.test", settings=configured).email_key]
        table = module.verify_many([f"p{number}-{n}@acme.test" for n in range(40)], settings=configured)
        return list(table["email_key"].to_pylist())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(24)))
    for number, keys in enumerate(found):
        names = [f"p{number}"] if number % 2 else [f"p{number}-{n}" for n in range(40)]
        assert keys == [email_key(f"{name}@acme.test") for name in names]
    assert lab.dns_queries()[("acme.test", "MX")] <= 8


def test_after_a_fork_the_child_verifies_too(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")
    cells = [f"p{n}@acme.test" for n in range(40)]
    module.verify_many(cells, settings=configured)  # the parent has a loop, a thread and a table engine
    module.verify("ann@acme.test", settings=configured)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        report = b"failed"
        try:
            one = module.verify("ann@acme.test", settings=configured)
            many = module.verify_many(cells, settings=configured)
            report = f"{one.domain} {many.num_rows} {many['mx_host'][0]}".encode()
        finally:
            os.write(writing, report)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"acme.test 40 mx.acme.test"
    assert os.waitpid(child, 0)[1] == 0


def test_a_table_in_a_forked_child_is_an_error_and_no_deadlock(
    offline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_tables_of", os.getpid() + 1)

    async def table() -> pl.DataFrame:
        return await module._collect(Verifier(offline), ["ann@acme.com"])

    with pytest.raises(PreflightError, match="spawn"):
        asyncio.run(table())


def test_offline_touches_no_network(offline: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    module.verify("warm@up.com", settings=offline)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was touched")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, forbidden, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(module, "Resolver", forbidden)
    monkeypatch.setattr(Session, "open", forbidden)
    assert module.verify("ann@acme.com", settings=offline).reason is Reason.not_probed
    assert module.verify_many([f"p{n}@gmail.com" for n in range(50)], settings=offline).num_rows == 50


def test_a_known_domain_is_verified_in_a_moment(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")
    module.verify("ann@acme.test", settings=configured)
    took = []
    for n in range(60):
        began = time.perf_counter()
        module.verify(f"p{n}@acme.test", settings=configured)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.005
    assert lab.dns_queries()[("acme.test", "MX")] == 1


def test_a_resolver_that_was_silent_is_asked_anew_by_the_next_call(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")
    background = module._in_background()
    first = module.run_in_background(background.verifier(configured))
    assert module.run_in_background(background.verifier(configured)) is first
    first._no_dns = True
    assert module.run_in_background(background.verifier(configured)) is not first


def test_an_interrupted_call_ends_its_conversations(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", latency=0.05))
    configured = lab_settings(lab)

    async def impatient() -> None:
        cells = [f"p{n}@acme.test" for n in range(200)]
        await asyncio.wait_for(module._verify_table(cells, configured), 0.6)

    with pytest.raises(asyncio.TimeoutError):
        module.run_in_background(impatient())
    time.sleep(0.3)
    counters = lab.counters()["mx.acme.test"]
    assert 0 < counters.commands["RCPT"] < 100
    assert counters.aborted == 0


# ---------------------------------------------------------------- the stream


async def _batches(verifier: Verifier, *batches: list[str], **options: Any) -> list[dict[str, Any]]:
    frames = iter([*(pl.DataFrame({"email": batch}, schema={"email": pl.String}) for batch in batches), None])

    async def read() -> pl.DataFrame | None:
        return next(frames)

    return [row async for frame in verifier.stream(read, **options) for row in frame.iter_rows(named=True)]


async def test_every_row_of_every_batch_is_answered_once(lab: Lab) -> None:
    batches = [[f"p{b}-{n}@acme.test" for n in range(30)] for b in range(5)]
    async with Verifier(lab_settings(lab)) as verifier:
        rows = await _batches(verifier, *batches, [], ["ann@acme.test", "no address", "x@gone.test"], run_id="r7")
    submitted = [cell for batch in batches for cell in batch] + ["ann@acme.test", "no address", "x@gone.test"]
    assert sorted(row["email"] for row in rows) == sorted(submitted)
    assert {row["run_id"] for row in rows} == {"r7"}


async def test_a_mailbox_met_again_in_another_batch_is_not_asked_again(lab: Lab) -> None:
    async with Verifier(lab_settings(lab)) as verifier:
        rows = await _batches(verifier, ["ann@acme.test"], ["ANN@acme.test", "Ann@ACME.test"])
    assert {row["reason"] for row in rows} == {"mailbox_accepted"}
    assert total(lab).recipients["ann@acme.test"] == 1


async def test_an_error_of_the_reader_ends_the_stream_and_its_conversations(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", latency=0.03, starttls=False))

    async def run() -> None:
        calls = iter([pl.DataFrame({"email": [f"p{n}@acme.test" for n in range(100)]})])

        async def read() -> pl.DataFrame | None:
            for batch in calls:
                return batch
            await asyncio.sleep(0.2)
            raise OSError("the table is gone")

        async with Verifier(lab_settings(lab)) as verifier:
            async for _ in verifier.stream(read):
                pass

    with pytest.raises(OSError, match="the table is gone"):
        await asyncio.wait_for(run(), 5)
    await asyncio.sleep(0.1)
    counters = lab.counters()["mx.acme.test"]
    assert counters.quits == counters.connections > 0
    assert counters.commands["RCPT"] < 100


async def test_a_stream_left_early_is_silent_afterwards(
    mailvet_lab_factory: LabFactory, caplog: pytest.LogCaptureFixture
) -> None:
    lab = mailvet_lab_factory(acme("greylisting", "ann"))
    async with Verifier(lab_settings(lab)) as verifier:
        batches = iter([["ann@acme.test", "eve@acme.test"], ["no address"]])

        async def read() -> pl.DataFrame | None:
            return pl.DataFrame({"email": next(batches)})

        stream = verifier.stream(read, wait=timedelta(seconds=5))
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
    assert not caplog.records


async def test_whoever_was_named_when_a_stream_is_interrupted_keeps_the_answer(mailvet_lab_factory: LabFactory) -> None:
    cells = [f"p{n}@acme.test" for n in range(400)]
    world = acme("postfix", *(f"p{n}" for n in range(0, 400, 2)), latency=0.15, starttls=False)
    lab = mailvet_lab_factory(world)
    batches = iter([pl.DataFrame({"email": cells}), None])
    verdicts: list[pl.DataFrame] = []

    async def read() -> pl.DataFrame | None:
        return next(batches)

    async with module.Verifier(lab_settings(lab)) as verifier:

        async def collect() -> None:
            async for frame in verifier.stream(read):
                verdicts.append(frame)

        running = asyncio.ensure_future(collect())
        while total(lab).commands["RCPT"] < 100:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        before = sum(frame.height for frame in verdicts)
        await verifier.drain()
        verdicts += verifier.pending_verdicts()
    answered = pl.concat(verdicts)
    asked = set(total(lab).recipients) & set(cells)
    assert before < len(asked) < len(cells)
    assert set(answered["email"]) == asked
    assert "not_probed" not in answered["reason"].to_list()


async def test_what_lists_settle_is_not_asked(mailvet_lab_factory: LabFactory) -> None:
    world = acme("postfix", "gone").host("mx.mailinator.com").domain("mailinator.com", [(1, "mx.mailinator.com")])
    lab = mailvet_lab_factory(world.domain("gmial.com", [(1, "mx.mailinator.com")]))
    probed = await probe(
        lab, ["gone@acme.test", "x@mailinator.com", "x@gmial.com"], lists={"suppress": ("gone@acme.test",)}
    )
    assert probed.reasons() == {
        "gone@acme.test": "suppressed", "x@mailinator.com": "disposable", "x@gmial.com": "typo_domain"
    }  # fmt: skip
    assert total(lab).connections == 0
    assert ("acme.test", "MX") not in lab.dns_queries()


async def test_a_row_that_syntax_settles_leaves_the_other_rows_alone(lab: Lab) -> None:
    for cells in (["no address"], ["no address", "ann@acme.test"], [""]):
        probed = await probe(lab, cells)
        assert set(probed.rows) == set(cells)
    assert not [name for name, _ in lab.dns_queries() if "address" in name or name == ""]


@pytest.mark.parametrize(
    ("domain", "suggestion"),
    [("gmall.com", None), ("hotmial.com", "ann@hotmail.com"), ("acme.con", "ann@acme.com"), ("acme.test", None)],
)
async def test_another_domain_is_suggested_only_for_one_that_takes_no_mail(
    mailvet_lab_factory: LabFactory, domain: str, suggestion: str | None
) -> None:
    world = acme("postfix").domain("gmall.com", [(1, "mx.acme.test")])  # near a provider's name, and alive
    probed = await probe(mailvet_lab_factory(world), [f"ann@{domain}"], depth="dns")
    row = probed[f"ann@{domain}"]
    if suggestion is None:
        assert row["suggestion"] is None or row["reason"] == "typo_domain"
    else:
        assert row["suggestion"] == suggestion


async def test_odd_dots_of_a_carrier_are_routed_and_never_named_to_its_server(mailvet_lab_factory: LabFactory) -> None:
    world = acme("postfix").domain("docomo.ne.jp", [(1, "mx.acme.test")])
    lab = mailvet_lab_factory(world)
    row = (await probe(lab, ["a..b@docomo.ne.jp"]))["a..b@docomo.ne.jp"]
    assert (row["status"], row["reason"]) == ("unknown", "provider_unverifiable")
    assert row["mx_host"] == "mx.acme.test"
    assert total(lab).connections == 0
    gone = mailvet_lab_factory(acme("postfix").domain("docomo.ne.jp", [(0, ".")]))
    row = (await probe(gone, ["a..b@docomo.ne.jp"]))["a..b@docomo.ne.jp"]
    assert row["reason"] == "dns_error"  # of a provider it is not believed that it takes no mail


async def test_the_depth_is_written_in_every_verdict(lab: Lab) -> None:
    for depth in ("offline", "dns", "smtp"):
        probed = await probe(lab, ["ann@acme.test", "no address"], depth=depth)
        assert {row["depth"] for row in probed.rows.values()} == {depth}


async def test_a_lost_resolver_in_the_middle_is_said(lab: Lab) -> None:
    async with Verifier(lab_settings(lab, depth="dns")) as verifier:
        assert verifier._resolver is not None
        verifier._resolver.down = True
        assert "DNS stopped answering" in str(verifier.degraded)
        (row,) = await _batches(verifier, ["ann@acme.test"])
    assert (row["status"], row["reason"]) == ("unknown", "dns_timeout")


@pytest.fixture
def threads() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before + 2


@pytest.mark.usefixtures("threads")
async def test_closing_leaves_no_thread_and_no_task(lab: Lab) -> None:
    for _ in range(3):
        await probe(lab, ["ann@acme.test"])
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_world_without_domains_has_nobody(mailvet_lab_factory: LabFactory) -> None:
    probed = await probe(mailvet_lab_factory(World()), ["ann@acme.test"])
    assert probed["ann@acme.test"]["reason"] == "domain_not_found"


# ---------------------------------------------------------------- many rows, slow operators


async def test_a_slow_operator_with_half_of_the_rows_does_not_hold_up_the_others(
    mailvet_lab_factory: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING_ROWS", 60)
    monkeypatch.setattr(module, "_LEAST_ROWS", 10)
    monkeypatch.setattr(module, "_FLUSH_ROWS", 10)
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 0.02)
    monkeypatch.setattr("mailvet.verification.backlog._IN_MEMORY", 40)
    world = World()
    for name, delay in (("slow", 0.04), ("fast", 0.0)):
        world.host(f"mx.{name}.test", reply_delay=delay, starttls=False)
        world.domain(f"{name}.test", [(10, f"mx.{name}.test")])
        for n in range(150):
            world.mailbox(f"p{n}@{name}.test")
    lab = mailvet_lab_factory(world)
    cells = [f"p{n}@{name}.test" for n in range(150) for name in ("slow", "fast")]  # every second row is slow
    batches = iter([pl.DataFrame({"email": cells[at : at + 40]}) for at in range(0, len(cells), 40)])
    most_waiting = most_in_memory = 0

    async def read() -> pl.DataFrame | None:
        return next(batches, None)

    order: list[str] = []
    async with Verifier(lab_settings(lab)) as verifier:
        async for frame in verifier.stream(read):
            most_waiting = max(most_waiting, verifier._rows_waiting)
            most_in_memory = max(most_in_memory, verifier._backlog.in_memory)
            order += [row["email"] for row in frame.iter_rows(named=True)]
            assert set(frame["status"]) == {"deliverable"}
    assert sorted(order) == sorted(cells), "nobody is lost, nobody comes twice"
    last_fast = max(place for place, cell in enumerate(order) if cell.endswith("@fast.test"))
    slow_before = sum(cell.endswith("@slow.test") for cell in order[:last_fast])
    assert slow_before < 75, "the fast half was through long before the slow one"
    assert most_waiting <= 60 + 40
    assert most_in_memory <= 40 + 40
    counters = lab.counters()
    assert counters["mx.fast.test"].connections <= 14, "conversations last from batch to batch"
    assert sum(n for name, n in counters["mx.slow.test"].recipients.items() if name in cells) <= 150 + 5

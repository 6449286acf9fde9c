"""Batches through the layers: each row once, no mailbox twice, and no slow operator before the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from mailvet.lab import Lab, World
from mailvet.reference.columns import Reference
from mailvet.settings import Settings
from mailvet.verification import columns, stream
from mailvet.verification.backlog import Backlog
from mailvet.verification.stream import Stream
from mailvet.verification.verifier import Verifier
from tests.probing import acme, lab_settings, probe, total

LabFactory = Callable[..., Lab]


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", "bob:full"))


async def _batches(verifier: Verifier, *batches: list[str], **options: Any) -> list[dict[str, Any]]:
    frames = iter([*(pl.DataFrame({"email": batch}, schema={"email": pl.String}) for batch in batches), None])

    async def read() -> pl.DataFrame | None:
        return next(frames)

    return [row async for frame in Stream(verifier, read, **options) for row in frame.iter_rows(named=True)]


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
            async for _ in Stream(verifier, read):
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

        verdicts = aiter(Stream(verifier, read, wait=timedelta(seconds=5)))
        async for _ in verdicts:
            break
        await verdicts.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
    assert not caplog.records


async def test_a_recipient_sent_when_a_stream_is_interrupted_keeps_its_result(mailvet_lab_factory: LabFactory) -> None:
    cells = [f"p{n}@acme.test" for n in range(400)]
    world = acme("postfix", *(f"p{n}" for n in range(0, 400, 2)), latency=0.15, starttls=False)
    lab = mailvet_lab_factory(world)
    batches = iter([pl.DataFrame({"email": cells}), None])
    verdicts: list[pl.DataFrame] = []

    async def read() -> pl.DataFrame | None:
        return next(batches)

    async with Verifier(lab_settings(lab)) as verifier:
        passing = Stream(verifier, read)

        async def collect() -> None:
            async for frame in passing:
                verdicts.append(frame)

        running = asyncio.ensure_future(collect())
        while total(lab).commands["RCPT"] < 100:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        before = sum(frame.height for frame in verdicts)
        await passing.drain()
        verdicts += passing.pending_verdicts()
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
        "gone@acme.test": "suppressed",
        "x@mailinator.com": "disposable",
        "x@gmial.com": "typo_domain",
    }
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


async def test_a_world_without_domains_has_no_mailbox(mailvet_lab_factory: LabFactory) -> None:
    probed = await probe(mailvet_lab_factory(World()), ["ann@acme.test"])
    assert probed["ann@acme.test"]["reason"] == "domain_not_found"


# ---------------------------------------------------------------- many rows, slow operators


async def test_a_slow_operator_with_half_of_the_rows_does_not_hold_up_the_others(
    mailvet_lab_factory: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_WAITING_ROWS", 60)
    monkeypatch.setattr(stream, "_LEAST_ROWS", 10)
    monkeypatch.setattr(stream, "_FLUSH_ROWS", 10)
    monkeypatch.setattr(stream, "_FLUSH_SECONDS", 0.02)
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
        passing = Stream(verifier, read)
        async for frame in passing:
            most_waiting = max(most_waiting, passing._rows_waiting)
            most_in_memory = max(most_in_memory, passing._backlog.in_memory)
            order += [row["email"] for row in frame.iter_rows(named=True)]
            assert set(frame["status"]) == {"deliverable"}
    assert sorted(order) == sorted(cells), "no row is lost, none comes twice"
    last_fast = max(place for place, cell in enumerate(order) if cell.endswith("@fast.test"))
    slow_before = sum(cell.endswith("@slow.test") for cell in order[:last_fast])
    assert slow_before < 75, "the fast half was through long before the slow one"
    assert most_waiting <= 60 + 40
    assert most_in_memory <= 40 + 40
    counters = lab.counters()
    assert counters["mx.fast.test"].connections <= 14, "conversations last from batch to batch"
    assert sum(n for name, n in counters["mx.slow.test"].recipients.items() if name in cells) <= 150 + 5


async def test_rows_that_are_put_off_keep_their_evidence(
    mailvet_lab_factory: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_WAITING_ROWS", 30)
    monkeypatch.setattr(stream, "_LEAST_ROWS", 5)
    monkeypatch.setattr(stream, "_FLUSH_SECONDS", 0.02)
    monkeypatch.setattr("mailvet.verification.backlog._IN_MEMORY", 10)
    examined, put_off = [], []
    offline_evidence, put = columns.offline_evidence, Backlog.put

    def counted_layers(batch: pl.DataFrame, reference: Reference, settings: Settings) -> pl.DataFrame:
        examined.append(batch.height)
        return offline_evidence(batch, reference, settings)

    def counted_rows(self: Any, operator: str, rows: pl.DataFrame) -> None:
        put_off.append(rows.height)
        put(self, operator, rows)

    monkeypatch.setattr(columns, "offline_evidence", counted_layers)
    monkeypatch.setattr(Backlog, "put", counted_rows)
    lab = mailvet_lab_factory(acme("postfix", *(f"p{n}" for n in range(0, 80, 2)), latency=0.02, starttls=False))
    cells = [f"p{n}@acme.test" for n in range(80)]
    async with Verifier(lab_settings(lab)) as verifier:
        rows = await _batches(verifier, cells[:40], cells[40:])
    assert sum(put_off) > 0
    assert sum(examined) == len(cells)
    reasons = {row["email"]: row["reason"] for row in rows}
    assert len(rows) == len(reasons) == len(cells)
    assert {reasons[cell] for cell in cells[::2]} == {"mailbox_accepted"}
    assert {reasons[cell] for cell in cells[1::2]} == {"mailbox_not_found"}

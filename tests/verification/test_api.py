"""The functions for single addresses and columns: from plain code, loops, threads and forks."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mailvet
from mailvet.errors import PreflightError, SettingsError
from mailvet.lab import Lab
from mailvet.settings import Settings
from mailvet.smtp.session import Session
from mailvet.verdict import Verdict, email_key, verdict_schema
from mailvet.verification import api, background, table_engine, verifier
from mailvet.verification.verifier import Verifier
from mailvet.verification.whole_table import verify_column
from mailvet.vocabulary import Depth, Policy, Reason, Recommendation, Status
from tests.probing import acme, lab_settings, total

LabFactory = Callable[..., Lab]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of a few dozen rows go to the table engine, so that both ways are tested quickly."""
    monkeypatch.setattr(api, "_FEW", 16)


@pytest.fixture
def offline() -> Settings:
    return Settings.load(depth="offline")


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", "bob:full"))


@pytest.mark.parametrize(
    ("depth", "reason"), [("offline", "not_probed"), ("dns", "not_probed"), ("smtp", "mailbox_accepted")]
)
def test_one_address_is_verified_to_the_depth_asked_for(lab: Lab, depth: str, reason: str) -> None:
    verdict = api.verify("ann@acme.test", depth=depth, settings=lab_settings(lab))
    assert isinstance(verdict, Verdict)
    assert (verdict.reason, verdict.depth) == (Reason(reason), Depth(depth))
    assert verdict.email_key == email_key("ann@acme.test")
    assert verdict.checked_at is not None
    assert verdict.checked_at.utcoffset() == timedelta(0)
    assert (verdict.mx_host == "mx.acme.test") is (depth != "offline")


def test_the_package_offers_the_same_functions() -> None:
    assert mailvet.verify is api.verify
    assert mailvet.averify is api.averify
    assert mailvet.verify_many is api.verify_many


@pytest.mark.parametrize("count", [3, 100])
def test_many_addresses_keep_order_and_length_and_each_text_is_verified_once(lab: Lab, count: int) -> None:
    cells: list[str | None] = [f"p{n % 7}@acme.test" if n % 3 else ("ann@acme.test", None)[n % 2] for n in range(count)]
    cells += [f"q{n}@acme.test" for n in range(count)]
    table = api.verify_many(cells, depth="smtp", settings=lab_settings(lab))
    assert table.schema == verdict_schema()
    assert table["email"].to_pylist() == [cell or "" for cell in cells]
    assert table["email_key"].to_pylist() == [email_key(cell) for cell in cells]
    assert sum(total(lab).recipients[f"p{n}@acme.test"] > 1 for n in range(7)) <= 1


@pytest.mark.parametrize("cell", [None, "", " \t\r\n", "\xa0\u3000", "\u200b", "\ufeff\xad", "\u2060 \u200d"])
@pytest.mark.parametrize("policy", list(Policy))
def test_a_cell_without_anything_visible_is_missing(cell: str | None, policy: Policy, offline: Settings) -> None:
    verdict = api.verify(cell, settings=offline.model_copy(update={"policy": policy}))
    assert (verdict.reason, verdict.status) == (Reason.missing, Status.unknown)
    assert verdict.recommendation is Recommendation.do_not_send
    assert (verdict.score, verdict.suggestion, verdict.flags, verdict.mailbox_key) == (0, None, (), None)
    assert verdict.next_check_at is None


def test_a_table_keeps_its_length_and_order_with_missing_cells(offline: Settings) -> None:
    cells = [None, "ann@acme.com", "", "ann@acme.com", "\u200b", *(f"p{n}@acme.com" for n in range(30)), " "]
    reasons = api.verify_many(cells, settings=offline)["reason"].to_pylist()
    expected = ["missing" if not (cell or "").strip("\u200b ") else "not_probed" for cell in cells]
    assert reasons == expected


@pytest.mark.parametrize("cells", [[], iter(())])
def test_no_addresses_give_an_empty_table(cells: Any, offline: Settings) -> None:
    table = api.verify_many(cells, settings=offline)
    assert (table.num_rows, table.schema) == (0, verdict_schema())


@pytest.mark.parametrize("count", [1, 40])
def test_odd_cells_are_verdicts_and_never_errors(count: int, offline: Settings) -> None:
    odd: list[Any] = ["\ud800@acme.com", "a\x00b@acme.com", 17, "x" * 100_000, "\u202eann@acme.com", "🙃"]
    table = api.verify_many(odd + [f"p{n}@acme.com" for n in range(count)], settings=offline)
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
        api.verify_many(given)
    assert "ann@" not in str(refused.value)


@pytest.mark.parametrize("make", [list, iter, pd.Series, pl.Series, pa.array, lambda c: np.array(c, dtype=object)])
def test_a_column_of_every_library_is_read_alike(make: Callable[[list[str | None]], Any], offline: Settings) -> None:
    cells = ["ann@acme.com", None, "bob@@acme.com"]
    found, listed = api.verify_many(make(cells), settings=offline), api.verify_many(cells, settings=offline)
    assert found.select(["email_key", "reason"]).equals(listed.select(["email_key", "reason"]))


def test_absent_values_of_pandas_are_no_text(offline: Settings) -> None:
    cells = pd.Series(["ann@acme.com", float("nan"), pd.NA], dtype=object)
    assert api.verify_many(cells, settings=offline)["reason"].to_pylist()[1:] == (
        api.verify_many([None, None], settings=offline)["reason"].to_pylist()
    )


def test_an_unknown_depth_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="deep"):
        api.verify("ann@acme.com", depth="deep")


async def test_inside_a_running_loop_both_functions_work_and_the_loop_stays_alive(lab: Lab) -> None:
    configured = lab_settings(lab)
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    beating = asyncio.ensure_future(heart())
    verdicts = await asyncio.gather(*(api.averify(f"p{n}@acme.test", settings=configured) for n in range(5)))
    assert {verdict.reason for verdict in verdicts} == {Reason.mailbox_not_found}
    assert beats > 0
    beating.cancel()
    assert api.verify("ann@acme.test", settings=configured).status is Status.deliverable


def test_many_threads_may_ask_at_once(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")

    def work(number: int) -> list[str]:
        if number % 2:
            return [api.verify(f"p{number}@acme.test", settings=configured).email_key]
        table = api.verify_many([f"p{number}-{n}@acme.test" for n in range(40)], settings=configured)
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
    api.verify_many(cells, settings=configured)  # the parent has a loop, a thread and a table engine
    api.verify("ann@acme.test", settings=configured)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        report = b"failed"
        try:
            one = api.verify("ann@acme.test", settings=configured)
            many = api.verify_many(cells, settings=configured)
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
    monkeypatch.setattr(table_engine, "_used_by", os.getpid() + 1)

    async def table() -> pl.DataFrame:
        return await verify_column(Verifier(offline), ["ann@acme.com"])

    with pytest.raises(PreflightError, match="spawn"):
        asyncio.run(table())


def test_offline_touches_no_network(offline: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    api.verify("warm@up.com", settings=offline)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was touched")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, forbidden, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(verifier, "Resolver", forbidden)
    monkeypatch.setattr(Session, "open", forbidden)
    assert api.verify("ann@acme.com", settings=offline).reason is Reason.not_probed
    assert api.verify_many([f"p{n}@gmail.com" for n in range(50)], settings=offline).num_rows == 50


def test_a_known_domain_is_verified_in_a_moment(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")
    api.verify("ann@acme.test", settings=configured)
    took = []
    for n in range(60):
        began = time.perf_counter()
        api.verify(f"p{n}@acme.test", settings=configured)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.005
    assert lab.dns_queries()[("acme.test", "MX")] == 1


def test_an_interrupted_call_ends_its_conversations(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", latency=0.05))
    configured = lab_settings(lab)

    async def interrupted() -> None:
        working = asyncio.ensure_future(api._verify_table([f"p{n}@acme.test" for n in range(200)], configured))
        while not total(lab).commands["RCPT"]:
            await asyncio.sleep(0.01)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    background.run_in_background(interrupted())
    time.sleep(0.3)
    counters = lab.counters()["mx.acme.test"]
    assert 0 < counters.commands["RCPT"] < 100
    assert counters.aborted == 0


@pytest.mark.parametrize("depth", ["offline", "dns", "smtp"])
def test_a_single_address_needs_no_table_engine(lab: Lab, tmp_path: Path, depth: str) -> None:
    config = tmp_path / "mailvet.toml"
    config.write_text(lab.config())
    program = (
        "import sys, mailvet\n"
        f"settings = mailvet.Settings.load({str(config)!r}, depth={depth!r})\n"
        "verdict = mailvet.verify('ann@acme.test', settings=settings)\n"
        "engines = {'polars', 'pyarrow', 'numpy', 'pandas', 'duckdb'} & {*sys.modules}\n"
        "print(verdict.reason, *sorted(engines))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    expected = "mailbox_accepted" if depth == "smtp" else "not_probed"
    assert (done.stdout.split(), done.returncode) == ([expected], 0), done.stderr

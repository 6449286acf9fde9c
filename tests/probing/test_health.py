"""When our own network is to blame, and when a failed connection counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mailvet.dns.routes import MailHost, Route
from mailvet.probing.domain import DomainState, MailboxResult, Probe
from mailvet.probing.health import RunHealth
from mailvet.probing.retries import Retries
from mailvet.settings import Retry
from mailvet.vocabulary import Reason

ADDRESSES = [f"192.0.2.{number}" for number in range(1, 7)]
FAILED = MailboxResult(Reason.connect_failed, detail="refused")


def reached(count: int = len(ADDRESSES), outage_after: float = 60.0) -> RunHealth:
    """A run in which so many addresses have replied."""
    health = RunHealth(outage_after)
    for address in ADDRESSES[:count]:
        health.connection_made(address, address)
    return health


def fail(health: RunHealth, count: int, *, ago: float = 0.0) -> None:
    for address in ADDRESSES[:count]:
        health.address_failed(address)
    assert health.failing_since is not None
    health.failing_since -= ago
    health.look()


def test_five_addresses_that_replied_and_a_minute_are_an_outage() -> None:
    health = reached()
    fail(health, 5, ago=59)
    assert (health.degraded, health.network_down) == (None, False)
    fail(health, 5, ago=2)
    assert health.network_down
    assert health.degraded is not None
    assert "none of 5 mail servers" in health.degraded


def test_four_addresses_are_no_outage_however_long() -> None:
    health = reached()
    fail(health, 4, ago=600)
    assert health.degraded is None
    assert health.unproven() == [ADDRESSES[5], ADDRESSES[4]]


def test_addresses_that_never_replied_show_nothing() -> None:
    health = reached(2)
    for number in range(100, 120):
        health.address_failed(f"192.0.2.{number}")
    fail(health, 2, ago=600)
    assert health.degraded is None


def test_one_connection_ends_the_suspicion() -> None:
    health = reached()
    fail(health, 6, ago=59)
    assert health.suspected
    health.connection_made("x.test", "198.51.100.1")
    assert (health.suspected, health.failing_since) == (False, None)
    fail(health, 6)
    assert health.degraded is None, "the minute begins anew"


# -------------------------------------------------------------------- retries


@dataclass
class Pool:
    """Takes down what it is asked."""

    health: RunHealth = field(default_factory=reached)
    asked: list[str] = field(default_factory=list)
    up: bool = True

    def ask_again(self, probe: Probe) -> None:
        self.asked.append(probe.local)

    def forget_failures(self) -> None: ...

    def settle_all(self) -> None: ...

    def give_up(self) -> None: ...

    async def reach(self, address: str) -> bool:
        if self.up:
            self.health.address_replied(address)
        else:
            self.health.address_failed(address)
        return self.up


def retries_of(
    pool: Pool, results: dict[str, MailboxResult], *, wait: float, failed_before: bool = False, delay: str = "100ms"
) -> Retries:
    def conclude(key: str, _: Probe, result: MailboxResult) -> None:
        results[key] = result

    return Retries(pool, Retry(after_failure=delay), time.monotonic() + wait, conclude, lambda *_: failed_before)


def probe(local: str = "ann") -> Probe:
    route = Route("a.test", None, (MailHost("mx.a.test", 10, ("192.0.2.1",)),), "a.test")
    return Probe(local, DomainState("a.test", "mixed"), route, lambda *_: None)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_failure_counts_after_a_second_try_and_a_later_success() -> None:
    pool = Pool()
    results: dict[str, MailboxResult] = {}
    retries = retries_of(pool, results, wait=5)
    assert retries.keep("ann", probe(), FAILED)
    assert retries.pending()
    await until(lambda: pool.asked == ["ann"])
    assert retries.keep("ann", probe(), FAILED)
    assert (retries.pending(), retries.held, results) == (False, 1, {})
    pool.health.connection_made("b.test", "198.51.100.1")
    assert results == {"ann": FAILED}


async def test_without_time_for_a_second_try_the_next_run_makes_it() -> None:
    for failed_before in (False, True):
        pool = Pool()
        results: dict[str, MailboxResult] = {}
        retries = retries_of(pool, results, wait=0, failed_before=failed_before)
        assert retries.keep("ann", probe(), FAILED)
        assert not retries.pending()
        await retries.settle()
        assert results["ann"].reason is Reason.connect_failed
        assert results["ann"].retry_after == (None if failed_before else 0.1)


async def test_what_failed_while_the_network_was_down_is_asked_again_at_once() -> None:
    pool = Pool()
    results: dict[str, MailboxResult] = {}
    retries = retries_of(pool, results, wait=0)
    fail(pool.health, 5)
    for local in ("ann", "bob"):
        assert retries.keep(local, probe(local), FAILED)
    pool.health.connection_made("b.test", "198.51.100.1")
    assert (pool.asked, results) == (["ann", "bob"], {})


async def test_an_outage_leaves_nothing_that_failed_but_what_was_greylisted() -> None:
    pool = Pool()
    results: dict[str, MailboxResult] = {}
    retries = retries_of(pool, results, wait=600, delay="30s")
    greylisted = MailboxResult(Reason.greylisted, 450)
    assert retries.keep("shy", probe("shy"), greylisted)
    assert retries.keep("ann", probe(), FAILED)
    fail(pool.health, 5, ago=61)
    assert results["shy"] == greylisted
    assert (results["ann"].reason, results["ann"].retry_after) == (Reason.not_probed, 0.0)
    # What was under way says nothing either.
    assert retries.keep("bob", probe("bob"), FAILED)
    assert retries.keep("eve", probe("eve"), MailboxResult(Reason.provider_unverifiable, 250))
    assert results["bob"].reason is results["eve"].reason is Reason.not_probed


async def test_at_the_end_of_a_run_addresses_that_replied_are_tried() -> None:
    pool = Pool()
    results: dict[str, MailboxResult] = {}
    retries = retries_of(pool, results, wait=0)
    pool.health.address_failed("203.0.113.1")
    assert retries.keep("ann", probe(), FAILED)
    await retries.settle()
    assert results["ann"].reason is Reason.connect_failed
    assert pool.health.degraded is None


async def test_replies_that_say_nothing_are_held_while_connections_fail() -> None:
    pool = Pool()
    results: dict[str, MailboxResult] = {}
    retries = retries_of(pool, results, wait=0)
    unclear = MailboxResult(Reason.provider_unverifiable, 250)
    assert not retries.keep("ann", probe(), unclear)
    pool.health.address_failed("192.0.2.1")
    assert retries.keep("ann", probe(), unclear)
    assert not retries.keep("bob", probe("bob"), MailboxResult(Reason.mailbox_accepted, 250))
    pool.health.connection_made("b.test", "198.51.100.1")
    assert results == {"ann": unclear}

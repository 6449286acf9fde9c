"""What is remembered of a recipient that is asked again is forgotten once its result counts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailvet.dns.routes import Route
from mailvet.probing.domain import MailboxResult, Probe
from mailvet.probing.health import RunHealth
from mailvet.probing.retries import Retries
from mailvet.settings import Settings
from mailvet.vocabulary import Reason


class Pool:
    """Takes what is asked again and asks it of no server."""

    def __init__(self, health: RunHealth) -> None:
        self.health = health
        self.again: list[Any] = []

    def ask_again(self, probe: Probe) -> None:
        self.again.append(probe)

    def forget_failures(self) -> None:
        return

    def settle_all(self) -> None:
        return

    def give_up(self) -> None:
        return

    async def reach(self, address: str) -> bool:
        return False


def remembered(retries: Retries) -> int:
    return sum(len(times) for times in (retries._greylisted, retries._failed, retries._recovered))


@pytest.fixture
def concluded() -> list[tuple[str, Reason]]:
    return []


@pytest.fixture
def retries(concluded: list[tuple[str, Reason]]) -> Retries:
    return Retries(
        Pool(RunHealth()),
        Settings.load(retry={"after_greylisting": ("0s",)}).retry,
        time.monotonic() + 60,
        lambda key, _, result: concluded.append((key, result.reason)),
        lambda *_: False,
    )


@pytest.fixture
def probe() -> Any:
    return Probe("ann", None, Route("acme.test"), None)  # type: ignore[arg-type]


async def test_a_greylisted_recipient_is_forgotten_once_it_is_accepted(retries: Retries, probe: Any) -> None:
    for number in range(20):
        assert retries.keep(f"p{number}", probe, MailboxResult(Reason.greylisted, 450))
    assert remembered(retries) == 20
    for number in range(20):
        assert not retries.keep(f"p{number}", probe, MailboxResult(Reason.mailbox_accepted, 250))
    assert remembered(retries) == 0
    retries.close()


async def test_a_failure_is_forgotten_once_it_counts(
    retries: Retries, probe: Any, concluded: list[tuple[str, Reason]]
) -> None:
    for number in range(20):
        for _ in range(2):
            assert retries.keep(f"p{number}", probe, MailboxResult(Reason.connect_failed))
    assert remembered(retries) == 20
    retries._recovery(False)
    assert sorted(concluded) == sorted((f"p{number}", Reason.connect_failed) for number in range(20))
    assert remembered(retries) == 0
    retries.close()

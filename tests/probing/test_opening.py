"""Conversations that open while another one with the same servers goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.lab import Lab
from mailvet.probing.memory import LocalSlots
from mailvet.probing.pool import Mailboxes, Recipient
from mailvet.probing.queues import ServerSet
from mailvet.smtp.outcomes import Broken
from mailvet.smtp.reply_reading import Stage
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason
from tests.probing import acme, lab_settings

LabFactory = Callable[..., Lab]
NAMES = [f"person{number}" for number in range(24)]


class _LateSlots(LocalSlots):
    """The second connection is to be had when the first has had a reply about a recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.mailboxes: Mailboxes | None = None

    async def acquire(self, address: str, most: int) -> Callable[[], None]:
        self.asked += 1
        if self.asked == 2:
            while self._servers().silent_since is not None:
                await asyncio.sleep(0.001)
        return await super().acquire(address, most)

    def _servers(self) -> ServerSet:
        assert self.mailboxes is not None
        (queue,) = self.mailboxes.known.operators.values()
        (servers,) = queue.servers.values()
        return servers


@pytest.mark.parametrize("opens", [True, False])
async def test_a_conversation_opens_or_fails_while_another_has_had_a_reply(
    mailvet_lab_factory: LabFactory, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    lab = mailvet_lab_factory(acme("postfix", *NAMES), latency=0.01)
    address = lab.world.hosts["mx.acme.test"].address
    slots = _LateSlots()
    mailboxes = slots.mailboxes = Mailboxes(lab_settings(lab), slots=slots)
    open_session, began = Session.open, 0

    async def open_second(*args: object, **options: object) -> Session:
        nonlocal began
        began += 1
        if began == 2 and not opens:
            raise Broken(Stage.connect, "unreachable", "no route")
        return await open_session(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "open", open_second)
    route = Route("acme.test", hosts=(MailHost("mx.acme.test", 10, (address,)),))
    results = await asyncio.gather(*(mailboxes.submit(Recipient(local, "acme.test", route)) for local in NAMES))
    await mailboxes.close()
    assert {result.reason for result in results} == {Reason.mailbox_accepted}
    assert began >= 2, "both conversations were tried"


async def test_a_server_that_closes_a_second_connection_is_not_down(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", *NAMES, max_connections=1, connections_reply=None, latency=0.005))
    address = lab.world.hosts["mx.acme.test"].address
    mailboxes = Mailboxes(lab_settings(lab))
    route = Route("acme.test", hosts=(MailHost("mx.acme.test", 10, (address,)),))
    submitted = [mailboxes.submit(Recipient(local, "acme.test", route)) for local in [*NAMES, "nobody1", "nobody2"]]
    results = await asyncio.gather(*submitted)
    await mailboxes.close()
    assert [result.reason for result in results[:-2]] == [Reason.mailbox_accepted] * len(NAMES)
    assert [result.reason for result in results[-2:]] == [Reason.mailbox_not_found] * 2
    assert lab.counters()["mx.acme.test"].refused >= 1
    assert mailboxes.known.address(address).sessions == 0

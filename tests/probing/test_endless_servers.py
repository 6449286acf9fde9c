"""Servers that hold a client without end hold neither a run nor the other servers of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import polars as pl
import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.lab import Lab, World
from mailvet.lab.endless_profiles import ENDLESS_PROFILES, add_mx_set
from mailvet.probing.pool import Mailboxes, Recipient
from mailvet.verification.stream import Stream
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Reason
from tests.hostile.stalled import healthy_among_stalled
from tests.probing import acme, lab_settings, probe
from tests.smtp.scripted_server import scripted

LabFactory = Callable[..., Lab]


@pytest.mark.parametrize("profile", sorted(ENDLESS_PROFILES))
async def test_an_endless_server_ends_by_itself_and_leaves_others_alone(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    world = World()
    for domain, kind in (("held.test", profile), ("acme.test", "postfix")):
        world.host(f"mx.{domain}", kind).domain(domain, [(10, f"mx.{domain}")])
        for name in ("ann", "bob"):
            world.mailbox(f"{name}@{domain}")
    probed = await probe(
        mailvet_lab_factory(world),
        [f"{name}@{domain}" for domain in ("held.test", "acme.test") for name in ("ann", "bob")],
        limit=30.0,
    )
    assert probed["ann@acme.test"]["reason"] == probed["bob@acme.test"]["reason"] == "mailbox_accepted"
    assert "undeliverable" not in probed.statuses().values()
    if not profile.endswith(("at_quit", "when_idle")):
        assert {probed[f"{name}@held.test"]["status"] for name in ("ann", "bob")} == {"unknown"}


async def test_many_stalling_names_of_one_domain_cost_one_budget(mailvet_lab_factory: LabFactory) -> None:
    world = add_mx_set(World(), "held.test", "stalls_at_connect", names=40).mailbox("ann@held.test")
    lab = mailvet_lab_factory(world)
    began = time.monotonic()
    probed = await probe(lab, ["ann@held.test"], smtp={"command_timeout": 5.0, "address_budget": 2.0})
    assert probed["ann@held.test"]["reason"] == "smtp_timeout"
    assert sum(counters.connections > 0 for counters in lab.counters().values()) <= 5
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["stalls_at_connect", "stalls_at_rcpt", "drips_at_hello"])
async def test_stalled_servers_do_not_hold_up_healthy_ones(mailvet_lab_factory: LabFactory, profile: str) -> None:
    """Each stalled server would hold its connection for 20 s: one after the other, minutes."""
    finished = await healthy_among_stalled(
        mailvet_lab_factory, [profile], healthy=20, stalled=60, connections=10, limit=60
    )
    assert finished.reasons == {Reason.mailbox_accepted}
    assert finished.closing < 8, "stopping a run does not wait for stalled servers"


@pytest.mark.parametrize("how", ["drips", "endless_lines", "endless_replies", "huge"])
async def test_a_server_may_say_what_it_likes_to_an_idle_conversation(
    mailvet_lab_factory: LabFactory, how: str
) -> None:
    world = acme(f"{how}_when_idle", "ann", "bob")
    world.host("mx.good.test").domain("good.test", [(10, "mx.good.test")]).mailbox("cid@good.test")
    lab = mailvet_lab_factory(world)
    batches = iter([["ann@acme.test"], ["cid@good.test"], ["bob@acme.test"]])
    rows: dict[str, str] = {}

    async def read() -> pl.DataFrame | None:
        await asyncio.sleep(1.0)
        cells = next(batches, None)
        return None if cells is None else pl.DataFrame({"email": cells})

    async def work() -> None:
        async with Verifier(lab_settings(lab)) as verifier:
            async for frame in Stream(verifier, read):
                rows.update(zip(frame["email"], frame["reason"], strict=True))

    await asyncio.wait_for(work(), 30)
    assert rows.keys() == {"ann@acme.test", "cid@good.test", "bob@acme.test"}
    assert rows["cid@good.test"] == "mailbox_accepted"
    assert not {"mailbox_not_found", "domain_not_found"} & set(rows.values())


async def test_servers_that_fall_silent_after_each_first_reply_are_left(mailvet_lab_factory: LabFactory) -> None:
    answered: set[str] = set()

    def script(line: bytes) -> bytes | None:
        """The first recipient of each conversation gets a reply, the second none."""
        verb = line[:4].upper()
        if verb == b"RCPT":
            if connection[0]:
                return b""
            connection[0] = True
            answered.add(line.decode())
            return b"450 4.2.0 busy with <" + line[9:-1] + b">\r\n"
        connection[0] = connection[0] and verb != b""
        return {b"": b"220 mx\r\n", b"EHLO": b"250 mx\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")

    connection = [False]
    lab = mailvet_lab_factory(World())
    async with scripted(script) as (port, _):
        mailboxes = Mailboxes(lab_settings(lab, smtp={"port": port, "command_timeout": 0.3}))
        route = Route("acme.test", None, (MailHost("mx.acme.test", 10, ("127.0.0.1",)),), "acme.test")
        futures = [mailboxes.submit(Recipient(f"p{number}", "acme.test", route)) for number in range(40)]
        results = await asyncio.wait_for(asyncio.gather(*futures), 60)
        await mailboxes.close()
    assert len(answered) <= 10
    assert sum(result.reason is Reason.smtp_timeout for result in results) >= 30

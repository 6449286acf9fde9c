"""Servers that hold a client without end hold neither a run nor the other servers of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.lab import Lab, World
from mailvet.lab.endless_profiles import ENDLESS_PROFILES, add_mx_set
from mailvet.probing.pool import Mailboxes, Recipient
from mailvet.verdict import Reason
from tests.core.probing import lab_settings, probe

LabFactory = Callable[..., Lab]


def route_of(lab: Lab, domain: str) -> Route:
    """The route to the one server of the domain."""
    name = f"mx.{domain}"
    return Route(domain, None, (MailHost(name, 10, (lab.world.hosts[name].address,)),), domain)


@pytest.mark.parametrize("profile", sorted(ENDLESS_PROFILES))
async def test_an_endless_server_ends_by_itself_and_leaves_others_alone(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    world = World()
    for domain, kind in (("held.test", profile), ("acme.test", "postfix")):
        world.host(f"mx.{domain}", kind).domain(domain, [(10, f"mx.{domain}")])
        for name in ("ann", "bob"):
            world.mailbox(f"{name}@{domain}")
    began = time.monotonic()
    probed = await probe(
        mailvet_lab_factory(world),
        [f"{name}@{domain}" for domain in ("held.test", "acme.test") for name in ("ann", "bob")],
        limit=30.0,
    )
    print(profile, round(time.monotonic() - began, 1), probed.reasons())
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


@pytest.mark.parametrize("profile", ["stalls_at_connect", "stalls_at_rcpt", "drips_at_hello"])
async def test_stalled_servers_do_not_hold_up_healthy_ones(mailvet_lab_factory: LabFactory, profile: str) -> None:
    """Each stalled server would hold its connection for 20 s: one after the other, minutes."""
    world = World()
    healthy = [f"good{number}.test" for number in range(20)]
    stalled = [f"bad{number}.test" for number in range(60)]
    for domain in (*healthy, *stalled):
        world.host(f"mx.{domain}", "postfix" if domain in healthy else profile).domain(domain, [(10, f"mx.{domain}")])
        for name in ("ann", "bob", "cid"):
            world.mailbox(f"{name}@{domain}")
    lab = mailvet_lab_factory(world)
    settings = lab_settings(
        lab,
        smtp={"connect_timeout": 20.0, "command_timeout": 20.0, "address_budget": 60.0},
        pacing={"connections": 10},
    )
    done: dict[str, float] = {}
    mailboxes = Mailboxes(settings)
    routes = {domain: route_of(lab, domain) for domain in (*healthy, *stalled)}
    order = [
        domain for four in zip(stalled[::3], stalled[1::3], stalled[2::3], healthy, strict=True) for domain in four
    ]
    began = time.monotonic()
    futures = []
    for name in ("ann", "bob", "cid"):
        for domain in order:
            future = mailboxes.submit(Recipient(name, domain, routes[domain]))
            if domain in healthy:
                future.add_done_callback(
                    lambda _, key=f"{name}@{domain}": done.setdefault(key, time.monotonic() - began)
                )
                futures.append(future)
    try:
        results = await asyncio.wait_for(asyncio.gather(*futures), 60)
    finally:
        closing = time.monotonic()
        await mailboxes.close()
    print(profile, max(done.values()), mailboxes.turns.first_timeout)
    assert {result.reason for result in results} == {Reason.mailbox_accepted}
    assert time.monotonic() - closing < 8, "stopping a run does not wait for stalled servers"

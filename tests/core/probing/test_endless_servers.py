"""Servers that hold a client without end hold neither a run nor the other servers of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mailvet.lab import Lab, World
from mailvet.lab.endless_profiles import ENDLESS_PROFILES
from tests.core.probing import probe

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

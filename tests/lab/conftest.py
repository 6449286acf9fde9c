"""Labs that several test files ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailvet.lab import Lab, World, default_world


@pytest.fixture(scope="module")
def world() -> World:
    return default_world()


@pytest.fixture(scope="module")
def names() -> Iterator[Lab]:
    """A lab with one domain for every DNS behaviour."""
    world = World()
    for host in ("mx1.acme.test", "mx2.acme.test", "solo.test"):
        world.host(host)
    world.host("six.test", ipv4=False)
    world.domain("acme.test", [(20, "mx2.acme.test"), (10, "mx1.acme.test")])
    world.domain("equal.test", [(10, "mx1.acme.test"), (10, "mx2.acme.test")])
    world.domain("solo.test").domain("six.test").domain("null.test", [(0, ".")])
    world.domain("alias.test", cname="acme.test")
    world.domain("loop.test", cname="pool.test").domain("pool.test", cname="loop.test")
    world.record("mx.via.test", "CNAME", "mx1.acme.test").domain("via.test", [(10, "mx.via.test")])
    world.domain("lost.test", [(10, "mx.nowhere.test")])
    world.record("mx.private.test", "A", "10.0.0.25").domain("private.test", [(10, "mx.private.test")])
    world.domain("literal.test", [(10, "127.0.0.1")])
    world.domain("empty.test").domain("bücher.test", [(10, "mx1.acme.test")])
    world.domain("big.test", [(10, f"mx{n}.a-name-of-some-length.acme.test") for n in range(40)])
    world.domain("gone.test", dns="nxdomain").domain("servfail.test", dns="servfail")
    world.domain("refused.test", dns="refused").domain("dropped.test", dns="dropped")
    world.domain("lame.test", dns="lame").domain("cut.test", [(10, "mx1.acme.test")], dns="truncated")
    with Lab(world) as lab:
        yield lab

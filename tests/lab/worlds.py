"""Worlds of one server, and what its clients are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mailvet.lab import Lab, World
from tests.lab.lab_client import Client

__all__ = ["ANN", "BOB", "UNKNOWN", "asked", "one_server", "settled"]

ANN, BOB, UNKNOWN = "ann@acme.test", "bob@acme.test", "not.there@acme.test"


def one_server(profile: str = "postfix", **options: Any) -> World:
    """acme.test on mx.acme.test, with ann, bob and one mailbox per other state, named after it."""
    world = World().host("mx.acme.test", profile, **options)
    world.domain("acme.test", [(10, "mx.acme.test")]).mailbox(ANN).mailbox(BOB)
    for state in ("full", "disabled", "moved", "restricted", "throttled", "temporary", "forwarded"):
        world.mailbox(f"{state}@acme.test", state)
    return world


def asked(lab: Lab, *addresses: str, host: str = "mx.acme.test") -> list[str]:
    """The replies to the addresses in one conversation."""
    client = Client(lab, host).greet()
    replies = [client.ask(address) for address in addresses]
    client.quit()
    return replies


def settled(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within a second; the lab counts in its own thread."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.005)
    return False

"""Runs against servers that hold a client without end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

from mailvet.lab import Lab, World
from mailvet.lab.endless_profiles import ENDLESS_PROFILES, add_mx_set
from tests.hostile.stalled import healthy_among_stalled
from tests.probing import Probed, probe

__all__ = ["beside_a_healthy_server", "measure"]

_LIMIT = 60.0  # seconds, after which a run counts as held
_PEOPLE = ("ann", "bob")
_NAMES = 40
_HEALTHY = 40
_CONNECTIONS = 100
_STALLED = (0, 400)
_STALLS = ("stalls_at_connect", "stalls_at_hello", "stalls_at_rcpt", "drips_at_hello", "drips_at_rcpt")


def beside_a_healthy_server(profile: str) -> tuple[Probed | None, float]:
    """What a run over two recipients at such a server and two at a healthy one gives, and its seconds.

    None where it was held.
    """
    world = World()
    for domain, kind in (("held.test", profile), ("acme.test", "postfix")):
        world.host(f"mx.{domain}", kind).domain(domain, [(10, f"mx.{domain}")])
        for name in _PEOPLE:
            world.mailbox(f"{name}@{domain}")
    return _run(world, [f"{name}@{domain}" for domain in ("held.test", "acme.test") for name in _PEOPLE])


def _many_names() -> tuple[Probed | None, float]:
    world = add_mx_set(World(), "held.test", "stalls_at_connect", names=_NAMES).mailbox("ann@held.test")
    return _run(world, ["ann@held.test"])


def _run(world: World, cells: list[str]) -> tuple[Probed | None, float]:
    began = time.monotonic()
    with Lab(world) as lab:
        try:
            probed = asyncio.run(probe(lab, cells, limit=_LIMIT))
        except (TimeoutError, asyncio.TimeoutError):
            probed = None
    return probed, time.monotonic() - began


def measure() -> dict[str, Any]:
    """Every profile once.

    Returns:
        `servers`: by profile the reasons that its recipients got, and seconds; `held`: runs that did not end;
        `wrong`: verdicts at the healthy server that are not `mailbox_accepted`, and undeliverable ones at all;
        `among_stalled`: how long healthy servers among stalled ones take.
    """
    servers: dict[str, Any] = {}
    held = wrong = 0
    runs = {profile: beside_a_healthy_server(profile) for profile in sorted(ENDLESS_PROFILES)}
    runs[f"{_NAMES} names on servers that stall"] = _many_names()
    for profile, (probed, seconds) in runs.items():
        if probed is None:
            held += 1
            servers[profile] = {"reasons": {}, "seconds": None}
            continue
        reasons = probed.reasons()
        wrong += sum(status == "undeliverable" for status in probed.statuses().values())
        wrong += sum(reason != "mailbox_accepted" for cell, reason in reasons.items() if cell.endswith("@acme.test"))
        at_it = Counter(reason for cell, reason in reasons.items() if cell.endswith("@held.test"))
        servers[profile] = {"reasons": dict(at_it), "seconds": round(seconds, 1)}
    return {"servers": servers, "held": held, "wrong": wrong, "among_stalled": _among_stalled()}


def _among_stalled() -> dict[str, Any]:
    """Seconds until the recipients at healthy servers have their results: alone, and with stalled servers."""
    found: dict[str, Any] = {"healthy": _HEALTHY, "connections": _CONNECTIONS, "stalled": {}}
    for stalled in _STALLED:
        with contextlib.ExitStack() as stack:
            run = healthy_among_stalled(
                lambda world, stack=stack: stack.enter_context(Lab(world)),
                _STALLS,
                healthy=_HEALTHY,
                stalled=stalled,
                connections=_CONNECTIONS,
                limit=600,
            )
            finished = asyncio.run(run)
        found["stalled"][str(stalled)] = {"half": round(finished.half, 1), "last": round(finished.last, 1)}
    return found

"""Server profiles that hold a client without end, and MX sets of many of them.

No world has them by itself: give them to `World.host`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from mailvet.lab.holds import HOLDS, STAGES, Hold
from mailvet.lab.profile_options import with_options
from mailvet.lab.server_profiles import ORDINARY_PROFILES, ServerProfile

if TYPE_CHECKING:
    from mailvet.lab.world import World

__all__ = ["ENDLESS_PROFILES", "add_mx_set"]

_VERBS = {"silence": "stalls", "drip": "drips", "lines": "endless_lines", "replies": "endless_replies", "huge": "huge"}


def _profiles() -> Iterator[ServerProfile]:
    for how in HOLDS:
        for at in STAGES:
            if at == "idle" and how == "silence":
                continue
            name = f"{_VERBS[how]}_{'when_idle' if at == 'idle' else f'at_{at}'}"
            tells = "all" if at in ("quit", "idle") else "nothing"
            hold = Hold(at, how)  # type: ignore[arg-type]
            yield with_options(
                ORDINARY_PROFILES["postfix"], name=name, hold=hold, starttls=False, tells=tells, error_limit=None
            )


ENDLESS_PROFILES: Mapping[str, ServerProfile] = MappingProxyType({profile.name: profile for profile in _profiles()})
"""Profiles that hold a client, by name: `stalls_at_rcpt`, `drips_at_hello`, `endless_replies_when_idle` and so on."""


def add_mx_set(world: World, domain: str, profile: str = "stalls_at_connect", names: int = 40) -> World:
    """A domain with that many MX hosts of equal preference, each with an address of its own."""
    targets = [(10, f"mx{number}.{domain}") for number in range(1, names + 1)]
    for _, name in targets:
        world.host(name, profile)
    return world.domain(domain, targets)

"""A mail world on loopback: name servers and mail servers that behave as those of real operators.

It is there for demos, for tests of programs that use mailvet and for measuring. Nothing leaves the machine,
and for every address the world knows what is really so (`Lab.truth`).

>>> from mailvet.lab import Lab, World                                                       # doctest: +SKIP
>>> world = World().host("mx1.acme.test").domain("acme.test", mx=[(10, "mx1.acme.test")])    # doctest: +SKIP
>>> with Lab(world.mailbox("ann@acme.test")) as lab:                                         # doctest: +SKIP
...     lab.write_config("mailvet.toml")

The names are imported when first used: the pytest plug-in lives in this package and must cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailvet.lab.build_default import default_world
    from mailvet.lab.build_hostile import hostile_world
    from mailvet.lab.contacts import contact_table, truth_table, write_contacts
    from mailvet.lab.counters import Counters
    from mailvet.lab.faulty_resolver import FaultyResolver
    from mailvet.lab.guards import HarvestGuard, RateLimit
    from mailvet.lab.holds import Hold
    from mailvet.lab.profiles import PROFILES
    from mailvet.lab.reply_faults import ReplyFault
    from mailvet.lab.server import Lab, serve
    from mailvet.lab.server_profiles import ORDINARY_PROFILES, ServerProfile
    from mailvet.lab.world import Domain, Host, Mailbox, Truth, World

__all__ = [
    "ORDINARY_PROFILES",
    "PROFILES",
    "Counters",
    "Domain",
    "FaultyResolver",
    "HarvestGuard",
    "Hold",
    "Host",
    "Lab",
    "Mailbox",
    "RateLimit",
    "ReplyFault",
    "ServerProfile",
    "Truth",
    "World",
    "contact_table",
    "default_world",
    "hostile_world",
    "serve",
    "truth_table",
    "write_contacts",
]

_HOMES = {
    "ORDINARY_PROFILES": "server_profiles",
    "ServerProfile": "server_profiles",
    "PROFILES": "profiles",
    "FaultyResolver": "faulty_resolver",
    "HarvestGuard": "guards",
    "Hold": "holds",
    "RateLimit": "guards",
    "ReplyFault": "reply_faults",
    "hostile_world": "build_hostile",
    "contact_table": "contacts",
    "truth_table": "contacts",
    "write_contacts": "contacts",
    "Counters": "counters",
    "Domain": "world",
    "Host": "world",
    "Mailbox": "world",
    "Truth": "world",
    "World": "world",
    "Lab": "server",
    "serve": "server",
    "default_world": "build_default",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Can the name servers be believed?

Two checks, both once for each name server and resolver, kept for ten minutes:

* **Controls.** A negative response counts only from a server that has found the mail servers of one domain that is
  known to exist. Resolvers of internal networks (split horizon, a VPC, Kubernetes) know internal names alone, and say
  NXDOMAIN to every customer's domain.
* **Inventions.** Random names are asked for, under several endings and of every type. A server that has records for
  them invents records of this type, and what it says of this type proves nothing.

This one check stands behind every run, the doctor and the plug-ins.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mailvet.data import files
from mailvet.dns.name_server import NameServer
from mailvet.dns.responses import ROUTE_TYPES, Outcome
from mailvet.settings import Dns

__all__ = ["MOST_QUESTIONS", "SHARED", "Inventions", "Memory", "Trust", "control_names"]

MOST_QUESTIONS = 12
"""For each of the two checks."""
_KEPT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Inventions:
    """What name servers respond for names that do not exist."""

    kinds: frozenset[str] = frozenset()
    """Types of the records invented: MX, A, AAAA."""
    values: frozenset[str] = frozenset()
    """Addresses and host names seen in such records."""

    def __or__(self, other: Inventions) -> Inventions:
        return Inventions(self.kinds | other.kinds, self.values | other.values)


@dataclass(slots=True)
class _Known:
    """What is known of one name server."""

    inventions: Inventions | None = None
    responds: bool = False
    inventions_until: float = 0.0
    finds_controls: bool = False
    finds_mixed_case: bool = False
    controls_until: float = 0.0


Memory = dict[tuple[Any, ...], _Known]
"""What is known of name servers, by address, port and controls."""

SHARED: Memory = {}
"""For the many short-lived resolvers of one process that are part of one run."""


def control_names() -> tuple[str, ...]:
    """The domains that every resolver must find, unless `[dns] controls` names others."""
    return tuple(files.document("resolver_check")["controls"])


@dataclass(slots=True)
class Trust:
    """The checks of the name servers of one resolver, bound to its event loop.

    Args:
        servers: all of them; only those that have responded are checked.
        settings: whose controls are asked for.
        memory: of earlier checks. By default a resolver begins with none: the network may be another one by now,
            behind the same address.
    """

    servers: Sequence[NameServer]
    settings: Dns
    memory: Memory = field(default_factory=dict)
    inventions: Inventions = field(default_factory=Inventions)
    """Of all servers checked so far."""
    _distrusted: dict[str, None] = field(default_factory=dict)
    _inventors: dict[str, Inventions] = field(default_factory=dict)
    _endings: dict[str, str] = field(default_factory=dict)
    _asking: dict[tuple[str, NameServer], asyncio.Task[None]] = field(default_factory=dict)
    _fresh_until: float = 0.0
    _outdated_at: float = field(default_factory=lambda: time.monotonic() + _KEPT_SECONDS)

    @property
    def controls(self) -> tuple[str, ...]:
        """Domains of which a server must find one."""
        return control_names() if self.settings.controls is None else self.settings.controls

    @property
    def is_due(self) -> bool:
        """Whether inventions should be looked for, the first time or once more."""
        return time.monotonic() >= self._fresh_until

    @property
    def is_outdated(self) -> bool:
        """Whether something was not believed, so long ago that it should be checked anew."""
        return self.degraded is not None and time.monotonic() >= self._outdated_at

    @property
    def degraded(self) -> str | None:
        """What was not believed so far, and what to do about it; None if there was nothing."""
        sentences = []
        if self._distrusted:
            names = " or ".join(self.controls) if len(self.controls) < 3 else f"any of {', '.join(self.controls)}"
            sentences.append(
                f"The resolver {', '.join(self._distrusted)} finds no mail server of {names}. So when it says that a "
                "domain or its mail servers do not exist, that was not believed, and such domains were marked "
                "dns_error. Set [dns] nameservers to a resolver that knows public names, or [dns] controls to domains "
                "that this one must find, and run again."
            )
        if self._inventors:
            kinds = sorted({kind for each in self._inventors.values() for kind in each.kinds}, key=ROUTE_TYPES.index)
            values = sorted({value for each in self._inventors.values() for value in each.values})
            sentences.append(
                f"The resolver answers {values[0]} for names that do not exist. {', '.join(self._inventors)} invents "
                f"{' and '.join(kinds)} records, so these prove nothing, and domains that have nothing else were "
                "marked dns_error. Set [dns] nameservers to an honest resolver and run again."
            )
        elif len(self._endings) > 1:  # one alone may be its registry's doing
            value = next(iter(self._endings.values()))
            sentences.append(
                f"The resolver answers {value} for names that do not exist below {' and '.join(self._endings)}. "
                "Domains there that have nothing but addresses were marked dns_error. Set [dns] nameservers to an "
                "honest resolver and run again."
            )
        return " ".join(sentences) or None

    def note_ending(self, ending: str, value: str) -> None:
        """Names that do not exist have this address below an ending."""
        self._endings.setdefault(ending, value)

    def has_examined(self, server: NameServer) -> bool:
        """Whether inventions of this server have been looked for, not too long ago."""
        return time.monotonic() < self._of(server).inventions_until

    async def examine(self, server: NameServer, *, afresh: bool = False) -> bool:
        """Look whether a server invents records. Returns whether it responds at all."""
        known = self._of(server)
        if afresh or not self.has_examined(server):
            await self._once("inventions", server)
        inventions = known.inventions or Inventions()
        if inventions.kinds:
            self._inventors[server.address] = inventions
            self.inventions |= inventions
        self._fresh_until = max(self._fresh_until, known.inventions_until)
        return known.responds

    async def examine_all(self, *, afresh: bool = False) -> None:
        """Do both checks now; `degraded` has the result. Every server that responds is asked."""
        await asyncio.gather(*(self.examine(server, afresh=afresh) for server in self.servers))
        await self.believes_negatives(afresh=afresh)

    async def believes_negatives(self, *, afresh: bool = False) -> bool:
        """Whether all servers that have responded so far find a control, or need not. Each is asked once."""
        if not self.controls:
            return True
        servers = [server for server in self.servers if server.responded]
        found = await asyncio.gather(*(self._finds_controls(server, afresh) for server in servers))
        self._distrusted.update(
            (server.address, None) for server, finds in zip(servers, found, strict=True) if not finds
        )
        return bool(found) and all(found)

    async def _finds_controls(self, server: NameServer, afresh: bool) -> bool:
        await self.examine(server)
        known = self._of(server)
        if afresh or time.monotonic() >= known.controls_until:
            await self._once("controls", server)
        if known.finds_controls:
            server.finds_mixed_case = known.finds_mixed_case
            if not known.finds_mixed_case:
                server.ask_in_lower_case()
        return known.finds_controls

    def _of(self, server: NameServer) -> _Known:
        return self.memory.setdefault((server.address, server.port, self.controls), _Known())

    async def _once(self, check: str, server: NameServer) -> None:
        """Run a check, or wait for the one that is running."""
        task = self._asking.get((check, server))
        if task is None or task.done():
            work = self._look_for_inventions if check == "inventions" else self._ask_controls
            task = self._asking[check, server] = asyncio.ensure_future(work(server))
        await asyncio.shield(task)

    async def _look_for_inventions(self, server: NameServer) -> None:
        endings = files.document("resolver_check")["endings"]
        questions = [(f"mailvet-{secrets.token_hex(10)}.{ending}", kind) for ending in endings for kind in ROUTE_TYPES]
        questions = questions[:MOST_QUESTIONS]
        responses = await asyncio.gather(*(server.ask(name, kind, mixed_case=False) for name, kind in questions))
        kinds: set[str] = set()
        values: set[str] = set()
        for (_, kind), response in zip(questions, responses, strict=True):
            if response.outcome is Outcome.found:
                kinds.add(kind)
                values.update(value or "." for _, value in response.records)
        known = self._of(server)
        known.inventions = Inventions(frozenset(kinds), frozenset(values))
        known.responds = server.responded or any(r.outcome is not Outcome.timed_out for r in responses)
        known.inventions_until = time.monotonic() + (_KEPT_SECONDS if known.responds else 0.0)

    async def _ask_controls(self, server: NameServer) -> None:
        """In random letter case first, then as they are written: that tells whether the server minds."""
        known = self._of(server)
        inventions = known.inventions or Inventions()
        left = MOST_QUESTIONS
        known.finds_controls = False
        for mixed_case in (True, False):
            names = self.controls[:left]
            left -= len(names)
            if "MX" in inventions.kinds:
                break
            responses = await asyncio.gather(*(server.ask(name, "MX", mixed_case=mixed_case) for name in names))
            if any(r.outcome is Outcome.found and any(host for _, host in r.records) for r in responses):
                known.finds_controls, known.finds_mixed_case = True, mixed_case
                break
        known.controls_until = time.monotonic() + _KEPT_SECONDS

"""Verifying against a lab from a test: settings with short time-outs, and the verdict row of every cell."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl

from mailvet.dns.routes import MailHost, Route
from mailvet.lab import Counters, Lab, World
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from mailvet.probing.domain import Recipient
from mailvet.settings import Settings
from mailvet.verification.stream import Stream
from mailvet.verification.verifier import Verifier

__all__ = ["Probed", "acme", "asked", "controls", "lab_settings", "people", "probe", "recipient_at", "total"]

_CONTROL = re.compile(r"(?:[b-z][aeiou]){5}[a-z]\d{4}@")


def acme(profile: str = "postfix", *mailboxes: str, **options: Any) -> World:
    """acme.test on mx.acme.test, a server with this profile; `mailboxes` are local parts, `local:state` or `local`."""
    world = World().host("mx.acme.test", profile, **options).domain("acme.test", [(10, "mx.acme.test")])
    for mailbox in mailboxes:
        local, _, state = mailbox.partition(":")
        world.mailbox(f"{local}@acme.test", state or "live")  # type: ignore[arg-type]
    return world


def lab_settings(lab: Lab, **sections: Any) -> Settings:
    """Settings that ask this lab and lose no time; `sections` are merged into them."""
    address, port = lab.nameserver
    base: dict[str, Any] = {
        "depth": "smtp",
        "dns": {"nameservers": (address,), "port": port, "timeout": 0.3, "lifetime": 0.3},
        "smtp": {
            "port": lab.smtp_port,
            "hello_name": HELLO_NAME,
            "mail_from": MAIL_FROM,
            "allow_private_networks": ("127.0.0.0/8", "::1/128"),
            "connect_timeout": 0.5,
            "command_timeout": 1.0,
            "address_budget": 3.0,
        },
        "retry": {"after_greylisting": ("0.3s", "0.3s", "0.3s")},
    }
    for name, value in sections.items():
        base[name] = {**base.get(name, {}), **value} if isinstance(value, dict) else value
    return Settings.load(**base)


@dataclass
class Probed:
    """What came of a list of cells."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    degraded: str | None = None
    probes: int = 0

    def __getitem__(self, cell: str) -> dict[str, Any]:
        return self.rows[cell]

    def reasons(self) -> dict[str, str]:
        return {cell: row["reason"] for cell, row in self.rows.items()}

    def statuses(self) -> dict[str, str]:
        return {cell: row["status"] for cell, row in self.rows.items()}


async def probe(
    lab: Lab,
    cells: Iterable[str],
    *,
    wait: float = 0.0,
    limit: float = 20.0,
    asked_today: dict[str, int] | None = None,
    previous_reason: str | None = None,
    **sections: Any,
) -> Probed:
    """Verify distinct cells; a run longer than `limit` seconds is a failure, so that nothing hangs. `previous_reason`:
    what an earlier run found about all of them.
    """
    frame = pl.DataFrame({"email": list(cells)}, schema={"email": pl.String})
    if previous_reason is not None:
        frame = frame.with_columns(pl.lit(previous_reason).alias("previous_reason"))
    batches = iter([frame, None])

    async def read() -> pl.DataFrame | None:
        return next(batches)

    async def work() -> Probed:
        probed = Probed()
        async with Verifier(lab_settings(lab, **sections), asked_today=asked_today) as verifier:
            async for frame in Stream(verifier, read, wait=timedelta(seconds=wait)):
                for row in frame.iter_rows(named=True):
                    assert row["email"] not in probed.rows, "a row was answered twice"
                    probed.rows[row["email"]] = row
            probed.degraded = verifier.degraded
            probed.probes = verifier.mailboxes.probes if verifier.mailboxes is not None else 0
        return probed

    return await asyncio.wait_for(work(), limit)


def asked(lab: Lab) -> Counter[str]:
    """How often each recipient was named to a mail server, control addresses too. No message was sent."""
    whole: Counter[str] = Counter()
    for counters in lab.counters().values():
        assert counters.data == 0
        whole.update(counters.recipients)
    return whole


def total(lab: Lab) -> Counters:
    """The counters of all servers in one; peaks are the greatest, not the sum."""
    whole = Counters()
    for counters in lab.counters().values():
        for name, value in vars(counters).items():
            if name == "peak_connections":
                whole.peak_connections = max(whole.peak_connections, value)
            elif isinstance(value, set):
                getattr(whole, name).update(value)
            else:
                setattr(whole, name, getattr(whole, name) + value)
    return whole


def people(*locals_: str, domain: str = "acme.test") -> list[str]:
    return [f"{local}@{domain}" for local in locals_]


def controls(lab: Lab) -> Counter[str]:
    """Random addresses that were asked: recipients that were not submitted."""
    return Counter({name: n for name, n in total(lab).recipients.items() if _CONTROL.match(name)})


def recipient_at(lab: Lab, local: str, domain: str) -> Recipient:
    hosts = tuple(MailHost(to.name, 10, (to.address,)) for to in lab.world.routes(domain) if not isinstance(to, str))
    return Recipient(local, domain, Route(domain, hosts=hosts))

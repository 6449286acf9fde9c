"""The section `[service]` of `mailvet.toml`: what `mailvet serve` goes by."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from mailvet.setting_types import Duration, Section
from mailvet.vocabulary import Depth

__all__ = ["Service"]

_VENDORS = ("sendgrid", "mailgun", "ses", "resend", "postmark", "brevo", "mailjet", "sparkpost")


class Service(Section):
    """How `mailvet serve` answers and what it keeps."""

    database: str | None = None
    """
    Where verdicts, events and batches are kept: a DuckDB file (one worker), or the URL of a PostgreSQL database.
    Default: the store of verdicts on files.
    """
    state: Path | None = None
    """SQLite file with keys, limits and jobs. Default: `service.sqlite` in the user's data directory."""
    depth: Depth = Depth.dns
    """How far a check goes unless the request says otherwise."""
    deadline: Duration = timedelta(milliseconds=300)
    """When a check is answered unless the request says otherwise."""
    origins: tuple[str, ...] = ()
    """Web sites whose pages may ask from a browser, as `https://www.example.com`."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    largest_body: int = Field(50_000_000, ge=10_000)
    """Octets of a batch; of every other request 64 KiB."""
    largest_batch: int = Field(1_000_000, ge=1)
    """Addresses of a batch."""
    retention: Duration = timedelta(days=7)
    """How long the addresses and results of a batch are kept after its end."""
    webhook_networks: tuple[str, ...] = ()
    """For a lab only: private networks that webhooks may be sent to."""
    events: dict[str, SecretStr] = Field(default_factory=dict)
    """
    Secrets of the senders' webhooks by sender: `sendgrid` (verification key), `mailgun` (signing key), `ses` (ARN of
    the SNS topic), `resend` (signing secret), `postmark`, `brevo`, `mailjet` and `sparkpost` (`user:password`).
    Several, with spaces between them, hold side by side.
    """

    @field_validator("origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", origin):
                raise ValueError(f"{origin!r} is no origin; write for example 'https://www.example.com'")
        return origins

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def _networks_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @field_validator("deadline")
    @classmethod
    def _deadline_is_possible(cls, deadline: timedelta) -> timedelta:
        if not timedelta(milliseconds=1) <= deadline <= timedelta(minutes=1):
            raise ValueError("deadline must be between 1ms and 1m")
        return deadline

    @field_validator("events")
    @classmethod
    def _vendors_are_known(cls, events: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if unknown := sorted(events.keys() - set(_VENDORS)):
            raise ValueError(f"{', '.join(unknown)}: no sender whose webhooks are known; write {', '.join(_VENDORS)}")
        return events

"""What Prometheus reads: counts and times by route, reason and depth; never a key, an address or a domain."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Metrics"]

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.33, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """The metrics of one process; those of all workers together where PROMETHEUS_MULTIPROC_DIR is set."""

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "mailvet_requests", "Requests by route and status.", ("route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "mailvet_request_seconds",
            "Seconds to a response by route.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.checks = Counter(
            "mailvet_checks", "Verdicts given by reason and depth.", ("reason", "depth"), registry=self._registry
        )
        self.late = Counter(
            "mailvet_checks_late", "Verdicts given before every layer had its say.", registry=self._registry
        )
        self.events = Counter("mailvet_events_received", "Events by sender.", ("vendor",), registry=self._registry)
        self.unusable = Counter(
            "mailvet_events_unusable",
            "Records of webhooks that gave no event, by sender and why.",
            ("vendor", "why"),
            registry=self._registry,
        )
        self.refused = Counter(
            "mailvet_webhooks_refused",
            "Webhooks whose signature or password was refused, by sender.",
            ("vendor",),
            registry=self._registry,
        )
        self.under_way = Gauge(
            "mailvet_checks_under_way",
            "Addresses that are finished beyond their deadline.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)

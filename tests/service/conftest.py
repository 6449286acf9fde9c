"""A lab, and a service that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailvet.lab import Lab
from mailvet.settings import Settings
from tests.probing import acme, lab_settings
from tests.service.serving import Client, running


@pytest.fixture(scope="module")
def world_lab() -> Iterator[Lab]:
    world = acme("postfix", "ann", "bob:full", *(f"restart{n}" for n in range(30)))
    world.domain("dead.test", [(10, "mx.acme.test")], dns="dropped")
    world.host("mx.private.test", "postfix", address="127.9.9.9").domain("private.test", [(10, "mx.private.test")])
    with Lab(world) as lab:
        yield lab


def service_settings(lab: Lab, folder: Path, **more: Any) -> Settings:
    """Settings of a service that keeps everything in a folder."""
    service = {"database": str(folder / "verdicts.duckdb"), "state": folder / "state.sqlite", **more.pop("service", {})}
    store = {"journal": folder / "journal", **more.pop("store", {})}
    # A busy machine is no reason for another verdict.
    dns = {"timeout": 2.0, "lifetime": 2.0, **more.pop("dns", {})}
    smtp = {"connect_timeout": 20.0, "command_timeout": 20.0, "address_budget": 60.0, **more.pop("smtp", {})}
    return lab_settings(lab, service=service, store=store, dns=dns, smtp=smtp, **more)


@pytest.fixture(scope="module")
def client(world_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for the tests of a module."""
    more: dict[str, Any] = {"origins": ("https://shop.example",), "deadline": "50s"}
    with running(service_settings(world_lab, tmp_path_factory.mktemp("service"), service=more)) as found:
        yield found

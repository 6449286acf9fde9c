"""
Other verifiers, each driven through its own call for many addresses, on loopback (see `benchmarks.loopback`).

Every function takes cells and the lab (`LabProcess.about`), and returns one of our four statuses for each cell.
What the peers call otherwise is translated: listwash's `catch-all` and `do_not_mail` to risky, py3-validate-email's
True, False and None to deliverable, undeliverable and unknown.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import loopback, worlds
from mailvet.lab.world import HELLO_NAME, MAIL_FROM

__all__ = ["PROBERS", "installed", "run"]

_TIMEOUT = 2.0
"""Seconds for one connection or command, as the lab's configuration gives mailvet."""


def mailvet(cells: Sequence[str], about: dict[str, Any], workers: int) -> list[str]:
    """`mailvet.verify_many` with the pacing that is the default; `workers` does not matter."""
    from mailvet.settings import Settings
    from mailvet.verification.api import verify_many

    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "mailvet.toml")
        path.write_text(about["config"])
        settings = Settings.load(path)
    began = _Clock()
    verdicts = verify_many(list(cells), settings=settings)
    began.stop()
    statuses: list[str] = verdicts["status"].to_pylist()
    return statuses


def listwash(cells: Sequence[str], about: dict[str, Any], workers: int) -> list[str]:
    """`listwash.verify` with an empty cache and without its pause of 0.4 s between recipients."""
    peer = import_module("listwash")
    with tempfile.TemporaryDirectory() as home:
        began = _Clock()
        results = peer.verify(
            list(cells),
            helo=HELLO_NAME,
            mail_from=MAIL_FROM,
            workers=workers,
            pause=0.0,
            fresh=True,
            connect_timeout=_TIMEOUT,
            cache_path=str(Path(home, "cache.json")),
        )
        began.stop()
    words = {"valid": "deliverable", "invalid": "undeliverable", "catch-all": "risky", "do_not_mail": "risky"}
    found = (results.get(cell.strip().lower()) for cell in cells)
    # A cell it drops (an empty one) is no address.
    return ["undeliverable" if each is None else words.get(each["verdict"], "unknown") for each in found]


def pigeontrust(cells: Sequence[str], about: dict[str, Any], workers: int) -> list[str]:
    """`AsyncPigeontrust.averify_many`, the faster of its two faces."""
    averifier = import_module("pigeontrust.averifier")
    began = _Clock()
    peer = averifier.AsyncPigeontrust(
        helo_host=HELLO_NAME, from_address=MAIL_FROM, smtp_timeout=_TIMEOUT, max_workers=workers
    )
    results = asyncio.run(peer.averify_many(list(cells)))
    began.stop()
    return [str(result.verdict.value) for result in results]


def py3_validate_email(cells: Sequence[str], about: dict[str, Any], workers: int) -> list[str]:
    """`validate_email` per address, from a pool of threads: it has no call for many."""
    validate_email = import_module("validate_email").validate_email

    def one(cell: str) -> str:
        answer = validate_email(
            cell, smtp_helo_host=HELLO_NAME, smtp_from_address=MAIL_FROM, smtp_timeout=_TIMEOUT, dns_timeout=3
        )
        return {True: "deliverable", False: "undeliverable", None: "unknown"}[answer]

    began = _Clock()
    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(one, cells))
    began.stop()
    return answers


PROBERS: dict[str, Callable[[Sequence[str], dict[str, Any], int], list[str]]] = {
    "mailvet": mailvet,
    "listwash": listwash,
    "pigeontrust": pigeontrust,
    "py3-validate-email": py3_validate_email,
}
_MODULES = {"py3-validate-email": "validate_email"}


def installed(name: str) -> bool:
    """Whether a peer can be imported here."""
    return find_spec(_MODULES.get(name, name)) is not None


class _Clock:
    """Wall and CPU time of the call alone, imports left out."""

    last: tuple[float, float] = (0.0, 0.0)

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        type(self).last = (time.perf_counter() - self._wall, time.process_time() - self._cpu)


def run(name: str, cells: Sequence[str | None], about: dict[str, Any], workers: int = 100) -> dict[str, Any]:
    """
    One verifier over the cells: `seconds`, `cpu` (seconds of this process), `statuses`, `refused` destinations.

    It first verifies ten addresses at a domain of their own, so that lists are loaded and expressions compiled.
    """
    loopback.install(about["names"], (about["nameserver"][0], about["nameserver"][1]), about["smtp_port"])
    PROBERS[name]([f"person{number}@{worlds.WARM_UP}" for number in range(10)], about, workers)
    statuses = PROBERS[name]([cell or "" for cell in cells], about, workers)
    seconds, cpu = _Clock.last
    return {"seconds": seconds, "cpu": cpu, "statuses": statuses, "refused": sum(loopback.refused.values())}

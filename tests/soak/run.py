"""The soak itself: a stream of addresses, and what the process needs meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import polars as pl

from mailvet.lab import Lab, World
from mailvet.lab.endless_profiles import ENDLESS_PROFILES
from mailvet.settings import Settings
from mailvet.verification.stream import Stream
from mailvet.verification.verifier import Verifier
from tests.probing import lab_settings

__all__ = ["flat", "soak"]

_HEALTHY = 40
_MAILBOXES = 30
_ROWS = 500
_BATCHES = 8  # of one run
_SAME_EVERY = 25  # rows from one address at a hostile server to the next
_LOOK_EVERY = 0.1  # seconds
_CLOSES_WITHIN = 1.5  # seconds for the last connections of a run
_MOST_MEMORY = 0.05  # of what the second quarter needs
_MOST_FILES = 10
_MOST_TASKS = 20


def _world() -> World:
    world = World()
    for number in range(_HEALTHY):
        domain = f"good{number}.test"
        world.host(f"mx.{domain}", "postfix").domain(domain, [(10, f"mx.{domain}")])
        for person in range(_MAILBOXES):
            world.mailbox(f"person{person}@{domain}")
    for profile in ENDLESS_PROFILES:
        domain = f"{profile.replace('_', '-')}.test"
        world.host(f"mx.{domain}", profile).domain(domain, [(10, f"mx.{domain}")])
    return world


def _serve(pipe: Connection) -> None:
    with Lab(_world()) as lab:
        pipe.send((lab.nameserver, lab.smtp_port))
        pipe.recv()


class _Elsewhere:
    """A lab in another process, as far as `lab_settings` needs it."""

    def __init__(self, nameserver: tuple[str, int], smtp_port: int) -> None:
        self.nameserver = nameserver
        self.smtp_port = smtp_port


@contextlib.contextmanager
def _lab() -> Iterator[Settings]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        if not ours.poll(60):
            raise RuntimeError("the lab did not start")
        yield lab_settings(_Elsewhere(*ours.recv()))  # type: ignore[arg-type]
    finally:
        ours.send(None)
        process.join(20)
        if process.is_alive():
            process.kill()


def _addresses() -> Iterator[str]:
    hostile = itertools.cycle(f"{profile.replace('_', '-')}.test" for profile in ENDLESS_PROFILES)
    for number in itertools.count():
        if number % _SAME_EVERY == 0:
            yield f"p{number}@{next(hostile)}"
        elif number % 3:
            yield f"p{number}@good{number % _HEALTHY}.test"
        else:
            yield f"person{number % _MAILBOXES}@good{number // _MAILBOXES % _HEALTHY}.test"


def _memory() -> float:
    """Resident megabytes of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1e6


def soak(seconds: float) -> dict[str, Any]:
    """Verify for so many seconds.

    Returns:
        `seconds`, `addresses` with a verdict, `longest_pause` (seconds in which the event loop did nothing else), and
        for `memory_mb`, `files` and `tasks`, noted between two runs, the medians of the second and the last quarter.
    """
    with _lab() as settings:
        return asyncio.run(_soak(settings, seconds))


async def _soak(settings: Settings, seconds: float) -> dict[str, Any]:
    began, addresses = time.monotonic(), _addresses()
    noted: list[tuple[float, float, float]] = []
    longest_pause = 0.0

    def batches() -> Iterator[pl.DataFrame | None]:
        for _ in range(_BATCHES):
            yield pl.DataFrame({"email": list(itertools.islice(addresses, _ROWS))})
        yield None

    async def note() -> None:
        nonlocal longest_pause
        before = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = time.monotonic()
            longest_pause, before = max(longest_pause, now - before - _LOOK_EVERY), now

    watching = asyncio.ensure_future(note())
    verdicts = 0
    try:
        while time.monotonic() - began < seconds:  # each run is one of a pipeline's: it ends, and the next begins
            batch = batches()

            async def read(left: Iterator[pl.DataFrame | None] = batch) -> pl.DataFrame | None:
                return next(left)

            async with Verifier(settings) as verifier:
                async for frame in Stream(verifier, read):
                    verdicts += frame.height
            await asyncio.sleep(_CLOSES_WITHIN)
            noted.append((_memory(), float(len(os.listdir("/proc/self/fd"))), float(len(asyncio.all_tasks()))))
    finally:
        watching.cancel()
    quarter = max(1, len(noted) // 4)
    second, last = noted[quarter : 2 * quarter] or noted, noted[-quarter:]
    figures: dict[str, Any] = {
        "seconds": round(seconds),
        "addresses": verdicts,
        "longest_pause": round(longest_pause, 2),
    }
    for place, name in enumerate(("memory_mb", "files", "tasks")):
        figures[name] = [round(statistics.median(each[place] for each in part), 1) for part in (second, last)]
    return figures


def flat(figures: dict[str, Any]) -> bool:
    """Whether nothing grew from the second quarter of the time to the last."""
    memory, files, tasks = figures["memory_mb"], figures["files"], figures["tasks"]
    return bool(
        memory[1] - memory[0] <= max(_MOST_MEMORY * memory[0], 10.0)
        and files[1] - files[0] <= _MOST_FILES
        and tasks[1] - tasks[0] <= _MOST_TASKS
    )

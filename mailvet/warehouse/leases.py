"""Which run is at work on a table: a run holds a lease while it works, so that a second one asks no recipient twice.

A lease is a row of `mailvet_leases`, written and compared by the clock of the database alone. It is renewed every
`RENEW_SECONDS` and expires `EXPIRES_SECONDS` after the last time, for the case that the machine is gone; where the
process that holds it ran on this machine and is gone, it is broken at once.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["EXPIRES_SECONDS", "RENEW_SECONDS", "Lease", "is_gone", "this_process"]

EXPIRES_SECONDS = 60
RENEW_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a lease."""

    run_id: str
    holder: str
    """As `this_process` gives it."""
    started_at: datetime
    """Aware, UTC."""

    @property
    def who(self) -> str:
        """For people: host and process."""
        host, _, rest = self.holder.partition(" ")
        return f"process {rest.partition(' ')[0]} on {host}"


def this_process() -> str:
    """Host, process and when it began, which tells it from a later one of the same number."""
    return f"{socket.gethostname()} {os.getpid()} {_began(os.getpid()) or ''}".strip()


def is_gone(holder: str) -> bool:
    """Whether the holder ran on this machine and has ended. False where that cannot be known."""
    host, _, rest = holder.partition(" ")
    number, _, began = rest.partition(" ")
    if host != socket.gethostname() or not number.isdigit():
        return False
    now = _began(int(number))
    if now is not None:
        return bool(began) and now != began
    return Path("/proc/self/stat").exists()


def _began(process: int) -> str | None:
    """The machine's start and the process's, in ticks after it (proc(5), field 22); None where there is no such one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return None

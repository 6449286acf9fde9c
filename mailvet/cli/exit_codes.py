"""What the process `mailvet` tells its caller."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """1 means that a gate failed and nothing else. Stopped by a signal: 128 and its number, as shells have it."""

    done = 0
    gate_failed = 1
    bad_input = 2
    degraded = 3
    own_fault = 4
    interrupted = 130
    terminated = 143

"""How a test says what it tried."""

from __future__ import annotations

from collections.abc import Callable

Tried = Callable[[str, int], None]
"""(kind of attack, number of inputs)."""

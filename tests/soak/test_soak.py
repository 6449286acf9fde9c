"""A run of any length needs no more than a short one."""

from __future__ import annotations

import pytest

from tests.soak.run import flat, soak

_SECONDS = 60


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_files_and_tasks_do_not_grow() -> None:
    figures = soak(_SECONDS)
    assert figures["addresses"] > 0
    assert flat(figures), figures

"""pytest fixtures for programs that use mailvet: a mail world on loopback.

Everything else is imported when a fixture is first asked for, so that an installed mailvet costs a test run
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mailvet.lab import Lab, World

__all__ = ["mailvet_lab", "mailvet_lab_factory"]


@pytest.fixture(scope="session")
def mailvet_lab() -> Iterator[Lab]:
    """A running lab with the default world, one for the whole test session."""
    from mailvet.lab import Lab

    with Lab() as lab:
        yield lab


@pytest.fixture
def mailvet_lab_factory() -> Iterator[Callable[..., Lab]]:
    """A function that starts a lab with a world of your own and takes the options of `Lab`.

    Every lab stops with the test.

    >>> def test_mine(mailvet_lab_factory):
    ...     world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    ...     lab = mailvet_lab_factory(world, latency=0.02)
    """
    from mailvet.lab import Lab

    started: list[Lab] = []

    def start(world: World | None = None, **options: Any) -> Lab:
        lab = Lab(world, **options).start()
        started.append(lab)
        return lab

    yield start
    for lab in started:
        lab.stop()

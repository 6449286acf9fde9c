"""What the tests of whole conversations share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailvet.lab import Lab, World
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from tests.probing import total

LabFactory = Callable[..., Lab]


@pytest.fixture
def lab_of(mailvet_lab_factory: LabFactory) -> Iterator[LabFactory]:
    """Starts labs and looks afterwards whether anybody broke the rules that hold everywhere."""
    started: list[Lab] = []

    def start(world: World, **options: Any) -> Lab:
        started.append(mailvet_lab_factory(world, **options))
        return started[-1]

    yield start
    for lab in started:
        counters = total(lab)
        assert counters.data == 0
        assert not {"VRFY", "EXPN", "AUTH", "?"} & set(counters.commands)
        assert counters.hello_names <= {HELLO_NAME}
        assert counters.mail_from <= {MAIL_FROM}

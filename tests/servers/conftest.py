"""Real servers for the tests of this directory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.programs import require
from tests.servers import real_mail as world
from tests.servers.real_mail import RealMail


@pytest.fixture(scope="session")
def real_mail() -> Iterator[RealMail]:
    """NSD, Postfix and postgrey on loopback, one set for the whole session."""
    require(*world.PROGRAMS)
    if os.geteuid() != 0:
        pytest.skip("needs root: Postfix changes to its own users")
    with world.start() as mail:
        yield mail

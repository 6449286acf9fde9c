"""The verifiers that calls share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailvet.lab import Lab
from mailvet.verification.background import run_in_background, shared_verifier
from tests.probing import acme, lab_settings

LabFactory = Callable[..., Lab]


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", "bob:full"))


def test_a_resolver_that_was_silent_is_asked_anew_by_the_next_call(lab: Lab) -> None:
    configured = lab_settings(lab, depth="dns")
    first = run_in_background(shared_verifier(configured))
    assert run_in_background(shared_verifier(configured)) is first
    first.has_dns = False
    assert run_in_background(shared_verifier(configured)) is not first

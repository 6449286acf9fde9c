"""Readers of what strangers wrote: every input ever found to break a rule, a few random ones, and long ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.random_inputs import INPUTS_BY_TARGET
from tests.fuzz.targets import INPUTS, TARGETS, shaped

KEPT = [
    pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in sorted(INPUTS.glob("*/*")) if path.is_file()
]


@pytest.mark.parametrize("path", KEPT)
def test_a_kept_input_breaks_no_rule(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_random_inputs_break_no_rule(target: str) -> None:
    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(INPUTS_BY_TARGET[target])
    def check(octets: bytes) -> None:
        TARGETS[target](octets)

    check()


@pytest.mark.parametrize(
    ("target", "shape"), [(target, shape) for target in sorted(TARGETS) for shape in sorted(shaped(target))]
)
def test_a_long_input_breaks_no_rule_and_ends(target: str, shape: str) -> None:
    began = time.monotonic()
    TARGETS[target](shaped(target)[shape](65_536))
    assert time.monotonic() - began < 20

"""Whether this machine is fit to ask, and what a run says when it is not."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from mailvet.errors import PreflightError
from mailvet.lab import Lab
from mailvet.verification import api
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Reason, Status
from tests.probing import acme, lab_settings, total

LabFactory = Callable[..., Lab]


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", "bob:full"))


@pytest.mark.parametrize("name", ["localhost", "machine", "box.localdomain", "printer.local"])
def test_without_a_real_host_name_nothing_is_probed(lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: name)
    with pytest.raises(PreflightError, match="hello_name"):
        api.verify("ann@acme.test", settings=lab_settings(lab, smtp={"hello_name": None}))
    assert total(lab).connections == 0


def test_a_host_name_that_does_not_resolve_is_not_said(lab: Lab) -> None:
    with pytest.raises(PreflightError, match="does not resolve"):
        api.verify("ann@acme.test", settings=lab_settings(lab, smtp={"hello_name": "gone.example.test"}))
    assert total(lab).connections == 0


async def test_a_lost_resolver_in_the_middle_is_said(lab: Lab) -> None:
    async with Verifier(lab_settings(lab, depth="dns")) as verifier:
        assert verifier._resolver is not None
        verifier._resolver.down = True
        assert "DNS stopped answering" in str(verifier.degraded)
        verdict = await verifier.examine_one("ann@acme.test")
    assert (verdict.status, verdict.reason) == (Status.unknown, Reason.dns_timeout)


@pytest.mark.parametrize("depth", ["dns", "smtp"])
async def test_a_domain_of_many_cells_is_looked_up_once(lab: Lab, depth: str) -> None:
    cells = [f"p{n}@acme.test" for n in range(20)] + ["no address", "ann@gone.test"]
    async with Verifier(lab_settings(lab, depth=depth)) as verifier:
        verdicts = await verifier.examine_each(cells)
    assert [verdict.email for verdict in verdicts] == cells
    assert lab.dns_queries()[("acme.test", "MX")] == 1
    assert {verdict.reason for verdict in verdicts[20:]} == {Reason.syntax_invalid, Reason.domain_not_found}

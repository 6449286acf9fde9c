"""Every fault of name servers and resolvers that the lab can show: no living mailbox is called dead for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from mailvet.lab import FaultyResolver, Lab, World
from mailvet.lab.world import Behaviour
from tests.probing import probe

LabFactory = Callable[..., Lab]

REASONS: dict[Behaviour, str] = {
    "answers": "mailbox_accepted",
    "nxdomain": "domain_not_found",
    "servfail": "dns_error",
    "refused": "dns_error",
    "dropped": "dns_timeout",
    "lame": "dns_error",
    "truncated": "mailbox_accepted",
    "badvers": "dns_error",
    "referral": "dns_error",
    "alias_loop": "dns_error",
    "truncated_for_good": "dns_error",
    "mx_nxdomain": "dns_error",
    "nxdomain_with_records": "dns_error",
}


def _name(behaviour: str) -> str:
    return f"{behaviour.replace('_', '-')}.test"


def _world() -> World:
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]).mailbox("ann@acme.test")
    for behaviour in get_args(Behaviour):
        name = _name(behaviour)
        world.domain(name, [(10, "mx.acme.test")], dns=behaviour).mailbox(f"ann@{name}")
    # A name server that knows no MX type, and has an address.
    world.host("with-address.test").domain("with-address.test", dns="mx_nxdomain").mailbox("ann@with-address.test")
    return world


async def test_every_behaviour_of_name_servers_has_its_reason(mailvet_lab_factory: LabFactory) -> None:
    assert set(REASONS) == set(get_args(Behaviour))
    cells = [f"ann@{_name(behaviour)}" for behaviour in REASONS]
    probed = await probe(mailvet_lab_factory(_world()), [*cells, "ann@with-address.test"])
    expected = {f"ann@{_name(behaviour)}": reason for behaviour, reason in REASONS.items()}
    assert probed.reasons() == {**expected, "ann@with-address.test": "mailbox_accepted"}
    assert probed.degraded is None


_LAB = ("mailvet-lab.test",)


@pytest.mark.parametrize(
    ("resolver", "known", "missing"),
    [
        (FaultyResolver("nxdomain", spares=_LAB), "dns_error", "dns_error"),
        (FaultyResolver("nxdomain", spares=(*_LAB, "test")), "mailbox_accepted", "dns_error"),
        (FaultyResolver("servfail", spares=(*_LAB, "test")), "mailbox_accepted", "dns_error"),
        (FaultyResolver("dropped", spares=(*_LAB, "test")), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", spares=_LAB), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", address="127.9.9.9"), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", types=("AAAA",)), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", types=("MX",)), "dns_error", "dns_error"),
        (FaultyResolver("invents", types=("A", "AAAA", "MX")), "dns_error", "dns_error"),
        (FaultyResolver("invents", everything=True, spares=_LAB), "dns_error", "dns_error"),
        (FaultyResolver("invents", spares=("com", "invalid")), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", spares=("com", "net", "org")), "mailbox_accepted", "dns_error"),
        (FaultyResolver("invents", types=("AAAA",), spares=("de", "com")), "mailbox_accepted", "dns_error"),
    ],
    ids=str,
)
async def test_a_resolver_that_lies_calls_nobody_dead(
    mailvet_lab_factory: LabFactory, resolver: FaultyResolver, known: str, missing: str
) -> None:
    lab = mailvet_lab_factory(_world(), resolver=resolver)
    probed = await probe(lab, ["ann@acme.test", "ann@missing.test"])
    assert probed.reasons() == {"ann@acme.test": known, "ann@missing.test": missing}
    assert probed.degraded is not None
    assert "[dns]" in probed.degraded

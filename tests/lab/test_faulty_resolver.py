"""Name servers and resolvers of the lab that fail or lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import dns.exception
import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

from mailvet.lab import FaultyResolver, Lab, World
from mailvet.lab.world import CONTROL_NAMES, Behaviour
from tests.lab.lab_client import answers, query

LabFactory = Callable[..., Lab]


def zones() -> World:
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]).mailbox("ann@acme.test")
    for behaviour in get_args(Behaviour):
        name = f"{behaviour.replace('_', '-')}.test"
        world.domain(name, [(10, "mx.acme.test")], dns=behaviour).mailbox(f"ann@{name}")
    return world.record("mx-nxdomain.test", "A", world.hosts["mx.acme.test"].address)


def test_a_bad_version_comes_as_an_extended_code_without_records(mailvet_lab_factory: LabFactory) -> None:
    response = query(mailvet_lab_factory(zones()), "badvers.test", use_edns=0)
    assert response.rcode() == dns.rcode.BADVERS
    assert (answers(response), response.authority) == ([], [])


def test_a_referral_names_the_servers_of_the_domain_and_answers_nothing(mailvet_lab_factory: LabFactory) -> None:
    response = query(mailvet_lab_factory(zones()), "referral.test")
    assert (response.rcode(), answers(response)) == (dns.rcode.NOERROR, [])
    assert [rrset.to_text() for rrset in response.authority] == ["referral.test. 300 IN NS ns1.referral.test."]


def test_aliases_may_lead_to_each_other(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(zones())
    for name in ("alias-loop.test", "loop.alias-loop.test"):
        response = query(lab, name)
        assert response.rcode() == dns.rcode.NOERROR
        assert answers(response) == ["alias-loop.test.", "loop.alias-loop.test."]


def test_a_truncated_response_may_never_come_in_full(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(zones())
    response = query(lab, "truncated-for-good.test")
    assert response.flags & dns.flags.TC
    assert answers(response) == []
    with pytest.raises(dns.exception.Timeout):
        query(lab, "truncated-for-good.test", tcp=True)


def test_a_name_server_may_know_addresses_alone(mailvet_lab_factory: LabFactory) -> None:
    world = zones()
    lab = mailvet_lab_factory(world)
    assert query(lab, "mx-nxdomain.test").rcode() == dns.rcode.NXDOMAIN
    assert answers(query(lab, "mx-nxdomain.test", "A")) == [world.hosts["mx.acme.test"].address]
    assert query(lab, "mx-nxdomain.test", "AAAA").rcode() == dns.rcode.NOERROR
    assert lab.truth("ann@mx-nxdomain.test").kind == "live"


def test_records_may_come_with_nxdomain(mailvet_lab_factory: LabFactory) -> None:
    response = query(mailvet_lab_factory(zones()), "nxdomain-with-records.test")
    assert (response.rcode(), answers(response)) == (dns.rcode.NXDOMAIN, ["10 mx.acme.test."])


@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_nothing_is_known_of_a_domain_whose_zone_is_faulty(behaviour: Behaviour) -> None:
    kinds = {"answers": "live", "nxdomain": "dead_domain", "truncated": "live", "mx_nxdomain": "live"}
    truth = zones().truth(f"ann@{behaviour.replace('_', '-')}.test")
    assert truth.kind == kinds.get(behaviour, "dns_failing")


# ------------------------------------------------------------------------------------------------ whole resolvers
def small() -> World:
    return World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])


@pytest.mark.parametrize("name", ["acme.test", "gone.test", *CONTROL_NAMES])
def test_a_resolver_may_find_nothing_at_all(mailvet_lab_factory: LabFactory, name: str) -> None:
    lab = mailvet_lab_factory(small(), resolver=FaultyResolver("nxdomain"))
    for type in ("MX", "A", "AAAA"):
        response = query(lab, name, type)
        assert (response.rcode(), answers(response)) == (dns.rcode.NXDOMAIN, [])
        assert response.authority[0].rdtype == dns.rdatatype.SOA


def test_a_resolver_may_find_what_lies_within_alone(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(small(), resolver=FaultyResolver("nxdomain", spares=(".test", "qq.com")))
    assert answers(query(lab, "acme.test")) == ["10 mx.acme.test."]
    assert answers(query(lab, "qq.com"))
    assert query(lab, "gmail.com").rcode() == dns.rcode.NXDOMAIN


def test_an_invented_address_is_another_one_each_time(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(small(), resolver=FaultyResolver("invents"))
    invented = [answers(query(lab, "gone.test", "A"))[0] for _ in range(20)]
    assert len(set(invented)) == 20
    assert all(address.startswith("127.76.") for address in invented)
    assert lab.dns_queries()["gone.test", "A"] == 20
    for type in ("MX", "AAAA"):
        response = query(lab, "gone.test", type)
        assert (response.rcode(), answers(response)) == (dns.rcode.NOERROR, [])
    assert answers(query(lab, "acme.test")) == ["10 mx.acme.test."]
    assert answers(query(lab, "acme.test", "A")) == []


def test_a_resolver_may_invent_addresses_of_ipv6_alone(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(small(), resolver=FaultyResolver("invents", types=("AAAA",)))
    assert answers(query(lab, "gone.test", "AAAA"))[0].startswith("fd76::")
    assert (query(lab, "gone.test", "A").rcode(), answers(query(lab, "gone.test", "A"))) == (dns.rcode.NOERROR, [])


def test_a_resolver_may_invent_everything_but_some_endings(mailvet_lab_factory: LabFactory) -> None:
    lies = FaultyResolver("invents", types=("A", "AAAA", "MX"), everything=True, spares=(".com",))
    lab = mailvet_lab_factory(small(), resolver=lies)
    first, second = (answers(query(lab, "acme.test")) for _ in range(2))
    assert first != second
    assert all(record.endswith(".invented.test.") for record in (*first, *second))
    assert answers(query(lab, "mx.acme.test", "A"))[0].startswith("127.76.")
    assert query(lab, "gone.com").rcode() == dns.rcode.NXDOMAIN
    assert answers(query(lab, "gmail.com")) == ["10 mx.control.mailvet-lab.test."]


def test_a_resolver_may_fail_in_between_and_come_back(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(small())
    assert answers(query(lab, "acme.test")) == ["10 mx.acme.test."]
    lab.resolve_by(FaultyResolver("servfail"))
    assert query(lab, "acme.test").rcode() == dns.rcode.SERVFAIL
    lab.resolve_by(FaultyResolver("dropped"))
    with pytest.raises(dns.exception.Timeout):
        query(lab, "acme.test")
    lab.resolve_by(None)
    assert answers(query(lab, "acme.test")) == ["10 mx.acme.test."]
    assert lab.dns_queries()["acme.test", "MX"] == 4

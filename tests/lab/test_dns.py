"""The lab's name servers, asked as a client does."""

from __future__ import annotations

import socket
from collections import Counter

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import pytest

from mailvet.lab import Lab, World
from mailvet.lab.world import CONTROL_NAMES, HELLO_NAME
from tests.lab.lab_client import answers, query
from tests.lab.worlds import one_server


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("acme.test", "MX", ["10 mx1.acme.test.", "20 mx2.acme.test."]),
        ("equal.test", "MX", ["10 mx1.acme.test.", "10 mx2.acme.test."]),
        ("null.test", "MX", ["0 ."]),
        ("lost.test", "MX", ["10 mx.nowhere.test."]),
        ("literal.test", "MX", ["10 127.0.0.1."]),
        ("private.test", "MX", ["10 mx.private.test."]),
        ("mx.private.test", "A", ["10.0.0.25"]),
        ("mx1.acme.test", "A", ["127.77.0.2"]),
        ("solo.test", "A", ["127.77.0.4"]),
        ("six.test", "AAAA", ["::1"]),
        ("alias.test", "MX", ["10 mx1.acme.test.", "20 mx2.acme.test.", "acme.test."]),
        ("mx.via.test", "A", ["127.77.0.2", "mx1.acme.test."]),
        ("xn--bcher-kva.test", "MX", ["10 mx1.acme.test."]),
        ("2.0.77.127.in-addr.arpa", "PTR", ["mx1.acme.test."]),
        (HELLO_NAME, "A", ["127.0.0.1"]),
        ("1.0.0.127.in-addr.arpa", "PTR", [f"{HELLO_NAME}."]),
    ],
)
def test_a_name_has_the_records_of_the_world(names: Lab, name: str, type: str, expected: list[str]) -> None:
    answer = query(names, name, type)
    assert answers(answer) == sorted(expected)
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.flags & dns.flags.RA


@pytest.mark.parametrize(
    ("name", "type", "rcode"),
    [
        ("nowhere.test", "MX", dns.rcode.NXDOMAIN),
        ("gone.test", "MX", dns.rcode.NXDOMAIN),
        ("mx.nowhere.test", "A", dns.rcode.NXDOMAIN),
        ("empty.test", "MX", dns.rcode.NOERROR),
        ("solo.test", "MX", dns.rcode.NOERROR),
        ("six.test", "A", dns.rcode.NOERROR),
        ("acme.test", "AAAA", dns.rcode.NOERROR),
    ],
)
def test_a_negative_answer_carries_a_soa(names: Lab, name: str, type: str, rcode: int) -> None:
    answer = query(names, name, type)
    assert answer.rcode() == rcode
    assert answer.answer == []
    assert [rrset.rdtype for rrset in answer.authority] == [dns.rdatatype.SOA]


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("servfail.test", dns.rcode.SERVFAIL),
        ("mx.servfail.test", dns.rcode.SERVFAIL),
        ("refused.test", dns.rcode.REFUSED),
        ("loop.test", dns.rcode.SERVFAIL),
    ],
)
def test_a_failing_name_server_says_so(names: Lab, name: str, rcode: int) -> None:
    assert query(names, name).rcode() == rcode


def test_a_dropped_query_gets_no_answer(names: Lab) -> None:
    with pytest.raises(dns.exception.Timeout):
        query(names, "dropped.test")
    assert names.dns_queries()["dropped.test", "MX"] >= 1


def test_a_lame_server_refers_to_the_root_instead_of_answering(names: Lab) -> None:
    answer = query(names, "lame.test")
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.answer == []
    assert [(str(rrset.name), rrset.rdtype) for rrset in answer.authority] == [(".", dns.rdatatype.NS)]
    assert not answer.flags & (dns.flags.RA | dns.flags.AA)


@pytest.mark.parametrize("name", ["cut.test", "big.test"])
def test_a_truncated_answer_is_whole_over_tcp(names: Lab, name: str) -> None:
    cut = query(names, name)
    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    whole = query(names, name, tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(answers(whole)) == (1 if name == "cut.test" else 40)


def test_edns_raises_the_limit_of_an_answer_and_is_answered_with_edns(names: Lab) -> None:
    answer = query(names, "big.test", use_edns=0, payload=4096)
    assert not answer.flags & dns.flags.TC
    assert answer.edns == 0
    assert len(answers(answer)) == 40
    assert query(names, "acme.test").edns == -1


def test_the_question_comes_back_letter_by_letter(names: Lab) -> None:
    message = dns.message.make_query("aCmE.TeSt", "MX")
    address, port = names.nameserver
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.settimeout(1)
        plain.sendto(message.to_wire(), (address, port))
        packet = plain.recv(4096)
    assert b"\x04aCmE\x04TeSt\x00" in packet
    assert packet[:2] == message.to_wire()[:2]
    parsed = dns.message.from_wire(packet)
    assert len(answers(parsed)) == 2
    assert str(parsed.answer[0].name) == "aCmE.TeSt."


@pytest.mark.parametrize("packet", [b"", b"\x00\x01", b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x3fshort", bytes(12)])
def test_a_malformed_query_does_no_harm(names: Lab, packet: bytes) -> None:
    address, port = names.nameserver
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.settimeout(0.1)
        plain.sendto(packet, (address, port))
        if len(packet) >= 12:
            assert plain.recv(512)[3] & 15 == dns.rcode.FORMERR
        else:
            with pytest.raises(socket.timeout):
                plain.recv(512)
    assert answers(query(names, "acme.test"))


def test_an_ordinary_resolver_finds_its_way(names: Lab) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [names.nameserver[0]], names.nameserver[1]
    resolver.lifetime = 2
    assert {str(record.exchange) for record in resolver.resolve("cut.test", "MX")} == {"mx1.acme.test."}
    assert {str(record.exchange) for record in resolver.resolve("big.test", "MX")} >= {
        "mx0.a-name-of-some-length.acme.test."
    }
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nowhere.test", "MX")


def test_queries_are_counted_by_name_and_type() -> None:
    with Lab(one_server()) as lab:
        for _ in range(3):
            query(lab, "ACME.test")
        query(lab, "acme.test", "A", tcp=True)
        assert lab.dns_queries() == Counter({("acme.test", "MX"): 3, ("acme.test", "A"): 1})
        lab.reset_counters()
        assert lab.dns_queries() == Counter()
    assert lab.dns_queries() == Counter()


@pytest.mark.parametrize("name", CONTROL_NAMES)
def test_a_small_world_has_an_mx_for_each_control_name(names: Lab, name: str) -> None:
    assert answers(query(names, name)) == ["10 mx.control.mailvet-lab.test."]
    assert answers(query(names, "mx.control.mailvet-lab.test", "A")) == ["127.77.255.254"]
    assert query(names, f"www.{name}").rcode() == dns.rcode.NXDOMAIN
    assert names.truth(f"ann@{name}").kind == "unreachable"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.77.255.254", names.smtp_port), timeout=1)


def test_a_control_name_that_the_world_defines_is_as_the_world_says() -> None:
    world = World().host("mx.test").domain("gmail.com", [(1, "mx.test")]).domain("qq.com", dns="nxdomain")
    with Lab(world.domain("yahoo.com", dns="servfail")) as lab:
        assert answers(query(lab, "gmail.com")) == ["1 mx.test."]
        assert query(lab, "qq.com").rcode() == dns.rcode.NXDOMAIN
        assert query(lab, "yahoo.com").rcode() == dns.rcode.SERVFAIL


def test_a_rewriting_resolver_has_an_address_for_every_name() -> None:
    world = one_server()
    world.rewrites_nxdomain = "127.9.9.9"
    with Lab(world) as lab:
        assert answers(query(lab, "no-such-name-at-all.example", "A")) == ["127.9.9.9"]
        assert query(lab, "no-such-name-at-all.example").rcode() == dns.rcode.NOERROR
        assert answers(query(lab, "acme.test")) == ["10 mx.acme.test."]

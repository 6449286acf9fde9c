"""Reading responses: what counts as a record, what proves that there is none, and what proves nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from mailvet.dns.responses import Outcome, Response, question, read_in_full, read_plain

_SOA = "test. 300 IN SOA ns.test. hostmaster.test. 1 7200 3600 1209600 300"


def _response(
    kind: str,
    *records: str,
    code: str = "NOERROR",
    authority: tuple[str, ...] = (_SOA,),
    flags: str = "QR RD RA",
    name: str = "acme.test",
    change: Callable[[dns.message.Message], None] | None = None,
) -> bytes:
    message = dns.message.make_response(dns.message.make_query(name, kind, use_edns=0))
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(dns.rcode.from_text(code))
    for section, lines in ((message.answer, records), (message.authority, authority if not records else ())):
        for line in lines:
            owner, ttl, _, type, data = line.split(maxsplit=4)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", type, data))
    if change is not None:
        change(message)
    return message.to_wire(max_size=65535)


def _read(wire: bytes, kind: str, name: str = "acme.test") -> Response:
    """As read in full; where the quick reader takes the message as well, it says the same."""
    asked = question(name, kind)
    assert asked is not None
    whole, quick = read_in_full(wire, kind), read_plain(wire, asked)
    if quick is not None:
        assert quick == whole
    return whole


def _is_plain(wire: bytes, kind: str, name: str = "acme.test") -> bool:
    asked = question(name, kind)
    assert asked is not None
    return read_plain(wire, asked) is not None


@pytest.mark.parametrize(
    ("kind", "records", "found", "ttl", "plain"),
    [
        ("MX", ["acme.test. 300 IN MX 10 mx.acme.test."], [(10, "mx.acme.test")], 300, True),
        ("MX", ["acme.test. 300 IN MX 0 ."], [(0, "")], 300, True),
        ("MX", ["acme.test. 300 IN MX 65535 mx.Other.example."], [(65535, "mx.other.example")], 300, True),
        (
            "MX",
            ["acme.test. 60 IN CNAME b.test.", "b.test. 300 IN MX 10 a.test.", "b.test. 300 IN MX 20 b.test."],
            [(10, "a.test"), (20, "b.test")],
            60,
            False,
        ),
        (
            "A",
            ["acme.test. 30 IN A 192.0.2.1", "acme.test. 9 IN A 192.0.2.2"],
            [(0, "192.0.2.1"), (0, "192.0.2.2")],
            9,
            True,
        ),
        ("AAAA", ["acme.test. 30 IN AAAA 2001:db8::1"], [(0, "2001:db8::1")], 30, True),
        ("A", ["acme.test. 9999999 IN A 192.0.2.1"], [(0, "192.0.2.1")], 86400, True),
    ],
)
def test_records_of_the_type_are_read(
    kind: str, records: list[str], found: list[tuple[int, str]], ttl: float, plain: bool
) -> None:
    wire = _response(kind, *records)
    assert _read(wire, kind) == Response(Outcome.found, found, ttl)
    assert _is_plain(wire, kind) is plain


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        (["other.test. 60 IN MX 10 mx.evil.test."], Outcome.no_data),
        (["other.test. 60 IN MX 1 mx.evil.test.", "acme.test. 9 IN MX 5 mx.acme.test."], Outcome.found),
        (["acme.test. 60 IN CNAME b.test.", "c.test. 60 IN MX 10 mx.evil.test."], Outcome.no_data),
        (["x.test. 60 IN CNAME b.test.", "b.test. 60 IN MX 10 mx.evil.test."], Outcome.failed),
        (["acme.test. 60 IN CNAME b.test.", "x.test. 60 IN CNAME c.test."], Outcome.failed),
        (["acme.test. 60 IN CNAME b.test.", "acme.test. 60 IN CNAME c.test."], Outcome.failed),
        (["acme.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME acme.test."], Outcome.failed),
        (["acme.test. 60 IN CNAME acme.test."], Outcome.failed),
    ],
)
def test_records_of_another_owner_are_not_accepted_and_aliases_lead_from_the_question(
    records: list[str], outcome: Outcome
) -> None:
    response = _read(_response("MX", *records), "MX")
    assert response.outcome is outcome
    assert "mx.evil.test" not in [host for _, host in response.records]


@pytest.mark.parametrize(
    ("code", "records", "authority", "flags", "outcome", "plain"),
    [
        ("NXDOMAIN", [], (_SOA,), "QR RD RA", Outcome.no_name, True),
        ("NXDOMAIN", [], (), "QR RD", Outcome.no_name, True),
        ("NXDOMAIN", [], ("test. 60 IN NS ns.test.",), "QR RD RA", Outcome.no_name, True),  # RFC 2308, type 4
        ("NXDOMAIN", ["acme.test. 60 IN CNAME gone.test."], (), "QR RD RA", Outcome.no_name, False),
        ("NXDOMAIN", ["acme.test. 60 IN A 192.0.2.1"], (), "QR RD RA", Outcome.failed, False),
        ("NXDOMAIN", ["acme.test. 60 IN MX 10 mx.acme.test."], (), "QR RD RA", Outcome.failed, False),
        ("NXDOMAIN", ["acme.test. 60 IN CNAME b.test.", "b.test. 9 IN A 10.0.0.1"], (), "QR RA", Outcome.failed, False),
        ("NXDOMAIN", ["other.test. 60 IN CNAME b.test."], (), "QR RD RA", Outcome.failed, False),
        ("NXDOMAIN", ["acme.test. 60 IN CNAME acme.test."], (), "QR RD RA", Outcome.failed, False),
        ("NOERROR", [], (_SOA,), "QR RD RA", Outcome.no_data, True),
        ("NOERROR", [], (), "QR RD RA", Outcome.no_data, True),
        ("NOERROR", [], (), "QR AA", Outcome.no_data, True),
        ("NOERROR", [], (_SOA, "test. 60 IN NS ns.test."), "QR RD RA", Outcome.no_data, True),
        ("NOERROR", [], ("test. 60 IN NS ns.test.",), "QR RD RA", Outcome.failed, False),
        ("NOERROR", [], (". 60 IN NS a.root.test.",), "QR", Outcome.failed, False),
        ("NOERROR", [], (), "QR RD", Outcome.failed, False),
        ("NOERROR", ["acme.test. 60 IN CNAME b.test."], (), "QR RD RA", Outcome.no_data, False),
        ("SERVFAIL", [], (), "QR RD RA", Outcome.failed, False),
        ("REFUSED", [], (), "QR RD RA", Outcome.failed, False),
        ("NOTIMP", [], (), "QR RD RA", Outcome.failed, False),
        ("FORMERR", [], (), "QR RD RA", Outcome.failed, False),
        ("BADVERS", [], (), "QR RD RA", Outcome.failed, False),
        ("BADVERS", [], (_SOA,), "QR RD RA", Outcome.failed, False),
        ("BADCOOKIE", [], (_SOA,), "QR RD RA", Outcome.failed, False),
        ("BADVERS", ["acme.test. 60 IN MX 10 mx.acme.test."], (), "QR RD RA", Outcome.failed, False),
        ("NOERROR", ["acme.test. 60 IN MX 10 mx.acme.test."], (), "QR TC RD RA", Outcome.failed, False),
        ("NXDOMAIN", [], (_SOA,), "QR TC RD RA", Outcome.failed, False),
    ],
)
def test_a_negative_is_read_from_the_whole_message(
    code: str, records: list[str], authority: tuple[str, ...], flags: str, outcome: Outcome, plain: bool
) -> None:
    wire = _response("MX", *records, code=code, authority=authority, flags=flags)
    response = _read(wire, "MX")
    assert response.outcome is outcome
    assert (response.detail is not None) == (outcome is Outcome.failed)
    assert _is_plain(wire, "MX") is plain


@pytest.mark.parametrize("code", [1, 3, 18, 24])  # BADSIG, ..., which begin with the bits of NOERROR, NXDOMAIN, ...
def test_the_upper_bits_of_the_response_code_count(code: int) -> None:
    def extend(message: dns.message.Message) -> None:
        message.ednsflags = code << 24

    for negative in ("NOERROR", "NXDOMAIN"):
        assert _read(_response("MX", code=negative, change=extend), "MX").outcome is Outcome.failed


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (dns.edns.EDECode.BLOCKED, Outcome.failed),
        (dns.edns.EDECode.FILTERED, Outcome.failed),
        (dns.edns.EDECode.CENSORED, Outcome.failed),
        (dns.edns.EDECode.STALE_NXDOMAIN_ANSWER, Outcome.failed),
        (29, Outcome.no_name),  # Synthesized, which dnspython 2.8 has no name for
        (dns.edns.EDECode.DNSSEC_INDETERMINATE, Outcome.no_name),
    ],
)
def test_a_negative_that_is_the_resolvers_own_doing_proves_nothing(error: dns.edns.EDECode, outcome: Outcome) -> None:
    def explain(message: dns.message.Message) -> None:
        message.use_edns(0, options=[dns.edns.EDEOption(error)])

    assert _read(_response("MX", code="NXDOMAIN", change=explain), "MX").outcome is outcome


def test_what_is_no_response_is_not_plain() -> None:
    assert not _is_plain(_response("MX", "acme.test. 60 IN MX 1 mx.acme.test.", flags="RD RA"), "MX")
    assert not _is_plain(_response("MX", "acme.test. 60 IN MX 1 mx.acme.test.", flags="QR TC RD RA"), "MX")


def test_a_name_that_needs_escapes_is_not_plain() -> None:
    for host in (r"a\.b.acme.test.", r"a\000b.acme.test."):
        wire = _response("MX", f"acme.test. 300 IN MX 10 {host}")
        assert not _is_plain(wire, "MX")
        assert _read(wire, "MX").records == [(10, host.rstrip("."))]


@pytest.mark.parametrize(
    "name", ["", ".", "acme.test.", "a..b", "x" * 64 + ".test", "x.y" * 100, "münchen.test", r"a\.b", "a b"]
)
def test_a_name_that_is_no_plain_host_name_has_no_plain_question(name: str) -> None:
    assert question(name, "MX") is None


def test_a_question_reads_as_dnspython_writes_it() -> None:
    for kind in ("MX", "A", "AAAA"):
        for name in ("acme.test", "a-b.c_d.xn--mnchen-3ya.example", "x" * 63 + ".test"):
            assert question(name, kind) == dns.message.make_query(name, kind).to_wire()[12:]


def test_a_message_that_ends_within_its_last_record_is_not_plain() -> None:
    for wire in (_response("MX", "acme.test. 9 IN MX 1 mx.acme.test."), _response("MX", code="NXDOMAIN")):
        asked = question("acme.test", "MX")
        assert asked is not None
        assert read_plain(wire, asked) is not None
        for size in range(12 + len(asked), len(wire)):
            assert read_plain(wire[:size], asked) is None
            assert read_in_full(wire[:size], "MX").outcome is Outcome.failed


def test_a_label_of_more_than_63_octets_is_not_plain() -> None:
    wire = _response("MX", f"acme.test. 9 IN MX 1 {'a' * 63}.{'b' * 63}.test.")
    longer = wire.replace(b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63, b"\x40" + b"a" * 64 + b"\x3e" + b"b" * 62)
    assert _is_plain(wire, "MX")
    assert longer != wire
    assert not _is_plain(longer, "MX")


@pytest.mark.parametrize(
    "records",
    [
        ["acme.test. 9 IN MX 1 c.b.test.", "acme.test. 9 IN MX 2 d.b.test."],
        [],
    ],
)
def test_a_damaged_message_is_read_right_or_not_at_all(records: list[str]) -> None:
    """No exception, no endless loop, and where both readers read something they agree."""
    chance = random.Random(7)
    wire, asked = _response("MX", *records), question("acme.test", "MX")
    assert asked is not None
    begin = len(asked) + 12
    compared = 0
    for _ in range(4_000):
        damaged = bytearray(wire)
        for _ in range(chance.randint(1, 3)):
            place = chance.choice([2, 3, 7, 9, 11] + [chance.randrange(begin, len(damaged)) for _ in range(15)])
            damaged[place] = chance.choice([0, 1, 3, 41, 192, chance.randrange(256)])
        message = bytes(damaged[: chance.choice([len(damaged), len(damaged), chance.randrange(begin, len(damaged))])])
        whole, quick = read_in_full(message, "MX"), read_plain(message, asked)
        if quick is not None and whole.detail != "a malformed response":
            assert quick.outcome is whole.outcome
            assert sorted(set(quick.records)) == sorted(whole.records)
            compared += 1
    assert compared > 300


def test_names_behind_chains_of_pointers_do_not_hold_up_the_loop() -> None:
    """64 kB of records whose names lead through thousands of pointers."""
    asked = question("acme.test", "MX")
    assert asked is not None
    body = bytearray()
    start = 12 + len(asked)
    # The data of one TXT record: pointers, each to the one before it.
    chain = b"".join((0xC000 | (12 if n == 0 else start + 12 + 2 * n - 2)).to_bytes(2, "big") for n in range(6000))
    body += b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x09" + len(chain).to_bytes(2, "big") + chain
    last = start + 12 + 2 * 5999
    count = 1
    while len(body) < 60_000:
        body += b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x09\x00\x04\x00\x01" + (0xC000 | last).to_bytes(2, "big")
        count += 1
    head = b"\x00\x01\x81\x80\x00\x01" + count.to_bytes(2, "big") + b"\x00\x00\x00\x00"
    wire = head + asked + bytes(body)
    assert read_plain(wire, asked) is None
    assert read_in_full(wire, "MX").detail == "a malformed response"
    deep = bytearray(wire)
    deep[6:8] = b"\x00\x02"
    del deep[start : start + 12 + len(chain)]
    assert read_plain(bytes(deep), asked) is None


def test_a_large_response_is_read() -> None:
    records = [f"acme.test. 9 IN MX {n} mx{n}.acme.test." for n in range(300)]
    assert len(_read(_response("MX", *records), "MX").records) == 300

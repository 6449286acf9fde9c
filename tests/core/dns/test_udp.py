"""The plain case of a DNS question: what counts as a plain answer, and what is left to c-ares."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from mailvet.dns.resolver import Resolver
from mailvet.dns.udp import Answer, DatagramSocket, Outcome, question, read
from mailvet.settings import Dns


def _answer(query: dns.message.Message, *records: str) -> dns.message.Message:
    """The response to a query with records in master file form."""
    response = dns.message.make_response(query)
    for record in records:
        name, ttl, _, kind, data = record.split(maxsplit=4)
        response.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return response


def _read(
    kind: str, *records: str, name: str = "acme.test", change: Callable[[dns.message.Message], None] | None = None
) -> Answer | None:
    response = _answer(dns.message.make_query(name, kind), *records)
    if change is not None:
        change(response)
    asked = question(name, kind)
    assert asked is not None
    return read(response.to_wire(), asked)


@pytest.mark.parametrize(
    ("kind", "records", "found", "ttl"),
    [
        ("MX", ["acme.test. 300 IN MX 10 mx.acme.test."], [(10, "mx.acme.test")], 300),
        ("MX", ["acme.test. 300 IN MX 0 ."], [(0, "")], 300),
        ("MX", ["acme.test. 300 IN MX 65535 mx.Other.example."], [(65535, "mx.Other.example")], 300),
        (
            "MX",
            ["acme.test. 60 IN CNAME b.test.", "b.test. 300 IN MX 10 a.test.", "b.test. 300 IN MX 20 b.test."],
            [(10, "a.test"), (20, "b.test")],
            60,
        ),
        ("A", ["acme.test. 30 IN A 192.0.2.1", "acme.test. 9 IN A 192.0.2.2"], [(0, "192.0.2.1"), (0, "192.0.2.2")], 9),
        ("AAAA", ["acme.test. 30 IN AAAA 2001:db8::1"], [(0, "2001:db8::1")], 30),
        ("A", ["acme.test. 9999999 IN A 192.0.2.1"], [(0, "192.0.2.1")], 86400),
    ],
)  # fmt: skip
def test_a_plain_answer_is_read(kind: str, records: list[str], found: list[tuple[int, str]], ttl: float) -> None:
    assert _read(kind, *records) == Answer(Outcome.found, found, ttl)


def test_no_record_of_the_type_is_no_data_and_a_missing_name_is_no_name() -> None:
    assert _read("MX") == Answer(Outcome.no_data)
    assert _read("MX", "acme.test. 60 IN CNAME other.test.") == Answer(Outcome.no_data)
    assert _read("MX", change=lambda m: m.set_rcode(dns.rcode.NXDOMAIN)) == Answer(Outcome.no_name)


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_a_failure_is_not_plain(code: str) -> None:
    assert _read("MX", change=lambda m: m.set_rcode(dns.rcode.from_text(code))) is None


def test_what_is_cut_off_is_no_answer_and_not_plain() -> None:
    def cut(message: dns.message.Message) -> None:
        message.flags |= dns.flags.TC

    def query(message: dns.message.Message) -> None:
        message.flags &= ~dns.flags.QR

    assert _read("MX", change=cut) is None
    assert _read("MX", change=query) is None


def test_a_name_that_needs_escapes_is_not_plain() -> None:
    assert _read("MX", r"acme.test. 300 IN MX 10 a\.b.acme.test.") is None
    assert _read("MX", r"acme.test. 300 IN MX 10 a\000b.acme.test.") is None


@pytest.mark.parametrize(
    "name", ["", ".", "acme.test.", "a..b", "x" * 64 + ".test", "x.y" * 100, "münchen.test", r"a\.b", "a b"]
)
def test_a_name_that_is_no_plain_host_name_is_not_asked_for(name: str) -> None:
    assert question(name, "MX") is None


def test_a_question_reads_as_dnspython_writes_it() -> None:
    for kind in ("MX", "A", "AAAA"):
        for name in ("acme.test", "a-b.c_d.xn--mnchen-3ya.example", "x" * 63 + ".test"):
            assert question(name, kind) == dns.message.make_query(name, kind).to_wire()[12:]


def test_a_message_that_ends_within_its_last_record_is_not_plain() -> None:
    query, asked = dns.message.make_query("acme.test", "MX"), question("acme.test", "MX")
    assert asked is not None
    wire = _answer(query, "acme.test. 9 IN MX 1 mx.acme.test.", "acme.test. 9 IN TXT text").to_wire()
    assert read(wire, asked) == Answer(Outcome.found, [(1, "mx.acme.test")], 9)
    for size in range(12 + len(asked), len(wire)):
        assert read(wire[:size], asked) is None


def test_a_label_of_more_than_63_octets_is_not_plain() -> None:
    query, asked = dns.message.make_query("acme.test", "MX"), question("acme.test", "MX")
    assert asked is not None
    wire = _answer(query, f"acme.test. 9 IN MX 1 {'a' * 63}.{'b' * 63}.test.").to_wire()
    longer = wire.replace(b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63, b"\x40" + b"a" * 64 + b"\x3e" + b"b" * 62)
    assert read(wire, asked) is not None
    assert longer != wire
    assert read(longer, asked) is None


def test_a_damaged_message_is_read_right_or_not_at_all() -> None:
    """No exception, no endless loop, and where something is read it is what dnspython reads."""
    chance = random.Random(7)
    query = dns.message.make_query("acme.test", "MX")
    whole = _answer(
        query, "acme.test. 60 IN CNAME b.test.", "b.test. 9 IN MX 1 c.b.test.", "b.test. 9 IN MX 2 d.b.test."
    )
    wire, asked = whole.to_wire(), question("acme.test", "MX")
    assert asked is not None
    compared = 0
    for _ in range(20_000):
        damaged = bytearray(wire)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(asked) + 12, len(damaged))] = chance.randrange(256)
        message = bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(asked) + 12, len(damaged))])])
        found = read(message, asked)
        if found is None:
            continue
        try:
            right = dns.message.from_wire(message, ignore_trailing=True)
        except Exception:  # dnspython refuses more than a stub has to
            continue
        theirs = sorted((r.preference, r.exchange.to_text(omit_final_dot=True)) for rrset in right.answer
                        if rrset.rdtype == dns.rdatatype.MX and rrset.rdclass == 1 for r in rrset)  # fmt: skip
        assert sorted(set(found.records)) == [(number, "" if name == "." else name) for number, name in theirs]
        compared += 1
    assert compared > 1000


# ---------------------------------------------------------------- against name servers of our own


class _Server(asyncio.DatagramProtocol):
    """Answers with one MX; `manner` says what becomes of each answer."""

    def __init__(self, manner: Callable[[int, bytes], list[bytes]]) -> None:
        self.heard: list[str] = []
        self._manner = manner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True)
        self.heard.append(name)
        answer = _answer(query, f"{name}. 300 IN MX 10 mx.{name}.").to_wire()
        for each in self._manner(len(self.heard), answer):
            self._transport.sendto(each, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def _serving(
    manner: Callable[[int, bytes], list[bytes]] = lambda _, answer: [answer], *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[_Server, int]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: _Server(manner), (host, port))
    yield server, transport.get_extra_info("sockname")[1]
    transport.close()


async def test_what_was_not_asked_for_is_passed_over() -> None:
    def forged(_: int, answer: bytes) -> list[bytes]:
        wrong_id = bytes([answer[0] ^ 1]) + answer[1:]
        other = answer.replace(b"\x04acme", b"\x04evil")
        return [b"", b"\x00", answer[:12], wrong_id, other, answer, answer]

    async with _serving(forged) as (server, port):
        datagrams = DatagramSocket(("127.0.0.1", port), 2.0)
        for _ in range(2):
            asked = datagrams.ask("acme.test", "MX")
            assert asked is not None
            assert await asked == Answer(Outcome.found, [(10, "mx.acme.test")], 300)
        datagrams.close(None)
    assert server.heard == ["acme.test"] * 2


async def test_a_server_that_changes_the_case_is_believed() -> None:
    async with _serving(lambda _, answer: [answer.replace(b"acme", b"ACME", 1)]) as (_, port):
        datagrams = DatagramSocket(("127.0.0.1", port), 2.0)
        asked = datagrams.ask("acme.test", "MX")
        assert asked is not None
        answer = await asked
        assert answer is not None
        assert answer.outcome is Outcome.found
        datagrams.close(None)


async def test_every_question_ends_by_its_own_time() -> None:
    async with _serving(lambda *_: []) as (_, port):
        datagrams = DatagramSocket(("127.0.0.1", port), 0.3)
        began = time.monotonic()
        ended = []

        async def ask(name: str, after: float) -> None:
            await asyncio.sleep(after)
            asked = datagrams.ask(name, "MX")
            assert asked is not None
            assert await asked == Answer(Outcome.timed_out)
            ended.append((name, time.monotonic() - began - after))

        names = [f"d{n}.test" for n in range(8)]
        await asyncio.gather(*(ask(name, n / 20) for n, name in enumerate(names)))
        assert [name for name, _ in ended] == names  # in their order: none waits for another's time
        assert all(seconds > 0.29 for _, seconds in ended)
        assert datagrams.silent == 8
        datagrams.close(None)


async def test_a_lost_datagram_costs_a_time_out_and_not_the_answer() -> None:
    async with _serving(lambda number, answer: [answer] if number > 1 else []) as (server, port):
        resolver = Resolver(Dns(nameservers=("127.0.0.1",), port=port, timeout=0.2, lifetime=1.0))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        assert server.heard == ["acme.test"] * 2
        await resolver.close()


async def test_a_server_that_keeps_silent_is_left_for_the_next() -> None:
    async with _serving(lambda *_: []) as (dead, port), _serving(host="127.0.0.2", port=port) as (alive, _):
        resolver = Resolver(Dns(nameservers=("127.0.0.1", "127.0.0.2"), port=port, timeout=0.2, lifetime=1.0))
        first = await asyncio.gather(*(resolver.ask(f"d{n}.test", "MX") for n in range(40)))
        assert {answer.outcome for answer in first} == {Outcome.found}
        asked = len(dead.heard)
        again = await asyncio.gather(*(resolver.ask(f"e{n}.test", "MX") for n in range(40)))
        assert {answer.outcome for answer in again} == {Outcome.found}
        assert len(dead.heard) == asked
        assert {f"e{n}.test" for n in range(40)} <= set(alive.heard)
        await resolver.close()


async def test_a_closed_port_does_not_take_a_time_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    datagrams = DatagramSocket(("127.0.0.1", port), 60.0)
    asked = datagrams.ask("acme.test", "MX")
    assert asked is None or await asyncio.wait_for(asked, 5) is None
    datagrams.close(None)


async def test_closing_ends_what_waits() -> None:
    async with _serving(lambda *_: []) as (_, port):
        resolver = Resolver(Dns(nameservers=("127.0.0.1",), port=port, timeout=30, lifetime=90))
        waiting = asyncio.ensure_future(resolver.ask("acme.test", "MX"))
        await asyncio.sleep(0.05)
        await resolver.close()
        assert (await asyncio.wait_for(waiting, 5)).outcome is Outcome.failed


async def test_a_question_that_is_given_up_leaves_the_others_alone() -> None:
    async with _serving() as (_, port):
        datagrams = DatagramSocket(("127.0.0.1", port), 2.0)
        first, second = datagrams.ask("acme.test", "MX"), datagrams.ask("firm.test", "MX")
        assert first is not None
        assert second is not None
        first.cancel()
        assert await second == Answer(Outcome.found, [(10, "mx.firm.test")], 300)
        datagrams.close(None)


async def test_a_loop_that_cannot_watch_sockets_leaves_all_to_c_ares(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async with _serving() as (_, port):
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        resolver = Resolver(Dns(nameservers=("127.0.0.1",), port=port, timeout=1.0, lifetime=1.0))
        monkeypatch.undo()
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        await resolver.close()

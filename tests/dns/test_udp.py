"""Questions over UDP: what a stranger would have to guess, and when a response is not taken."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import dns.flags
import pytest

from mailvet.dns.resolver import Resolver
from mailvet.dns.responses import Outcome, Response
from mailvet.dns.udp import NoUse, UdpPorts
from mailvet.settings import Dns
from tests.dns.name_servers import Asked, ScriptedServer, Wire, response_to, settings_for


def _mx(asked: Asked) -> Wire:
    return response_to(asked, f"{asked.name}. 300 IN MX 10 mx.{asked.name}.")


def _forged(asked: Asked, number: int) -> bytes:
    """NXDOMAIN to the same question under another id."""
    wire = response_to(asked, code="NXDOMAIN").to_wire()
    return number.to_bytes(2, "big") + wire[2:]


async def _ask(ports: UdpPorts, name: str = "acme.test", kind: str = "MX") -> Response | bytes | NoUse:
    asked = ports.ask(name, kind)
    assert asked is not None
    return await asked


_NONE = Response(Outcome.failed)


async def test_what_was_not_asked_for_is_passed_over() -> None:
    def script(asked: Asked) -> Iterator[Wire]:
        right = _mx(asked)
        assert not isinstance(right, bytes)
        wire = right.to_wire()
        wrong_id = bytes([wire[0] ^ 1]) + wire[1:]
        other = response_to(asked, "evil.test. 300 IN MX 10 mx.evil.test.").to_wire()
        other = other[:12] + other[12:].replace(wire[12:17], b"\x04evil")
        yield from (b"", b"\x00", wire[:12], wrong_id, other, wire, wire)

    async with ScriptedServer.serving(script) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        for _ in range(2):
            assert await _ask(ports) == Response(Outcome.found, [(10, "mx.acme.test")], 300)
        ports.close(_NONE)
    assert server.asked == {("acme.test", "MX"): 2}


async def test_ports_ids_and_letter_case_are_at_random() -> None:
    async with ScriptedServer.serving(_mx) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        name = "a-long-name-with-many-letters.test"
        for _ in range(200):
            assert isinstance(await _ask(ports, name), Response)
        assert ports.echoes_case is True
        ports.close(_NONE)
    assert len(server.ports) == 8
    assert all(port >= 1024 for port in server.ports)
    assert max(server.ports) - min(server.ports) > 2000  # not one after the other
    assert len({wire[:2] for wire in server.wires}) > 190
    assert len({wire[12 : 12 + len(name) + 2] for wire in server.wires}) > 190


async def test_a_port_is_used_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailvet.dns.udp._QUESTIONS_PER_PORT", 10)
    async with ScriptedServer.serving(_mx) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        for round in range(8):
            found = await asyncio.gather(*(_ask(ports, f"d{round}-{n}.test") for n in range(50)))
            assert [each.outcome for each in found if isinstance(each, Response)] == [Outcome.found] * 50
        assert not ports._left  # ports at which no question waits are closed
        ports.close(_NONE)
    assert len(server.ports) > 35


@pytest.mark.parametrize("letters", ["as asked", "lower"])
async def test_a_flood_of_guessed_ids_is_not_accepted(letters: str) -> None:
    """From the name server's own address to the port in use: the guess that is right comes when the port is closed."""

    def script(asked: Asked) -> Wire | None:
        if asked.transport == "tcp":
            return _mx(asked)
        assert asked.send is not None
        right = int.from_bytes(asked.wire[:2], "big")
        for number in range(right - 200, right + 200):
            wire = _forged(asked, number % 65536)
            asked.send(wire if letters == "as asked" else wire[:12] + wire[12:].lower())
        return None  # the true response is lost in the flood

    async with ScriptedServer.serving(script) as server:
        resolver = Resolver(settings_for(server, timeout=5.0, lifetime=5.0))
        response = await resolver.ask("acme.test", "MX")
        assert response == Response(Outcome.found, [(10, "mx.acme.test")], 300)
        assert server.transports == {"udp": 1, "tcp": 1}
        await resolver.close()


async def test_a_port_at_which_somebody_guesses_is_closed() -> None:
    def script(asked: Asked) -> Iterator[Wire]:
        right = int.from_bytes(asked.wire[:2], "big")
        yield from (_forged(asked, number % 65536) for number in range(right + 1, right + 17))

    async with ScriptedServer.serving(script) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        assert await _ask(ports) is NoUse.distrusted
        assert ports.forged == 1
        ports.close(_NONE)


async def test_where_tcp_is_closed_a_flood_ends_in_no_verdict() -> None:
    def script(asked: Asked) -> Iterator[Wire]:
        yield from (_forged(asked, number) for number in range(100))

    async with ScriptedServer.serving(script, tcp=False) as server:
        resolver = Resolver(settings_for(server))
        assert (await resolver.ask("acme.test", "MX")).outcome in (Outcome.failed, Outcome.timed_out)
        await resolver.close()


async def test_late_and_doubled_responses_are_no_guesses() -> None:
    held: list[Asked] = []

    def script(asked: Asked) -> Iterator[Wire]:
        if asked.name.startswith("slow"):
            held.append(asked)
            return
        yield _mx(asked)

    async with ScriptedServer.serving(script) as server:
        ports = UdpPorts((server.host, server.port), 0.2)
        late = await asyncio.gather(*(_ask(ports, f"slow{n}.test") for n in range(200)))
        assert set(late) == {Response(Outcome.timed_out)}
        for asked in held:
            assert asked.send is not None
            response = _mx(asked)
            assert not isinstance(response, bytes)
            asked.send(response.to_wire())
        for n in range(50):
            assert isinstance(await _ask(ports, f"d{n}.test"), Response)
        assert ports.forged == 0
        ports.close(_NONE)


async def test_a_server_that_changes_the_case_is_believed_and_asked_as_it_likes() -> None:
    def script(asked: Asked) -> Wire:
        response = _mx(asked)
        assert not isinstance(response, bytes)
        wire = response.to_wire()
        return wire[:12] + wire[12:].lower()

    async with ScriptedServer.serving(script) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        name = "a-long-name-with-many-letters.test"
        for _ in range(20):
            assert await _ask(ports, name) == Response(Outcome.found, [(10, f"mx.{name}")], 300)
        assert ports.echoes_case is False
        assert {wire[12:20] for wire in server.wires[1:]} == {b"\x1da-long-"}
        ports.close(_NONE)


async def test_a_response_in_other_letters_from_a_server_that_repeats_them_is_asked_for_over_tcp() -> None:
    def script(asked: Asked) -> Wire:
        if asked.transport == "tcp" or asked.name != "attacked.test":
            return _mx(asked)
        wire = response_to(asked, code="NXDOMAIN").to_wire()
        return wire[:12] + wire[12:].upper()

    async with ScriptedServer.serving(script) as server:
        resolver = Resolver(settings_for(server))
        for n in range(4):
            await resolver.ask(f"some-name-{n}.test", "MX")
        assert (await resolver.ask("attacked.test", "MX")).outcome is Outcome.found
        assert server.transports["tcp"] == 1
        await resolver.close()


async def test_every_question_ends_by_its_own_time() -> None:
    async with ScriptedServer.serving(lambda _: None) as server:
        ports = UdpPorts((server.host, server.port), 0.3)
        began = time.monotonic()
        took: dict[str, float] = {}

        async def ask(name: str, after: float) -> None:
            await asyncio.sleep(after)
            assert await _ask(ports, name) == Response(Outcome.timed_out)
            took[name] = time.monotonic() - began - after

        names = [f"d{n}.test" for n in range(8)]
        await asyncio.gather(*(ask(name, n / 20) for n, name in enumerate(names)))
        assert set(took) == set(names)
        assert all(seconds > 0.29 for seconds in took.values())
        assert ports.silent == 8
        ports.close(_NONE)


async def test_a_lost_datagram_costs_a_time_out_and_not_the_response() -> None:
    async with ScriptedServer.serving(lambda asked: _mx(asked) if server.asked.total() > 1 else None) as server:
        resolver = Resolver(settings_for(server))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        assert server.asked["acme.test", "MX"] == 2
        await resolver.close()


async def test_a_server_that_keeps_silent_is_left_for_the_next() -> None:
    async with (
        ScriptedServer.serving(lambda _: None) as dead,
        ScriptedServer.serving(_mx, host="127.0.0.2", port=dead.port) as alive,
    ):
        resolver = Resolver(settings_for(dead, alive, timeout=0.5, lifetime=2.5))
        first = await asyncio.gather(*(resolver.ask(f"d{n}.test", "MX") for n in range(40)))
        assert {response.outcome for response in first} == {Outcome.found}
        asked = dead.asked.total()
        again = await asyncio.gather(*(resolver.ask(f"e{n}.test", "MX") for n in range(40)))
        assert {response.outcome for response in again} == {Outcome.found}
        assert dead.asked.total() == asked
        assert {(f"e{n}.test", "MX") for n in range(40)} <= set(alive.asked)
        await resolver.close()


async def test_a_closed_port_does_not_take_a_time_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    ports = UdpPorts(("127.0.0.1", port), 60.0)
    asked = ports.ask("acme.test", "MX")
    assert asked is None or await asyncio.wait_for(asked, 5) is NoUse.unreachable
    ports.close(_NONE)


async def test_closing_ends_what_waits() -> None:
    async with ScriptedServer.serving(lambda _: None) as server:
        resolver = Resolver(settings_for(server, timeout=30.0, lifetime=90.0))
        waiting = asyncio.ensure_future(resolver.ask("acme.test", "MX"))
        await asyncio.sleep(0.05)
        await resolver.close()
        assert (await asyncio.wait_for(waiting, 5)).outcome is Outcome.failed


async def test_a_question_that_is_given_up_leaves_the_others_alone() -> None:
    async with ScriptedServer.serving(_mx) as server:
        ports = UdpPorts((server.host, server.port), 2.0)
        first = ports.ask("acme.test", "MX")
        assert first is not None
        second = asyncio.ensure_future(_ask(ports, "firm.test"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == Response(Outcome.found, [(10, "mx.firm.test")], 300)
        ports.close(_NONE)


async def test_a_loop_that_cannot_watch_sockets_leaves_all_to_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async with ScriptedServer.serving(_mx) as server:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
            resolver = Resolver(settings_for(server))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        assert server.transports == {"tcp": 1}
        await resolver.close()


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_response_that_is_cut_off_is_asked_for_over_tcp_or_has_failed(tcp: bool) -> None:
    def script(asked: Asked) -> Wire:
        response = _mx(asked)
        assert not isinstance(response, bytes)
        if asked.transport == "udp":
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response

    async with ScriptedServer.serving(script, tcp=tcp) as server:
        resolver = Resolver(settings_for(server))
        response = await resolver.ask("acme.test", "MX")
        assert response.outcome is (Outcome.found if tcp else Outcome.failed)
        await resolver.close()


async def test_a_server_from_before_edns_is_asked_without() -> None:
    def script(asked: Asked) -> Wire:
        return response_to(asked, code="FORMERR") if asked.query.edns >= 0 else _mx(asked)

    async with ScriptedServer.serving(script, tcp=False) as server:
        resolver = Resolver(settings_for(server))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        await resolver.close()


async def test_a_machine_without_a_way_to_the_server_says_so_at_once() -> None:
    resolver = Resolver(Dns(nameservers=("2001:db8::53",), timeout=1.0, lifetime=1.0))
    response = await asyncio.wait_for(resolver.ask("acme.test", "MX"), 5)
    assert response.outcome is Outcome.timed_out
    await resolver.close()

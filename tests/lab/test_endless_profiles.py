"""Servers that hold a client without end: at which stage, and with what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from mailvet.lab import Hold, Lab, World, default_world, hostile_world
from mailvet.lab.endless_profiles import ENDLESS_PROFILES, add_mx_set
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from tests.lab.lab_client import Client

LabFactory = Callable[..., Lab]
ANN = "ann@acme.test"
STEPS = {
    "connect": "",
    "hello": f"EHLO {HELLO_NAME}",
    "mail": f"MAIL FROM:<{MAIL_FROM}>",
    "rcpt": f"RCPT TO:<{ANN}>",
    "quit": "QUIT",
}


def acme(profile: str, **options: Any) -> World:
    world = World().host("mx.acme.test", profile, **options).domain("acme.test", [(10, "mx.acme.test")])
    return world.mailbox(ANN)


def up_to(lab: Lab, stage: str) -> Client:
    """A client that has sent the command of that stage and had the replies to those before it."""
    client = Client(lab)
    for step, command in STEPS.items():
        if command:
            client.socket.sendall(command.encode() + b"\r\n")
        if step == stage:
            return client
        assert client.reply()[0] == "2"
    return client


def bytes_of(client: Client, seconds: float, most: int = 200_000) -> bytes:
    """What comes within that time, at most so many bytes."""
    data, until = b"", time.monotonic() + seconds
    client.socket.settimeout(0.05)
    while time.monotonic() < until and len(data) < most:
        try:
            chunk = client.socket.recv(65_536)
        except TimeoutError:
            continue
        if not chunk:
            break
        data += chunk
    return data


@pytest.mark.parametrize("stage", STEPS)
def test_a_server_may_stall_at_each_stage(mailvet_lab_factory: LabFactory, stage: str) -> None:
    client = up_to(mailvet_lab_factory(acme(f"stalls_at_{stage}")), stage)
    client.socket.sendall(b"NOOP\r\n")
    assert bytes_of(client, 0.2) == b""
    client.close()


@pytest.mark.parametrize("stage", STEPS)
def test_a_server_may_drip_at_each_stage(mailvet_lab_factory: LabFactory, stage: str) -> None:
    hold = Hold(stage, "drip", every=0.05)  # type: ignore[arg-type]
    client = up_to(mailvet_lab_factory(acme(f"drips_at_{stage}", hold=hold)), stage)
    data = bytes_of(client, 0.4)
    assert data[:4] in (b"220 ", b"250 ", b"221 ")
    assert 2 <= len(data[4:]) <= 9
    assert set(data[4:]) == set(b"x")
    client.close()


@pytest.mark.parametrize("stage", [*STEPS, "idle"])
def test_lines_or_replies_may_come_without_end(mailvet_lab_factory: LabFactory, stage: str) -> None:
    name = "when_idle" if stage == "idle" else f"at_{stage}"
    for how, mark in (("endless_lines", b"-"), ("endless_replies", b" ")):
        lab = mailvet_lab_factory(acme(f"{how}_{name}"))
        client = up_to(lab, "rcpt" if stage == "idle" else stage)
        if stage == "idle":
            assert client.reply().startswith("250 2.1.5")
        data = bytes_of(client, 5.0)
        assert len(data) >= 200_000
        assert all(line[3:4] == mark for line in data.split(b"\r\n")[:-1])
        client.close()
        assert lab.counters()["mx.acme.test"].aborted == 0


def test_a_client_that_does_not_read_stops_the_flood(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("endless_lines_at_hello"))
    client = up_to(lab, "hello")
    time.sleep(0.3)
    other = up_to(lab, "hello")
    assert len(bytes_of(other, 5.0)) >= 200_000
    client.close()
    other.close()


@pytest.mark.parametrize("stage", STEPS)
def test_a_reply_may_have_megabytes(mailvet_lab_factory: LabFactory, stage: str) -> None:
    client = up_to(mailvet_lab_factory(acme(f"huge_at_{stage}")), stage)
    reply = client.reply()
    assert len(reply) > 8_000_000
    assert reply.endswith(" 2.0.0 Ok")
    client.close()


def test_forty_names_may_stand_on_stalling_servers(mailvet_lab_factory: LabFactory) -> None:
    world = add_mx_set(World(), "acme.test", "stalls_at_connect", names=40).mailbox(ANN)
    assert len({host.address for host in world.hosts.values()}) == 40
    assert world.truth(ANN).kind == "unreachable"
    assert len(mailvet_lab_factory(world).world.routes("acme.test")) == 40


@pytest.mark.parametrize("profile", sorted(ENDLESS_PROFILES))
def test_only_what_comes_before_the_hold_can_be_known(profile: str) -> None:
    told = profile.endswith(("at_quit", "when_idle"))
    truth = acme(profile).truth(ANN)
    assert (truth.kind, truth.server_tells) == (("live", True) if told else ("unreachable", False))


def test_no_world_holds_a_client_by_itself() -> None:
    for world in (hostile_world(), default_world()):
        assert all(host.profile.hold is None for host in world.hosts.values())

"""Outages of a lab: from a recipient on every mail server refuses connections, for a while or for good."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from mailvet.lab import Lab, World
from tests.lab.lab_client import Client

LabFactory = Callable[..., Lab]
HOSTS = ("mx.one.test", "mx.two.test")


def two() -> World:
    world = World()
    for name in ("one", "two"):
        world.host(f"mx.{name}.test").domain(f"{name}.test", [(10, f"mx.{name}.test")]).mailbox(f"ann@{name}.test")
    return world


def refused(lab: Lab, host: str) -> bool:
    try:
        socket.create_connection((lab.world.hosts[host].address, lab.smtp_port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def cut(client: Client) -> bool:
    """Whether the conversation ends instead of a reply."""
    try:
        return client.ask("ann@two.test") == ""
    except ConnectionError:
        return True


def ask(lab: Lab, host: str, times: int = 1) -> list[str]:
    client = Client(lab, host).greet()
    replies = [client.ask(f"ann@{host.removeprefix('mx.')}")[:3] for _ in range(times)]
    client.close()
    return replies


def test_all_servers_refuse_from_that_recipient_on(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(two())
    assert ask(lab, HOSTS[0]) == ["250"]
    lab.plan_outage(after=3)
    other = Client(lab, HOSTS[1]).greet()
    assert ask(lab, HOSTS[0], 2) == ["250", "250"]
    assert cut(other)
    assert [refused(lab, host) for host in HOSTS] == [True, True]
    lab.end_outage()
    assert [ask(lab, host) for host in HOSTS] == [["250"], ["250"]]


def test_an_outage_may_be_over_after_a_while(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(two())
    for _ in range(2):
        lab.plan_outage(seconds=0.3)
        assert refused(lab, HOSTS[0])
        deadline = time.monotonic() + 5
        while lab.down and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ask(lab, HOSTS[0]) == ["250"]


def test_a_planned_outage_can_be_called_off(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(two())
    lab.plan_outage(after=2)
    lab.end_outage()
    assert ask(lab, HOSTS[0], 3) == ["250"] * 3


def test_a_lab_that_is_down_stops_and_starts_again() -> None:
    lab = Lab(two()).start()
    lab.plan_outage()
    lab.stop()
    with lab:
        assert not lab.down
        assert ask(lab, HOSTS[0]) == ["250"]


def test_an_outage_can_be_planned_before_the_start() -> None:
    lab = Lab(two())
    lab.plan_outage(after=2)
    with lab:
        assert ask(lab, HOSTS[0]) == ["250"]
        client = Client(lab, HOSTS[1]).greet()
        assert cut(client)
        assert lab.down
    with lab:
        assert not lab.down

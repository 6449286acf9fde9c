"""Whatever names lead to it, an address has one cap, one pace and evidence of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from mailvet.lab import Lab, World
from mailvet.probing.addresses import ServerAddress
from tests.probing import probe, total

LabFactory = Callable[..., Lab]


def _people(world: World, domain: str, living: int = 3, dead: int = 2) -> tuple[list[str], list[str]]:
    alive = [f"p{n}@{domain}" for n in range(living)]
    for cell in alive:
        world.mailbox(cell)
    return alive, [f"x{n}@{domain}" for n in range(dead)]


def _reasons_of(reasons: dict[str, str], cells: list[str]) -> set[str]:
    return {reasons[cell] for cell in cells}


# ---------------------------------------------------------------- connections


async def test_many_names_at_one_address_share_its_connections(mailvet_lab_factory: LabFactory) -> None:
    world = World().host("mx.hosting.test", latency=0.01).host("gone.hosting.test", "port_closed")
    address, gone = world.hosts["mx.hosting.test"].address, world.hosts["gone.hosting.test"].address
    alive: list[str] = []
    dead: list[str] = []
    for number in range(24):
        domain = f"customer{number}.test"
        if number % 3 == 0:  # neither MX nor a name of the hosting company's
            world.record(domain, "A", address).domain(domain)
        else:
            world.record(f"mail.{domain}", "A", address)
            targets = [(10, f"mail.{domain}")]
            if number % 3 == 1:
                world.record(f"old.{domain}", "A", gone)
                targets.insert(0, (5, f"old.{domain}"))
            world.domain(domain, targets)
        people = _people(world, domain)
        alive += people[0]
        dead += people[1]
    lab = mailvet_lab_factory(world)
    probed = await probe(lab, [*alive, *dead], limit=60)
    assert _reasons_of(probed.reasons(), alive) == {"mailbox_accepted"}
    assert _reasons_of(probed.reasons(), dead) == {"mailbox_not_found"}
    assert total(lab).peak_connections <= 5


# ---------------------------------------------------------------- busy, then the backup


async def test_a_busy_server_is_waited_for_and_its_backup_that_accepts_anybody_proves_nothing(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = World().host("mx1.acme.test", "busy_now_and_then").host("mx2.acme.test", "busy_backup")
    alive: list[str] = []
    dead: list[str] = []
    for number in range(3):
        world.domain(f"d{number}.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")])
        people = _people(world, f"d{number}.test")
        alive += people[0]
        dead += people[1]
    probed = await probe(mailvet_lab_factory(world), [*alive, *dead], wait=20, limit=60)
    assert _reasons_of(probed.reasons(), alive) == {"mailbox_accepted"}
    assert _reasons_of(probed.reasons(), dead) == {"mailbox_not_found"}


def test_one_busy_reply_does_not_lead_to_the_backup_and_two_in_a_row_do() -> None:
    address = ServerAddress("192.0.2.1", 5)
    address.refused_for_now(None)
    assert not address.needs_backup
    assert not address.may_connect(time.monotonic())
    address.opened()
    address.refused_for_now(None)
    assert not address.needs_backup
    address.refused_for_now(None)
    assert address.needs_backup


# ---------------------------------------------------------------- pace


async def test_too_many_a_second_slows_the_address_down_in_the_same_conversation(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = World().host("mx.acme.test", "recipients_per_second")
    world.record("mx.other.test", "A", world.hosts["mx.acme.test"].address)
    alive: list[str] = []
    dead: list[str] = []
    for domain, target in (("acme.test", "mx.acme.test"), ("other.test", "mx.other.test")):
        world.domain(domain, [(10, target)])
        people = _people(world, domain, living=4)
        alive += people[0]
        dead += people[1]
    lab = mailvet_lab_factory(world)
    probed = await probe(lab, [*alive, *dead], wait=10, limit=60, smtp={"address_budget": 20.0})
    assert _reasons_of(probed.reasons(), alive) == {"mailbox_accepted"}
    assert _reasons_of(probed.reasons(), dead) == {"mailbox_not_found"}
    assert total(lab).connections <= 8  # a conversation for each reply about the rate would be twice as many


def test_an_interval_grows_with_each_such_reply_shrinks_again_and_is_given_up_in_the_end() -> None:
    address = ServerAddress("192.0.2.1", 5)
    assert address.too_many_a_second()
    first = address.interval
    assert address.next_at > time.monotonic()
    assert address.too_many_a_second()
    assert address.interval > first
    grown = address.interval
    address.replied()
    for _ in range(10):
        address.sent()
    assert address.interval < grown
    replies = [address.too_many_a_second() for _ in range(30)]
    assert replies[0]
    assert not replies[-1]


# ---------------------------------------------------------------- sets that list hosts of others


async def test_a_set_that_lists_a_host_of_a_provider_harms_none_of_its_customers(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = World().host("aspmx.l.google.com", "gmail", starttls=False)
    alive: list[str] = []
    dead: list[str] = []
    for number in range(3):
        world.domain(f"customer{number}.test", [(1, "aspmx.l.google.com")])
        people = _people(world, f"customer{number}.test")
        alive += people[0]
        dead += people[1]
    mixed: list[str] = []
    for number in range(6):
        domain = f"mixed{number}.test"
        world.host(f"mx.{domain}", "blocks_at_greeting")
        world.domain(domain, [(0, f"mx.{domain}"), (10, "aspmx.l.google.com")])
        mixed += _people(world, domain)[0]
    probed = await probe(mailvet_lab_factory(world), [*mixed, *alive, *dead], limit=60)
    reasons = probed.reasons()
    assert _reasons_of(reasons, alive) == {"mailbox_accepted"}
    assert _reasons_of(reasons, dead) == {"mailbox_not_found"}
    assert "undeliverable" not in {probed[cell]["status"] for cell in mixed}


async def test_a_set_of_one_dead_host_of_a_provider_and_many_of_its_own_is_asked_at_those(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = World()
    world.host("first.mail.protection.outlook.com", "port_closed")
    targets = [(0, "first.mail.protection.outlook.com")]
    for number in range(1, 8):
        world.host(f"mx{number}.acme.test")
        targets.append((10 * number, f"mx{number}.acme.test"))
    world.domain("acme.test", targets)
    alive, dead = _people(world, "acme.test")
    probed = await probe(mailvet_lab_factory(world), [*alive, *dead], limit=60)
    assert _reasons_of(probed.reasons(), alive) == {"mailbox_accepted"}
    assert _reasons_of(probed.reasons(), dead) == {"mailbox_not_found"}

"""The rules of evidence against servers that break them: no verdict may be wrong, and what can be known is found."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from mailvet.lab import Lab, World
from mailvet.probing.canary import Place
from mailvet.probing.in_step import Ledger
from mailvet.probing.memory import LocalSlots, RefusedRuns, ServerMemory, place_of
from mailvet.reference.providers import operator_of_route
from mailvet.smtp.outcomes import Reply
from mailvet.smtp.reply_reading import Stage
from tests.probing import Probed, probe, total

LabFactory = Callable[..., Lab]


def _world(profile: str, domains: int = 3, living: int = 5, dead: int = 3) -> tuple[World, list[str], list[str]]:
    world = World().host("mx.acme.test", profile)
    alive, gone = [], []
    for number in range(domains):
        world.domain(f"d{number}.test", [(10, "mx.acme.test")])
        alive += [f"p{n}@d{number}.test" for n in range(living)]
        gone += [f"x{n}@d{number}.test" for n in range(dead)]
    for cell in alive:
        world.mailbox(cell)
    return world, alive, gone


async def _probe(lab: Lab, cells: list[str], wait: float = 20.0) -> Probed:
    random.Random(3).shuffle(cells)
    return await probe(
        lab,
        cells,
        wait=wait,
        limit=60,
        smtp={"command_timeout": 5.0, "address_budget": 20.0},
        retry={"after_greylisting": ("1.6s", "1.6s", "1.6s")},
    )


@pytest.mark.parametrize(
    "profile",
    [
        "refusal_split",
        "refusal_repeated",
        "group_reply_lost",
        "group_reversed",
        "forgets_what_is_sent_ahead",
        "surplus_at_third_named",
        "split_at_third",
        "leftover_at_quit",
        "quit_accepted",
        "one_recipient",
        "accepts_after_refusals",
        "denies_by_policy",
    ],
)
async def test_a_server_that_breaks_the_rules_is_still_read(mailvet_lab_factory: LabFactory, profile: str) -> None:
    world, alive, gone = _world(profile)
    lab = mailvet_lab_factory(world)
    probed = await _probe(lab, [*alive, *gone])
    assert {probed[cell]["reason"] for cell in alive} == {"mailbox_accepted"}
    assert {probed[cell]["reason"] for cell in gone} == {"mailbox_not_found"}
    counters = total(lab)
    assert counters.peak_connections <= 5
    assert counters.data == 0


@pytest.mark.parametrize(
    "profile", ["glued_code", "two_codes", "stray_after_hello", "refusal_repeated_unnamed", "bans_for_the_day"]
)
async def test_a_server_that_cannot_be_read_yields_no_wrong_verdict(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    world, alive, gone = _world(profile)
    probed = await _probe(mailvet_lab_factory(world), [*alive, *gone], wait=0)
    assert "undeliverable" not in {probed[cell]["status"] for cell in alive}
    assert "deliverable" not in {probed[cell]["status"] for cell in gone}


@pytest.mark.parametrize("profile", ["one_recipient", "bans_6s_short_conversations"])
async def test_operators_at_one_address_share_its_canaries_and_come_to_an_end(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    world = World().host("mx.acme.test", profile)
    alive, gone = [], []
    for number in range(4):
        name = f"mx.d{number}.test"
        world.record(name, "A", world.hosts["mx.acme.test"].address)
        world.domain(f"d{number}.test", [(10, name)])
        alive += [f"p{n}@d{number}.test" for n in range(4)]
        gone += [f"x{n}@d{number}.test" for n in range(3)]
    for cell in alive:
        world.mailbox(cell)
    lab = mailvet_lab_factory(world)
    probed = await _probe(lab, [*alive, *gone], wait=0)
    assert "undeliverable" not in {probed[cell]["status"] for cell in alive}
    assert "deliverable" not in {probed[cell]["status"] for cell in gone}
    counters = total(lab)
    assert counters.peak_connections <= 5
    assert counters.connections <= 6 * len([*alive, *gone])
    if profile == "one_recipient":
        assert {probed[cell]["reason"] for cell in alive} == {"mailbox_accepted"}
        assert {probed[cell]["reason"] for cell in gone} == {"mailbox_not_found"}


async def test_450_4_1_1_for_unknown_recipients_tells_who_exists(mailvet_lab_factory: LabFactory) -> None:
    world, alive, gone = _world("unknown_for_now")
    probed = await _probe(mailvet_lab_factory(world), [*alive, *gone])
    assert {probed[cell]["reason"] for cell in alive} == {"mailbox_accepted"}
    assert {probed[cell]["status"] for cell in gone} == {"unknown"}


async def test_greylisting_followed_by_accepting_everybody_is_accept_all(mailvet_lab_factory: LabFactory) -> None:
    world, alive, gone = _world("greylists_then_accepts_all")
    probed = await _probe(mailvet_lab_factory(world, greylist_delay=1.0), [*alive, *gone])
    assert set(probed.reasons().values()) == {"accept_all"}


async def test_a_mixed_set_of_servers_is_an_operator_of_its_own() -> None:
    google = operator_of_route(("aspmx.l.google.com", "alt1.aspmx.l.google.com"))
    mixed = operator_of_route(("aspmx.l.google.com", "mx.evil.example"))
    assert google.name == "google"
    assert mixed.name != "google"
    assert mixed.name == operator_of_route(("mx.evil.example", "aspmx.l.google.com")).name


def _reply(text: str, code: int = 550) -> Reply:
    return Reply(Stage.rcpt, code, text, 0.0)


def test_a_reply_that_names_another_recipient_is_out_of_step() -> None:
    ledger = Ledger()
    ledger.sent("ann@acme.test")
    ledger.sent("bob@acme.test")
    assert ledger.examine("ann@acme.test", _reply("5.1.1 <ann@acme.test>: unknown"))
    assert ledger.checked == 1
    assert not ledger.examine("bob@acme.test", _reply("5.1.1 <ann@acme.test>: unknown"))
    assert ledger.fault is not None
    assert ledger.checked == 1


def test_a_rewritten_address_that_was_not_asked_is_no_fault() -> None:
    ledger = Ledger()
    ledger.sent("ann@acme.test")
    assert ledger.examine("ann@acme.test", _reply("<ann@mbox7.internal>: user unknown"))
    assert (ledger.fault, ledger.checked) == (None, 0)


@pytest.mark.parametrize("code", [150, 221, 354])
def test_a_reply_that_no_rcpt_gets_is_out_of_step(code: int) -> None:
    ledger = Ledger()
    ledger.sent("ann@acme.test")
    assert not ledger.examine("ann@acme.test", _reply("what?", code))


def test_two_refusals_count_once_a_place_was_left_alone_and_no_suspicion_is_stored() -> None:
    memory = ServerMemory()
    place = Place(place_of("192.0.2.1", 25), memory)
    place.contacted(0.0)
    assert place.free_refusals == 2
    place.shut_out(at_start=True, covered=0)
    assert place.resting(place.rest_until - 1)
    again = Place(place.key, memory)
    again.contacted(0.0)
    assert (again.suspicious, again.free_refusals) == (True, 0)
    again.accepted(1.0, 1.1, at_start=True)
    assert not memory.suspicions


def test_a_place_that_refused_everybody_alike_on_three_days_has_refused_for_good() -> None:
    place = Place("192.0.2.1:25", ServerMemory())
    place.note_words("550 user unknown")
    assert not place.refused_for_good()
    runs = place.memory.refused_runs[place.key]
    assert len(runs.days) == 1
    earlier = tuple(runs.days[0].replace(year=runs.days[0].year - n) for n in (2, 1))
    place.memory.refused_runs[place.key] = RefusedRuns("550 user unknown", earlier)
    assert place.refused_for_good()
    place.memory.refused_runs[place.key] = RefusedRuns("550 other words", earlier)
    assert not place.refused_for_good()


async def test_slots_bound_the_connections_to_an_address() -> None:
    slots = LocalSlots()
    free = [await slots.acquire("192.0.2.1", 2) for _ in range(2)]
    free[0]()
    free[0]()
    third = await slots.acquire("192.0.2.1", 2)
    third()
    free[1]()

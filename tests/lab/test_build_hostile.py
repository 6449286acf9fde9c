"""The hostile world: how each of its server profiles lies or breaks, and what is really so behind it."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import signal
import smtplib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from mailvet.lab import (
    HarvestGuard,
    Lab,
    RateLimit,
    ReplyFault,
    World,
    contact_table,
    default_world,
    hostile_world,
    truth_table,
)
from mailvet.lab.build_hostile import _IN_SETS_OF_SERVERS
from mailvet.lab.hostile_profiles import HOSTILE_PROFILES
from mailvet.lab.profile_summary import summary
from mailvet.lab.profiles import PROFILES
from mailvet.lab.reply_faults import FAULTS
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from tests.lab.lab_client import Client

ANN, BOB = "ann@acme.test", "bob@acme.test"
LabFactory = Callable[..., Lab]


def unknown(number: int) -> str:
    return f"unknown-{number}@acme.test"


def acme(profile: str, **options: Any) -> World:
    world = World().host("mx.acme.test", profile, **options).domain("acme.test", [(10, "mx.acme.test")])
    return world.mailbox(ANN).mailbox(BOB)


def received(lab: Lab, *lines: str, quiet: float = 0.1, host: str = "mx.acme.test") -> list[str]:
    """Greet, send MAIL, then the lines at once; all lines that come in reply to them until nothing comes for `quiet`
    seconds or the server closes (then the last line is "closed").
    """
    client = Client(lab, host).greet()
    client.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())
    found = rest_of(client, quiet)
    client.close()
    return found


def rest_of(client: Client, quiet: float = 0.1) -> list[str]:
    """All lines that come until nothing comes for `quiet` seconds."""
    client.socket.settimeout(quiet)
    data, closed = b"", False
    try:
        while chunk := client.socket.recv(4096):
            data += chunk
        closed = True
    except TimeoutError:
        pass
    client.socket.settimeout(5.0)
    return [*data.decode().splitlines(), *["closed"] * closed]


def rcpt(*addresses: str) -> list[str]:
    return [f"RCPT TO:<{address}>" for address in addresses]


def codes(replies: list[str]) -> list[str]:
    return [reply[:3] for reply in replies]


# ------------------------------------------------------------------------------------------------ bans
@pytest.mark.parametrize(
    "profile",
    [
        name
        for name, profile in HOSTILE_PROFILES.items()
        if profile.guard is not None and profile.guard.then == "refuses"
    ],
)
def test_a_banned_client_is_refused_in_the_words_of_a_true_refusal(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    guard = HOSTILE_PROFILES[profile].guard
    assert guard is not None
    lab = mailvet_lab_factory(acme(profile, refusal_delay=0.0, reply_delay=0.0).mailbox("postmaster@acme.test"))
    replies = []
    for number in range(guard.after):
        client = Client(lab).greet()
        replies += [client.ask(ANN), client.ask(unknown(number))]
        client.quit()
    assert codes(replies) == ["250", "550"] * guard.after
    client = Client(lab).greet()
    assert client.ask(ANN) == replies[-1].replace(unknown(guard.after - 1), ANN)
    client.quit()
    client = Client(lab).greet()
    assert client.ask("postmaster@acme.test").startswith("250" if "postmaster" in guard.exempt else "550")
    client.quit()


def test_a_ban_ends_and_the_count_starts_at_nought(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", guard=HarvestGuard(2, seconds=0.3)))
    client = Client(lab).greet()
    assert codes([client.ask(each) for each in (unknown(1), unknown(2), ANN, unknown(3))]) == ["550"] * 4
    time.sleep(0.4)
    assert codes([client.ask(each) for each in (ANN, unknown(4), ANN, unknown(5), ANN)]) == [
        "250",
        "550",
        "250",
        "550",
        "550",
    ]
    client.quit()


@pytest.mark.parametrize("delay", ["refusal_delay", "reply_delay"])
def test_a_slow_server_looks_at_a_recipient_when_it_is_through_with_the_one_before(
    mailvet_lab_factory: LabFactory, delay: str
) -> None:
    options: dict[str, Any] = {"refusal_delay": 0.0, "reply_delay": 0.0} | {delay: 0.2}
    lab = mailvet_lab_factory(acme("bans_slow", guard=HarvestGuard(1, seconds=0.1), **options))
    replies = received(lab, *rcpt(unknown(1), ANN, unknown(2), BOB), quiet=0.6)
    assert codes(replies) == ["550", "250", "550", "250"]
    assert lab.counters()["mx.acme.test"].pipelined == 1


# ------------------------------------------------------------------------------------------------ acceptances
@pytest.mark.parametrize("profile", ["accepts_after_refusals", "accepts_after_refusals_unnamed"])
def test_after_five_refusals_a_conversation_accepts_every_recipient(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    lab = mailvet_lab_factory(acme(profile))
    for _ in range(2):
        client = Client(lab).greet()
        assert codes([client.ask(unknown(number)) for number in range(7)]) == ["550"] * 5 + ["250"] * 2
        client.quit()


def test_after_five_refusals_a_client_has_every_recipient_accepted(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("accepts_client_after_refusals_for_good"))
    replies = []
    for number in range(7):
        client = Client(lab).greet()
        replies.append(client.ask(unknown(number)))
        client.quit()
    assert codes(replies) == ["550"] * 5 + ["250"] * 2


# ------------------------------------------------------------------------------------------------ out of step
PAIR = rcpt(unknown(1), ANN)
TRIPLE = rcpt(unknown(1), unknown(2), unknown(3), ANN)


@pytest.mark.parametrize(
    ("profile", "lines", "expected"),
    [
        ("refusal_split", PAIR, ["550 5.1.1 <unk", "550 5.1.1 User", "250"]),
        ("refusal_repeated", PAIR, ["550 5.1.1 <unk", "550 5.1.1 <unk", "250"]),
        ("group_reply_lost", TRIPLE, ["550 5.1.1 <unknown-1", "550 5.1.1 <unknown-3", "250"]),
        ("group_reply_lost", rcpt(unknown(1)), ["550"]),
        ("reply_lost_at_third", TRIPLE, ["550 5.1.1 <unknown-1", "550 5.1.1 <unknown-2", "250"]),
        ("refusal_split_unnamed", PAIR, ["550 5.1.1 User", "550 5.1.1 Check", "250"]),
        ("group_reversed", PAIR, ["250 2.1.5 <ann@", "550 5.1.1 <unk"]),
        ("glued_code", PAIR, ["5505.1.1 ", "250"]),
        ("two_codes", PAIR, ["250-", "550 5.1.1 ", "250"]),
        ("forgets_what_is_sent_ahead", PAIR, ["550"]),
        ("surplus_at_third", TRIPLE, ["550", "550", "250", "550", "250"]),
        ("split_at_third", TRIPLE, ["550-", "550 ", "550-", "550 ", "550 5.1.1 <", "550 5.1.1 User", "250"]),
        ("leftover_at_quit", [*PAIR, "QUIT"], ["550", "250", "550", "221", "closed"]),
        ("leftover_at_quit", [*rcpt(ANN), "QUIT"], ["250", "221", "closed"]),
        ("quit_accepted", [*PAIR, "QUIT"], ["550", "250", "250 2.0.0 Ok", "closed"]),
        ("quit_unanswered", [*PAIR, "QUIT"], ["550", "250"]),
    ],
)
def test_replies_are_out_of_step_or_out_of_shape(
    mailvet_lab_factory: LabFactory, profile: str, lines: list[str], expected: list[str]
) -> None:
    found = received(mailvet_lab_factory(acme(profile)), *lines)
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("profile", ["stray_after_hello", "stray_after_hello_late"])
def test_a_stray_reply_follows_the_reply_to_ehlo(mailvet_lab_factory: LabFactory, profile: str) -> None:
    client = Client(mailvet_lab_factory(acme(profile)))
    client.reply()
    assert client.say(f"EHLO {HELLO_NAME}").startswith("250-")
    assert client.reply() == "250 2.0.0 Ok"
    assert client.say(f"MAIL FROM:<{MAIL_FROM}>").startswith("250 2.1.0")
    client.quit()


def test_a_client_that_reads_one_reply_a_command_gets_a_refusal_at_quit(mailvet_lab_factory: LabFactory) -> None:
    client = Client(mailvet_lab_factory(acme("surplus_at_third"))).greet()
    assert codes([client.ask(each) for each in (unknown(1), ANN, BOB, unknown(2), ANN)]) == [
        "550",
        "250",
        "250",
        "250",
        "550",
    ]
    assert client.say("QUIT").startswith("250")
    client.close()


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_fault_is_the_same_when_the_lab_is_slow(mailvet_lab_factory: LabFactory, kind: Any) -> None:
    options = {"fault": ReplyFault(kind), "replies": {"unknown": "550 5.1.1 one\ntwo"}}
    lines = [*TRIPLE, "QUIT"]
    quick = received(mailvet_lab_factory(acme("postfix", **options)), *lines)
    assert received(mailvet_lab_factory(acme("postfix", **options), latency=0.01), *lines, quiet=0.3) == quick


# ------------------------------------------------------------------------------------------------ controls, limits
def test_a_greylisting_server_may_accept_every_recipient_afterwards(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("greylists_then_accepts_all"), greylist_delay=0.2)
    assert codes(received(lab, *PAIR)) == ["450", "450"]
    time.sleep(0.2)
    assert codes(received(lab, *PAIR)) == ["250", "250"]


def test_unknown_recipients_may_be_refused_for_now_for_ever(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("unknown_for_now"))
    for _ in range(2):
        found = received(lab, *PAIR)
        assert [line[:9] for line in found] == ["450 4.1.1", "250 2.1.5"]


def test_unknown_recipients_may_be_refused_in_the_words_of_a_policy(mailvet_lab_factory: LabFactory) -> None:
    assert received(mailvet_lab_factory(acme("denies_by_policy")), *PAIR) == ["550 Denied by policy", "250 2.1.5 Ok"]


def test_a_tenant_of_a_shared_address_may_refuse_all_while_its_neighbour_accepts(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = acme("microsoft365").domain("shut.test", [(0, "mx.acme.test")], refuses="550 5.4.1 Access denied")
    world.mailbox("eve@shut.test")
    replies = received(mailvet_lab_factory(world), *rcpt("eve@shut.test", ANN, "who@shut.test"))
    assert codes(replies) == ["550", "250", "550"]
    truth = world.truth("eve@shut.test")
    assert (truth.kind, truth.live, truth.server_tells) == ("ambiguous_live", True, False)


def test_a_server_may_be_busy_now_and_then(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("busy_now_and_then"))
    greetings = []
    for _ in range(6):
        client = Client(lab)
        greetings.append(client.reply()[:3])
        client.close()
    assert greetings == ["421", "220", "220", "421", "220", "220"]
    assert lab.counters()["mx.acme.test"].refused == 2


def test_recipients_beyond_the_rate_are_told_to_come_back(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("recipients_per_second", rate=RateLimit(2)))
    assert codes(received(lab, *rcpt(ANN, BOB, ANN, BOB))) == ["250", "250", "450", "450"]
    time.sleep(1.0)
    assert codes(received(lab, *rcpt(ANN))) == ["250"]


def test_each_profile_is_described_by_what_it_does() -> None:
    told = {name: summary(profile) for name, profile in PROFILES.items()}
    ordinary = {name for name, text in told.items() if text == "knows its mailboxes"}
    assert ordinary.isdisjoint(HOSTILE_PROFILES.keys() - {"unknown_for_now", "denies_by_policy"})
    assert told["bans_6s"] == (
        "after 6 unknown recipients of a client address (over all conversations) every recipient is unknown in the "
        "same words for 6 s"
    )
    assert told["split_at_third"].endswith("only at recipient 3 of each conversation")
    assert told["quit_unanswered"].endswith("has no reply to QUIT")
    assert told["drips_at_rcpt"].endswith("at RCPT sends one line without end, a byte a second")


# ------------------------------------------------------------------------------------------------ the world
def test_the_hostile_world_is_the_same_every_time() -> None:
    world = hostile_world()
    assert world == hostile_world(7)
    assert world.mailboxes != hostile_world(8).mailboxes
    assert contact_table(world, 500).equals(contact_table(hostile_world(), 500))


def test_the_default_world_is_not_touched_by_the_hostile_one() -> None:
    world = default_world()
    told = [
        [(host.name, host.profile.name, host.address) for host in world.hosts.values()],
        [(domain.name, domain.mx, domain.cname, domain.dns, domain.accepts_all) for domain in world.domains.values()],
        sorted(world.mailboxes),
        contact_table(world, 500).to_pylist(),
    ]
    assert (
        hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()
        == "37ef89a81bdb79387f44e7d4b0a8dd3c5d7079233bed6bf6928cfa83422103ce"
    )


def test_each_hostile_profile_has_living_and_unknown_recipients_at_several_domains() -> None:
    world = hostile_world()
    truths = truth_table(world, contact_table(world, 4_000))
    living: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    domains: dict[str, set[str]] = {}
    for cell, exists in zip(truths["email"].to_pylist(), truths["exists"].to_pylist(), strict=True):
        domain = (cell or "").strip().lower().rpartition("@")[2]
        if domain in world.domains:
            for host in world.routes(domain):
                name = host if isinstance(host, str) else host.profile.name
                living[name] += bool(exists)
                dead[name] += exists is False
                domains.setdefault(name, set()).add(domain)
    for profile in HOSTILE_PROFILES:
        assert living[profile] >= 5, profile
        assert dead[profile] >= 3 or HOSTILE_PROFILES[profile].accepts_all, profile
        assert len(domains[profile]) >= 3, profile


def test_many_domains_stand_behind_one_address_under_names_of_their_own() -> None:
    world = hostile_world()
    names: dict[str, set[str]] = {}
    for domain in world.domains.values():
        for _, target in domain.mx or ((0, domain.name),):
            for host in world.routes(target):
                names.setdefault(host if isinstance(host, str) else host.address, set()).add(target)
    assert len(names[world.hosts["shared-hosting.example"].address]) >= 80
    for profile in set(HOSTILE_PROFILES) - _IN_SETS_OF_SERVERS:
        assert len(names[world.hosts[f"mx.{profile.replace('_', '-')}.example"].address]) >= 4, profile


@pytest.mark.parametrize("profile", sorted(set(HOSTILE_PROFILES) - {"blocks_at_greeting"}))
def test_what_a_server_says_first_is_what_is_really_so_unless_it_cannot_be_learnt(
    mailvet_lab_factory: LabFactory, profile: str
) -> None:
    entry = HOSTILE_PROFILES[profile]
    world = acme(profile, refusal_delay=min(entry.refusal_delay, 0.1), reply_delay=min(entry.reply_delay, 0.1))
    live, dead = world.truth(ANN), world.truth(unknown(1))
    assert live.live
    assert dead.exists is (None if entry.accepts_all else False)
    assert live.server_tells == (entry.tells != "nothing" and not entry.accepts_all)
    assert dead.dead_and_server_answers == (entry.tells == "all" and not entry.accepts_all)
    if entry.tells == "nothing" or entry.accepts_all or entry.busy_every:
        return
    lab = mailvet_lab_factory(world)
    assert codes(received(lab, *rcpt(ANN), quiet=0.3))[0] == "250"
    assert codes(received(lab, *rcpt(unknown(1)), quiet=0.3))[0] in ("550", "450")


def test_counters_are_kept_for_each_address(mailvet_lab_factory: LabFactory) -> None:
    world = acme("postfix")
    address = world.hosts["mx.acme.test"].address
    for name in ("one.test", "two.test"):
        world.record(f"mx.{name}", "A", address).domain(name, [(10, f"mx.{name}")]).mailbox(f"ann@{name}")
    lab = mailvet_lab_factory(world)
    clients = [Client(lab).greet() for _ in range(3)]
    for client, name in zip(clients, ("acme", "one", "two"), strict=True):
        assert client.ask(f"ann@{name}.test").startswith("250")
    counters = lab.counters_by_address()[address]
    assert (counters.peak_connections, counters.connections, counters.commands["RCPT"]) == (3, 3, 3)
    for client in clients:
        client.quit()


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """`mailvet lab` with these options; the text of its settings while it runs. Ends it with SIGTERM."""
    config = folder / "lab.toml"
    lab = subprocess.Popen([sys.executable, "-m", "mailvet", "lab", "--config", str(config), *options])
    try:
        while not config.exists():
            assert lab.poll() is None
            time.sleep(0.02)
        yield config.read_text()
    finally:
        lab.send_signal(signal.SIGTERM)
        code = lab.wait(10)
    assert code == 0


@pytest.mark.parametrize(("world", "built"), [("hostile", hostile_world), ("default", default_world)])
def test_the_command_serves_the_world_that_is_named(tmp_path: Path, world: str, built: Callable[[int], World]) -> None:
    contacts, counters = tmp_path / "contacts.csv", tmp_path / "counters.json"
    files = ["--contacts", str(contacts), "--rows", "40", "--counters", str(counters)]
    with served(tmp_path, "--world", world, "--seed", "8", *files) as config:
        assert f"command_timeout = {built(8).command_timeout}" in config
    with contacts.open(newline="", encoding="utf-8") as stream:
        cells = [row["email"] for row in csv.DictReader(stream)]
    assert cells == [cell or "" for cell in contact_table(built(8), 40, seed=8)["email"].to_pylist()]
    assert json.loads(counters.read_text())["hosts"] == {}


def test_the_command_can_have_a_lying_resolver_and_an_outage(tmp_path: Path) -> None:
    options = ("--world", "hostile", "--resolver", "nxdomain", "--outage-after", "1", "--outage-seconds", "60")
    with served(tmp_path, *options) as config:
        dns_port, smtp_port = (int(line.split("=")[1]) for line in config.splitlines() if line.startswith("port"))
        query = dns.message.make_query("gmail.com", "MX")
        assert dns.query.udp(query, "127.0.0.1", timeout=2, port=dns_port).rcode() == dns.rcode.NXDOMAIN
        address = hostile_world().hosts["mx.postfix.example"].address
        client = smtplib.SMTP(address, smtp_port, HELLO_NAME, 5)
        client.ehlo()
        client.mail(MAIL_FROM)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.rcpt("ann@acme.test")
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP(address, smtp_port, HELLO_NAME, 5)

"""The mail world on loopback: what its name servers and mail servers answer, count and know."""

# ruff: noqa: RUF001  (letters of other scripts are meant)

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import email_validator
import pytest
from disposable_email_domains import blocklist

from mailvet.errors import MailvetError, SettingsError
from mailvet.lab import ORDINARY_PROFILES, Lab, World, contact_table, default_world, truth_table
from mailvet.lab.server_profiles import wire
from mailvet.lab.world import CONTROL_NAMES, HELLO_NAME, MAIL_FROM
from mailvet.vocabulary import Status
from tests.lab.lab_client import Client, answers, query

ANN, BOB, NOBODY = "ann@acme.test", "bob@acme.test", "nobody.there@acme.test"


def one_server(profile: str = "postfix", **options: Any) -> World:
    """acme.test on mx.acme.test, with ann, bob and one mailbox per other state, named after it."""
    world = World().host("mx.acme.test", profile, **options)
    world.domain("acme.test", [(10, "mx.acme.test")]).mailbox(ANN).mailbox(BOB)
    for state in ("full", "disabled", "moved", "restricted", "throttled", "temporary", "forwarded"):
        world.mailbox(f"{state}@acme.test", state)
    return world


def asked(lab: Lab, *addresses: str, host: str = "mx.acme.test") -> list[str]:
    """The replies to the addresses in one conversation."""
    client = Client(lab, host).greet()
    replies = [client.ask(address) for address in addresses]
    client.quit()
    return replies


def settled(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within a second; the lab counts in its own thread."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(scope="module")
def world() -> World:
    return default_world()


@pytest.fixture(scope="module")
def names() -> Iterator[Lab]:
    """A lab with one domain for every DNS behaviour."""
    world = World()
    for host in ("mx1.acme.test", "mx2.acme.test", "solo.test"):
        world.host(host)
    world.host("six.test", ipv4=False)
    world.domain("acme.test", [(20, "mx2.acme.test"), (10, "mx1.acme.test")])
    world.domain("equal.test", [(10, "mx1.acme.test"), (10, "mx2.acme.test")])
    world.domain("solo.test").domain("six.test").domain("null.test", [(0, ".")])
    world.domain("alias.test", cname="acme.test")
    world.domain("loop.test", cname="pool.test").domain("pool.test", cname="loop.test")
    world.record("mx.via.test", "CNAME", "mx1.acme.test").domain("via.test", [(10, "mx.via.test")])
    world.domain("lost.test", [(10, "mx.nowhere.test")])
    world.record("mx.private.test", "A", "10.0.0.25").domain("private.test", [(10, "mx.private.test")])
    world.domain("literal.test", [(10, "127.0.0.1")])
    world.domain("empty.test").domain("bücher.test", [(10, "mx1.acme.test")])
    world.domain("big.test", [(10, f"mx{n}.a-name-of-some-length.acme.test") for n in range(40)])
    world.domain("gone.test", dns="nxdomain").domain("servfail.test", dns="servfail")
    world.domain("refused.test", dns="refused").domain("dropped.test", dns="dropped")
    world.domain("lame.test", dns="lame").domain("cut.test", [(10, "mx1.acme.test")], dns="truncated")
    with Lab(world) as lab:
        yield lab


# ------------------------------------------------------------------------------------------------ DNS
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


# ------------------------------------------------------------------------------------------------ SMTP
@pytest.mark.parametrize(
    ("profile", "address", "expected"),
    [
        ("postfix", NOBODY, "550 5.1.1 "),
        ("postfix", "full@acme.test", "452 4.2.2 "),
        ("postfix", "disabled@acme.test", "550 5.2.1 "),
        ("postfix", "moved@acme.test", "551 5.1.6 "),
        ("postfix", "restricted@acme.test", "550 5.7.1 "),
        ("postfix", "throttled@acme.test", "450 4.2.1 "),
        ("postfix", "temporary@acme.test", "451 4.3.0 "),
        ("postfix", "forwarded@acme.test", "251 2.1.5 "),
        ("postfix", "ann@elsewhere.test", "554 5.7.1 <ann@elsewhere.test>: Relay access denied"),
        ("gmail", NOBODY, "550-5.1.1 The email account that you tried to reach does not exist."),
        ("gmail", "throttled@acme.test", "450-4.2.1 "),
        ("gmail", "disabled@acme.test", "550-5.2.1 "),
        ("microsoft365", NOBODY, "550 5.4.1 Recipient address rejected: Access denied."),
        ("microsoft365", "restricted@acme.test", "550 5.7.133 "),
        ("outlook_com", NOBODY, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"),
        ("icloud", "full@acme.test", "552 5.2.2 "),
        ("yahoo", NOBODY, "250 recipient <"),
        ("mail_ru", NOBODY, "250 Accepted"),
        ("yandex", NOBODY, "550 5.7.1 No such user!"),
        ("qq", NOBODY, "550 Mailbox not found."),
        ("qq", "throttled@acme.test", "550 Mailbox unavailable or access denied."),
        ("netease", NOBODY, "550 User not found: "),
        ("gmx", NOBODY, "550-Requested action not taken: mailbox unavailable"),
        ("mimecast", NOBODY, "550 Invalid Recipient"),
        ("mimecast", ANN, "451 Internal resources are temporarily unavailable"),
        ("barracuda", NOBODY, "250 2.1.5 Ok"),
        ("exim", NOBODY, "550 No Such User Here"),
        ("exchange", NOBODY, "550 5.1.1 RESOLVER.ADR.RecipNotFound"),
        ("qmail", NOBODY, "550 sorry, no mailbox here by that name (#5.1.1)"),
        ("sendmail", NOBODY, f"550 5.1.1 <{NOBODY}>... User unknown"),
        ("catch_all", NOBODY, "250 2.1.5 Ok"),
        ("temporary", ANN, "451 4.3.0 "),
        ("relay_denied", ANN, "554 5.7.1 <ann@acme.test>: Relay access denied"),
        ("blocks_at_rcpt", ANN, "550-5.7.1 Recipient mail rejected: unknown user agent"),
        ("sender_callout", ANN, f"550-Verification failed for <{MAIL_FROM}>"),
        ("german", NOBODY, f"550 5.1.1 <{NOBODY}>: Benutzer unbekannt"),
        ("french", NOBODY, f"550 5.1.1 <{NOBODY}>: Adresse d au moins un destinataire invalide."),
        ("spanish", NOBODY, f"550 5.1.1 <{NOBODY}>: usuario desconocido"),
        ("polish", NOBODY, f"550 5.1.1 <{NOBODY}>: nie ma takiego"),
        ("russian", NOBODY, f"550 5.1.1 <{NOBODY}>: Пользователь не найден"),
        ("turkish", NOBODY, f"550 5.1.1 <{NOBODY}>: kullanıcı bulunamadı"),
        ("chinese", NOBODY, f"550 5.1.1 <{NOBODY}>: 用户不存在"),
        ("japanese", NOBODY, f"550 5.1.1 <{NOBODY}>: 宛先"),
    ],
)
def test_each_profile_answers_in_its_own_words(profile: str, address: str, expected: str) -> None:
    with Lab(one_server(profile)) as lab:
        assert asked(lab, address)[0].startswith(expected)


HONEST = [
    name
    for name, profile in ORDINARY_PROFILES.items()
    if profile.reachable
    and not (profile.blocks or profile.temporary_reply or profile.denies_relay or profile.tls_required)
    and not (profile.greylisting or profile.helo_only or profile.banner_delay)
]


@pytest.mark.parametrize("profile", HONEST)
def test_a_live_mailbox_is_accepted_under_every_spelling_the_server_knows(profile: str) -> None:
    with Lab(one_server(profile, recipients_per_session=None)) as lab:
        replies = asked(lab, ANN, ANN.upper(), "ann+shop@acme.test", "Ann@ACME.Test")
        assert [reply[:3] for reply in replies] == ["250"] * 4


@pytest.mark.parametrize("profile", list(ORDINARY_PROFILES))
def test_every_line_of_every_reply_is_well_formed(profile: str) -> None:
    entry = ORDINARY_PROFILES[profile]
    states = (
        "live",
        "unknown",
        "full",
        "disabled",
        "moved",
        "restricted",
        "throttled",
        "temporary",
        "forwarded",
    )
    replies = [
        entry.banner,
        entry.block_reply,
        entry.relay_reply,
        entry.greylist_reply,
        entry.recipients_reply,
    ]
    for reply in [*replies, *map(entry.reply, states)]:
        lines = wire(reply).split("\r\n")
        assert lines.pop() == ""
        assert {line[:3] for line in lines} == {reply[:3]}
        assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]
        assert reply[0] in "245"


def test_dots_do_not_count_where_the_domain_ignores_them() -> None:
    world = World().host("mx.acme.test", "gmail").domain("acme.test", [(5, "mx.acme.test")], ignores_dots=True)
    with Lab(world.mailbox("annlee@acme.test")) as lab:
        assert asked(lab, "a.nn.lee@acme.test")[0].startswith("250")


def test_a_domain_can_accept_everybody_on_a_server_that_does_not() -> None:
    world = World().host("mx.acme.test", "gmail")
    world.domain("open.test", [(1, "mx.acme.test")], accepts_all=True)
    world.domain("strict.test", [(1, "mx.acme.test")])
    with Lab(world) as lab:
        replies = asked(lab, "who@open.test", "who@strict.test")
        assert [reply[:3] for reply in replies] == ["250", "550"]


def test_outlook_takes_one_recipient_per_connection() -> None:
    with Lab(one_server("outlook_com")) as lab:
        first, second, third = asked(lab, ANN, BOB, NOBODY)
        assert first.startswith("250 2.1.5")
        assert second.startswith("452 4.5.3 Too many recipients")
        assert third.startswith("452 4.5.3")
        assert asked(lab, BOB)[0].startswith("250")


def test_a_session_limit_outlives_rset() -> None:
    with Lab(one_server("recipient_limit", recipients_per_session=2)) as lab:
        client = Client(lab).greet()
        assert client.ask(ANN).startswith("250")
        assert client.say("RSET").startswith("250")
        client.say(f"MAIL FROM:<{MAIL_FROM}>")
        assert client.ask(BOB).startswith("250")
        assert client.ask(ANN).startswith("452 4.5.3")
        client.quit()


def test_qq_calls_its_rate_limit_permanent() -> None:
    with Lab(one_server("qq", recipients_per_session=1)) as lab:
        assert asked(lab, ANN, ANN)[1].startswith("550 Ip frequency limited")


@pytest.mark.parametrize(("profile", "unknown_at_once"), [("greylisting", False), ("greylisting_known", True)])
def test_greylisting_accepts_the_same_triple_later(profile: str, unknown_at_once: bool) -> None:
    with Lab(one_server(profile), greylist_delay=0.3) as lab:
        first, unknown = asked(lab, ANN, NOBODY)
        assert first[:3] in ("450", "451")
        assert (unknown[:3] == "550") is unknown_at_once
        assert asked(lab, ANN)[0][:3] in ("450", "451")
        time.sleep(0.35)
        assert [reply[:3] for reply in asked(lab, ANN, NOBODY)] == ["250", "550"]
        other = Client(lab)
        other.reply()
        other.say(f"EHLO {HELLO_NAME}")
        other.say(f"MAIL FROM:<another@{HELLO_NAME}>")
        assert other.ask(ANN)[:3] in ("450", "451")
        other.quit()


def test_a_harvest_guard_ends_up_refusing_live_mailboxes() -> None:
    with Lab(one_server("harvest_guard", harvest_limit=2)) as lab:
        replies = asked(lab, ANN, "x1@acme.test", ANN, "x2@acme.test", ANN)
        assert [reply[:3] for reply in replies] == ["250", "550", "250", "550", "550"]
        assert replies[-1] == f"550 5.1.1 <{ANN}>: user unknown"
        assert asked(lab, ANN)[0].startswith("250")


def test_too_many_errors_end_the_session() -> None:
    with Lab(one_server("postfix")) as lab:
        client = Client(lab).greet()
        for number in range(20):
            assert client.ask(f"x{number}@acme.test").startswith("550 5.1.1")
        assert client.reply() == "421 4.7.0 mx.acme.test Error: too many errors"
        assert client.reply() == ""
        client.close()
        assert lab.counters()["mx.acme.test"].aborted == 0


def test_errors_beyond_the_soft_limit_are_held_back() -> None:
    with Lab(one_server("postfix", soft_error_limit=1, soft_error_delay=0.2)) as lab:
        client = Client(lab).greet()
        client.ask("x1@acme.test")
        started = time.monotonic()
        client.ask("x2@acme.test")
        assert time.monotonic() - started >= 0.19
        client.quit()


def test_pipelined_commands_are_answered_in_order_and_counted() -> None:
    with Lab(one_server("postfix")) as lab:
        client = Client(lab)
        client.reply()
        assert "250-PIPELINING" in client.say(f"EHLO {HELLO_NAME}").split("\n")
        lines = [f"MAIL FROM:<{MAIL_FROM}>", f"RCPT TO:<{ANN}>", f"RCPT TO:<{NOBODY}>", "RSET", "QUIT"]
        # A command may be cut anywhere between two packets.
        packet = "".join(f"{line}\r\n" for line in lines).encode()
        client.socket.sendall(packet[:50])
        time.sleep(0.02)
        client.socket.sendall(packet[50:])
        assert [client.reply()[:3] for _ in lines] == ["250", "250", "550", "250", "221"]
        client.close()
        counted = lab.counters()["mx.acme.test"]
        assert counted.pipelined == 1
        assert counted.pipelined_unasked == 0
        assert counted.commands == Counter(EHLO=1, MAIL=1, RCPT=2, RSET=1, QUIT=1)


def test_pipelining_that_was_not_offered_is_counted_as_a_fault() -> None:
    with Lab(one_server("postfix", pipelining=False)) as lab:
        client = Client(lab)
        client.reply()
        assert "PIPELINING" not in client.say(f"EHLO {HELLO_NAME}")
        client.socket.sendall(f"MAIL FROM:<{MAIL_FROM}>\r\nRCPT TO:<{ANN}>\r\n".encode())
        assert [client.reply()[:3] for _ in range(2)] == ["250", "250"]
        client.quit()
        assert lab.counters()["mx.acme.test"].pipelined_unasked == 1


@pytest.mark.parametrize("profile", ["postfix", "exim", "tls_required"])
def test_starttls_goes_over_to_tls_and_forgets_the_greeting(profile: str) -> None:
    with Lab(one_server(profile)) as lab:
        host = lab.world.hosts["mx.acme.test"]
        with smtplib.SMTP(host.address, lab.smtp_port, HELLO_NAME, timeout=5) as client:
            client.ehlo()
            if profile == "tls_required":
                assert client.mail(MAIL_FROM) == (530, b"5.7.0 Must issue a STARTTLS command first")
            context = ssl._create_unverified_context()
            assert client.starttls(context=context)[0] == 220
            assert client.docmd("MAIL", f"FROM:<{MAIL_FROM}>")[0] == 503
            client.ehlo()
            assert "starttls" not in client.esmtp_features
            client.mail(MAIL_FROM)
            assert client.rcpt(ANN)[0] == 250
            assert client.rcpt(NOBODY)[0] == 550
        counted = lab.counters()["mx.acme.test"]
        assert (counted.tls, counted.quits, counted.aborted) == (1, 1, 0)


def test_commands_pipelined_behind_starttls_are_forgotten() -> None:
    with Lab(one_server("postfix"), latency=0.05) as lab:
        client = Client(lab)
        client.reply()
        client.say(f"EHLO {HELLO_NAME}")
        client.socket.sendall(b"STARTTLS\r\nNOOP\r\n")
        time.sleep(0.01)
        client.socket.sendall(b"NOOP\r\n")
        assert client.reply().startswith("220")
        secured = ssl._create_unverified_context().wrap_socket(client.socket)
        secured.sendall(b"EHLO again.test\r\n")
        assert secured.recv(4096).startswith(b"250-mx.acme.test\r\n")
        secured.close()
        assert lab.counters()["mx.acme.test"].commands["NOOP"] == 0


def test_a_failed_handshake_leaves_the_lab_working() -> None:
    with Lab(one_server("postfix")) as lab:
        client = Client(lab)
        client.reply()
        client.say(f"EHLO {HELLO_NAME}")
        client.say("STARTTLS")
        client.socket.sendall(b"this is no TLS at all\r\n" * 4)
        with contextlib.suppress(OSError):
            client.reply()
        client.close()
        assert settled(lambda: lab._servers["mx.acme.test"].active == 0)
        assert asked(lab, ANN)[0].startswith("250")


def test_a_host_may_know_only_helo() -> None:
    with Lab(one_server("helo_only")) as lab:
        client = Client(lab)
        client.reply()
        assert client.say(f"EHLO {HELLO_NAME}").startswith("502")
        assert client.say(f"HELO {HELLO_NAME}") == "250 mx.acme.test"
        client.say(f"MAIL FROM:<{MAIL_FROM}>")
        assert client.ask(ANN).startswith("250")
        client.quit()


def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    address = "jürgen@acme.test"
    with Lab(one_server("postfix").mailbox(address)) as lab:
        client = Client(lab).greet()
        assert client.ask(address).startswith("553 5.6.7")
        client.say("RSET")
        assert client.say(f"MAIL FROM:<{MAIL_FROM}> SMTPUTF8").startswith("250")
        assert client.ask(address).startswith("250")
        assert client.ask("ju\u0308rgen@acme.test").startswith("250")
        client.quit()
    with Lab(one_server("exim").mailbox(address)) as lab:
        client = Client(lab)
        client.reply()
        assert "SMTPUTF8" not in client.say(f"EHLO {HELLO_NAME}")
        assert client.say(f"MAIL FROM:<{MAIL_FROM}> SMTPUTF8").startswith("555")
        client.quit()


@pytest.mark.parametrize(
    ("profile", "stage", "expected"),
    [
        (
            "blocks_at_connect",
            0,
            "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using zen.spamhaus",
        ),
        ("proofpoint", 0, "554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/"),
        (
            "blocks_at_hello",
            1,
            f"550 5.7.1 <{HELLO_NAME}>: Helo command rejected: unknown host, user access denied",
        ),
        (
            "blocks_at_mail",
            2,
            f"550 5.7.1 <{MAIL_FROM}>: Sender address rejected: unknown or not permitted user",
        ),
    ],
)
def test_a_blocked_sender_is_refused_at_that_stage(profile: str, stage: int, expected: str) -> None:
    with Lab(one_server(profile)) as lab:
        client = Client(lab)
        replies = [client.reply()]
        for command in (f"EHLO {HELLO_NAME}", f"MAIL FROM:<{MAIL_FROM}>")[:stage]:
            replies.append(client.say(command))
        assert all(reply[0] == "2" for reply in replies[:-1])
        assert replies[-1].startswith(expected)
        client.close()


@pytest.mark.parametrize(
    ("profile", "before"), [("closes_at_connect", 0), ("closes_at_mail", 2), ("closes_at_rcpt", 3)]
)
def test_a_server_may_close_without_a_word(profile: str, before: int) -> None:
    with Lab(one_server(profile)) as lab:
        client = Client(lab)
        commands = [f"EHLO {HELLO_NAME}", f"MAIL FROM:<{MAIL_FROM}>", f"RCPT TO:<{ANN}>"]
        replies = []
        with contextlib.suppress(ConnectionError):
            replies.append(client.reply())
            replies += [client.say(command) for command in commands]
        assert [reply[:3] for reply in replies if reply] == ["220", "250", "250"][:before]
        client.close()
        assert settled(lambda: lab._servers["mx.acme.test"].active == 0)
        assert lab.counters()["mx.acme.test"].aborted == 0


def test_a_silent_server_says_nothing() -> None:
    with Lab(one_server("silent")) as lab:
        client = Client(lab, timeout=0.2)
        with pytest.raises(socket.timeout):
            client.socket.recv(1)
        client.close()


def test_garbage_is_no_smtp() -> None:
    with Lab(one_server("garbage")) as lab:
        client = Client(lab)
        assert not client.socket.recv(100)[:3].isdigit()
        client.close()


def test_a_closed_port_refuses_connections() -> None:
    with Lab(one_server("port_closed")) as lab, pytest.raises(ConnectionRefusedError):
        Client(lab)


def test_a_tarpit_delays_the_banner_and_every_single_reply() -> None:
    with Lab(one_server("tarpit", banner_delay=0.2, reply_delay=0.1)) as lab:
        started = time.monotonic()
        client = Client(lab)
        client.reply()
        assert time.monotonic() - started >= 0.19
        client.socket.sendall(f"EHLO {HELLO_NAME}\r\nMAIL FROM:<{MAIL_FROM}>\r\nRCPT TO:<{ANN}>\r\n".encode())
        started = time.monotonic()
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "250"]
        assert time.monotonic() - started >= 0.29
        client.quit()


def test_latency_is_paid_per_turn_and_not_per_pipelined_command() -> None:
    with Lab(one_server("postfix"), latency=0.1) as lab:
        client = Client(lab).greet()
        client.socket.sendall(f"RCPT TO:<{ANN}>\r\n".encode() * 20)
        started = time.monotonic()
        assert [client.reply()[:3] for _ in range(20)] == ["250"] * 20
        assert 0.09 <= time.monotonic() - started < 0.19
        client.quit()
        started = time.monotonic()
        query(lab, "acme.test")
        assert time.monotonic() - started >= 0.09


def test_connections_beyond_the_limit_are_sent_away() -> None:
    with Lab(one_server("connection_limit", max_connections=2)) as lab:
        kept = [Client(lab), Client(lab)]
        assert [client.reply()[:3] for client in kept] == ["220", "220"]
        over = Client(lab)
        assert over.reply().startswith("421 4.7.0 mx.acme.test Error: too many connections")
        assert over.reply() == ""
        over.close()
        kept[0].quit()
        again = Client(lab)
        assert again.reply().startswith("220")
        again.quit()
        kept[1].quit()
        counted = lab.counters()["mx.acme.test"]
        assert (counted.connections, counted.refused, counted.peak_connections) == (4, 1, 3)


def test_no_message_is_ever_taken() -> None:
    with Lab(one_server("postfix")) as lab:
        client = Client(lab).greet()
        client.ask(ANN)
        assert client.say("DATA").startswith("503")
        client.socket.sendall(b"BDAT 12 LAST\r\nQUIT\r\nQUIT\r\nNOOP\r\n")
        assert client.reply().startswith("503")
        assert client.reply().startswith("250")
        client.quit()
        counted = lab.counters()["mx.acme.test"]
        assert (counted.data, counted.quits) == (2, 1)


def test_commands_out_of_order_are_refused() -> None:
    with Lab(one_server("postfix")) as lab:
        client = Client(lab)
        client.reply()
        assert client.say(f"MAIL FROM:<{MAIL_FROM}>").startswith("503")
        client.say(f"EHLO {HELLO_NAME}")
        assert client.ask(ANN).startswith("503")
        assert client.say("RCPT TO ann").startswith("501")
        assert client.say("XYZZY").startswith("500")
        assert client.say("VRFY ann").startswith("252")
        assert client.say("EXPN all").startswith("502")
        client.quit()


def test_everything_a_client_does_is_counted() -> None:
    with Lab(one_server("postfix")) as lab:
        asked(lab, ANN, BOB)
        client = Client(lab).greet()
        client.ask("Ann@acme.test")
        client.say("RSET")
        client.close()
        assert settled(lambda: lab.counters()["mx.acme.test"].aborted == 1)
        counted = lab.counters()["mx.acme.test"]
        assert counted.recipients == Counter({ANN: 2, BOB: 1})
        assert counted.mail_from == {MAIL_FROM}
        assert counted.hello_names == {HELLO_NAME}
        assert (counted.connections, counted.peak_connections) == (2, 1)
        assert (counted.resets, counted.quits, counted.data) == (1, 1, 0)
        assert json.loads(json.dumps(counted.as_dict()))["recipients"] == {ANN: 2, BOB: 1}
        lab.reset_counters()
        assert lab.counters()["mx.acme.test"].connections == 0


def test_conversations_one_after_another_never_look_parallel() -> None:
    with Lab(one_server("postfix")) as lab:
        for number in range(60):
            client = Client(lab)
            client.reply()
            if number % 2:
                client.say("QUIT")
            client.close()
        counted = lab.counters()["mx.acme.test"]
        assert counted.connections == 60
        assert counted.peak_connections == 1


def test_the_peak_is_the_number_of_connections_open_at_once() -> None:
    with Lab(one_server("postfix")) as lab:
        clients = [Client(lab) for _ in range(17)]
        for client in clients:
            client.reply()
        assert lab.counters()["mx.acme.test"].peak_connections == 17
        for client in clients:
            client.quit()


def test_mail_comes_in_over_ipv6_where_the_machine_has_it() -> None:
    world = World().host("six.test", ipv4=False).domain("six.test").mailbox("ann@six.test")
    with Lab(world) as lab:
        if not lab.ipv6:
            assert lab.truth("ann@six.test").kind == "unreachable"
            pytest.skip("no IPv6 on this machine")
        assert asked(lab, "ann@six.test", host="six.test")[0].startswith("250")
        assert lab.truth("ann@six.test").kind == "live"


# ------------------------------------------------------------------------------------------------ the lab
def test_two_labs_do_not_meet() -> None:
    with Lab(one_server()) as first, Lab(one_server("catch_all")) as second:
        assert first.smtp_port != second.smtp_port
        assert first.nameserver != second.nameserver
        assert asked(first, NOBODY)[0].startswith("550")
        assert asked(second, NOBODY)[0].startswith("250")
        assert first.counters()["mx.acme.test"].connections == 1


def test_a_stopped_lab_leaves_nothing_behind_and_can_start_again() -> None:
    before = threading.active_count()
    lab = Lab(one_server()).start()
    with pytest.raises(MailvetError, match="already running"):
        lab.start()
    client = Client(lab)
    client.reply()
    lab.stop()
    lab.stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        Client(lab)
    client.close()
    assert lab.counters()["mx.acme.test"].connections == 1
    assert lab.counters()["mx.acme.test"].aborted == 0
    with lab:
        assert asked(lab, ANN)[0].startswith("250")


def test_the_configuration_leads_to_the_lab(tmp_path: Path) -> None:
    toml = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    with Lab(one_server()) as lab:
        lab.write_config(tmp_path / "mailvet.toml")
        config = toml.loads((tmp_path / "mailvet.toml").read_text(encoding="utf-8"))
        assert config["depth"] == "smtp"
        assert (config["dns"]["nameservers"], config["dns"]["port"]) == (
            [lab.nameserver[0]],
            lab.nameserver[1],
        )
        assert config["smtp"]["port"] == lab.smtp_port
        assert config["smtp"]["allow_private_networks"] == ["127.0.0.0/8", "::1/128"]
        assert config["retry"]["after_greylisting"] == ["2s", "4s"]
        hello = config["smtp"]["hello_name"]
        address = answers(query(lab, hello, "A"))[0]
        assert answers(query(lab, str(dns.reversename.from_address(address)), "PTR")) == [f"{hello}."]
    assert os.listdir(tmp_path) == ["mailvet.toml"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_lab_writes_its_counters_when_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    program = textwrap.dedent(
        """
        import sys
        from mailvet.lab import Lab, World, serve
        world = World().host("mx.acme.test").host("mx2.acme.test").domain("acme.test", [(10, "mx.acme.test")])
        serve(Lab(world.mailbox("ann@acme.test")), sys.argv[1], sys.argv[2])
        """
    )
    config, counted = tmp_path / "mailvet.toml", tmp_path / "counters.json"
    child = subprocess.Popen([sys.executable, "-c", program, str(config), str(counted)])
    try:
        deadline = time.monotonic() + 20
        while not config.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        ports = [int(line.split("=")[1]) for line in config.read_text().splitlines() if line.startswith("port")]
        dns.query.udp(dns.message.make_query("acme.test", "MX"), "127.0.0.1", timeout=2, port=ports[0])
        with smtplib.SMTP("127.77.0.2", ports[1], HELLO_NAME, timeout=5) as client:
            client.ehlo()
            client.mail(MAIL_FROM)
            assert client.rcpt(ANN)[0] == 250
        child.send_signal(number)
        assert child.wait(10) == 0
    finally:
        child.kill()
    written = json.loads(counted.read_text(encoding="utf-8"))
    assert list(written["hosts"]) == ["mx.acme.test"]
    assert written["hosts"]["mx.acme.test"]["recipients"] == {ANN: 1}
    assert written["hosts"]["mx.acme.test"]["data"] == 0
    assert written["dns"] == {"acme.test MX": 1}


def test_the_plug_in_costs_nothing_until_a_fixture_is_used() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import mailvet.lab.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if not name.startswith("mailvet")} <= {
        "importlib",
        "typing",
        "collections.abc",
    }
    assert not {"mailvet.lab.server", "mailvet.lab.world", "mailvet.lab.dns"} & set(loaded)


def test_the_fixtures_start_labs_and_stop_them(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import threading
            from mailvet.lab import World

            def labs():
                return sum(thread.name == "mailvet-lab" for thread in threading.enumerate())

            def test_own_world(mailvet_lab_factory):
                world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
                lab = mailvet_lab_factory(world, latency=0.01)
                assert lab.latency == 0.01
                assert labs() == 1

            def test_it_has_stopped(mailvet_lab):
                assert labs() == 1
                assert mailvet_lab.truth("x@gmail.com").kind == "unknown_mailbox"
            """
        )
    )
    # Named by hand only where mailvet is not installed with its entry point.
    from importlib.metadata import entry_points

    named = (
        []
        if any(entry.name == "mailvet" for entry in entry_points(group="pytest11"))
        else [
            "-p",
            "mailvet.lab.pytest_plugin",
        ]
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *named,
        "--rootdir",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


# ------------------------------------------------------------------------------------------------ the world
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: World().host("a.test", "no-such-profile"), "no server profile"),
        (lambda: World().host("a.test", "postfix", max_conections=2), "no option max_conections"),
        (lambda: World().host("a.test", replies={"unknown": "no code"}), "not an SMTP reply"),
        (lambda: World().host("a.test", banner="220 {queue}"), "placeholder"),
        (lambda: World().host("a.test", address="10.0.0.1"), "no loopback address"),
        (lambda: World().host("a.test", address="nonsense"), "no loopback address"),
        (lambda: World().host("a.test", address="127.5.5.5").host("b.test", address="127.5.5.5"), "is taken"),
        (lambda: World().domain("a.test", dns=cast(Any, "asleep")), "no DNS behaviour"),
        (lambda: World().mailbox("ann@a.test", cast(Any, "asleep")), "no mailbox state"),
        (lambda: World().mailbox("ann"), "needs an address"),
    ],
)
def test_a_mistake_in_a_world_is_told_at_once(build: Callable[[], World], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build()


TRUTHS = [
    ("postfix", ANN, "live", True, True, False),
    ("postfix", f" {ANN.upper()}\n", "live", True, True, False),
    ("postfix", "ann+tag@acme.test", "live", True, True, False),
    ("postfix", NOBODY, "unknown_mailbox", False, False, True),
    ("postfix", "disabled@acme.test", "disabled", False, False, True),
    ("postfix", "moved@acme.test", "moved", False, False, True),
    ("postfix", "full@acme.test", "full", True, False, False),
    ("postfix", "restricted@acme.test", "restricted", True, False, False),
    ("postfix", "throttled@acme.test", "throttled", True, True, False),
    ("catch_all", NOBODY, "accept_all", None, False, False),
    ("catch_all", ANN, "accept_all", True, True, False),
    ("yahoo", NOBODY, "unverifiable", False, False, False),
    ("barracuda", ANN, "gateway", True, True, False),
    ("blocks_at_rcpt", ANN, "blocked", True, True, False),
    ("blocks_at_connect", NOBODY, "blocked", False, False, False),
    ("temporary", ANN, "temporary", True, True, False),
    ("relay_denied", ANN, "relay_denied", True, True, False),
    ("greylisting", ANN, "greylisted_live", True, True, False),
    ("greylisting", NOBODY, "greylisted_dead", False, False, True),
    ("greylisting_known", NOBODY, "unknown_mailbox", False, False, True),
    ("harvest_guard", NOBODY, "harvest_guard", False, False, False),
    ("tarpit", ANN, "tarpit", True, True, False),
    ("port_closed", ANN, "unreachable", True, True, False),
    ("silent", ANN, "unreachable", True, True, False),
    ("postfix", "ann@nowhere.test", "dead_domain", False, False, False),
    ("postfix", "ann at acme.test", "syntax", False, False, False),
    ("postfix", "ann@acme", "syntax", False, False, False),
    ("postfix", "", "syntax", False, False, False),
    ("postfix", None, "syntax", False, False, False),
]


@pytest.mark.parametrize(("profile", "cell", "kind", "exists", "live", "dead"), TRUTHS)
def test_the_world_knows_what_is_so(
    profile: str, cell: str | None, kind: str, exists: bool | None, live: bool, dead: bool
) -> None:
    truth = one_server(profile).truth(cell)
    assert (truth.kind, truth.exists, truth.live, truth.dead_and_server_answers) == (kind, exists, live, dead)


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("acme.test", "unknown_mailbox"),
        ("alias.test", "unknown_mailbox"),
        ("via.test", "unknown_mailbox"),
        ("solo.test", "unknown_mailbox"),
        ("cut.test", "unknown_mailbox"),
        ("BÜCHER.test", "unknown_mailbox"),
        ("null.test", "null_mx"),
        ("empty.test", "no_mail"),
        ("lost.test", "no_mail"),
        ("literal.test", "no_mail"),
        ("private.test", "unroutable"),
        ("gone.test", "dead_domain"),
        ("servfail.test", "dns_failing"),
        ("refused.test", "dns_failing"),
        ("dropped.test", "dns_failing"),
        ("lame.test", "dns_failing"),
    ],
)
def test_the_truth_about_a_domain_follows_its_dns(names: Lab, domain: str, kind: str) -> None:
    assert names.truth(f"who@{domain}").kind == kind


def test_a_second_server_counts_when_the_first_cannot_be_reached() -> None:
    world = World().host("mx1.acme.test", "port_closed").host("mx2.acme.test")
    world.domain("acme.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")]).mailbox(ANN)
    assert world.truth(ANN).kind == "live"


def test_a_role_may_be_called_risky() -> None:
    world = one_server().mailbox("info@acme.test")
    assert set(world.truth("info@acme.test").expected) == {"deliverable", "risky"}
    assert set(world.truth(ANN).expected) == {"deliverable"}


def test_the_servers_of_the_default_world_say_what_its_truth_says(world: World) -> None:
    """One mailbox and one stranger per domain, against the first server that can be reached."""
    says = {
        "live": "2",
        "forwarded": "2",
        "unknown_mailbox": "5",
        "disabled": "5",
        "moved": "5",
        "restricted": "5",
        "accept_all": "2",
        "gateway": "2",
        "unverifiable": "2",
        "disposable": "2",
        "temporary": "4",
        "greylisted_live": "4",
        "throttled": "45",
        "full": "45",
    }
    per_domain: dict[str, str] = {}
    for address in world.mailboxes:
        per_domain.setdefault(address.rpartition("@")[2], address)
    checked = 0
    with Lab(world) as lab:
        for domain, member in per_domain.items():
            hosts = [to for to in world.routes(domain) if not isinstance(to, str) and to.profile.reachable]
            if not hosts or not hosts[0].ipv4 or hosts[0].profile.helo_only or hosts[0].profile.tls_required:
                continue
            for address in (member, f"nobody.by.that.name@{domain}"):
                kind = world.truth(address).kind
                if kind not in says or not address.isascii():
                    continue
                assert asked(lab, address, host=hosts[0].name)[0][0] in says[kind], (kind, hosts[0].name)
                checked += 1
        assert sum(counters.data for counters in lab.counters().values()) == 0
    assert checked > 500


def test_the_default_world_is_large_mixed_and_the_same_every_time(world: World) -> None:
    assert 250 <= len(world.domains) <= 450
    assert len(world.mailboxes) >= 12_000
    assert default_world().mailboxes == world.mailboxes
    assert default_world().hosts == world.hosts
    assert default_world(8).mailboxes != world.mailboxes
    used = {host.profile.name for host in world.hosts.values()}
    assert used >= set(ORDINARY_PROFILES) - {"spanish", "chinese", "turkish"}
    assert {domain.dns for domain in world.domains.values()} >= {
        "servfail",
        "refused",
        "dropped",
        "lame",
        "truncated",
    }


def test_invented_domains_lie_below_reserved_names(world: World) -> None:
    operators = {name for name in world.domains if not name.endswith((".example", ".test"))}
    assert {
        "gmail.com",
        "outlook.com",
        "yahoo.com",
        "icloud.com",
        "qq.com",
        "163.com",
        "mail.ru",
    } <= operators
    disposable = {name for name, domain in world.domains.items() if domain.disposable}
    assert disposable <= operators
    assert disposable <= set(blocklist)
    assert len(operators) < 80


def test_every_host_has_a_loopback_address_of_its_own(world: World) -> None:
    addresses = [host.address for host in world.hosts.values()]
    assert len(set(addresses)) == len(addresses)
    assert all(address.startswith("127.") for address in addresses)


# ------------------------------------------------------------------------------------------------ contacts
def test_contacts_are_the_same_every_time(world: World) -> None:
    first, again = contact_table(world, 2_000), contact_table(default_world(), 2_000)
    assert first.equals(again)
    assert not first.equals(contact_table(world, 2_000, seed=8))
    assert first.num_rows == 2_000
    assert first["id"].to_pylist() == list(range(1, 2_001))


def test_contacts_are_as_messy_as_promised(world: World) -> None:
    contacts = contact_table(world)
    truth = truth_table(world, contacts)
    rows = contacts.num_rows
    cells = contacts["email"].to_pylist()
    live = sum(truth["live"].to_pylist()) / rows
    assert 0.60 <= live <= 0.65
    assert 0.12 <= 1 - len({(cell or "").strip().lower() for cell in cells}) / rows <= 0.22
    assert None in cells
    assert "" in cells
    text = "\n".join(cell for cell in cells if cell)
    for mess in (
        "mailto:",
        " <",
        "\uff20",
        "@@",
        "; ",
        "\x07",
        "+news@",
        "@gmail.con",
        "@gmailcom",
        "@bücher",
        "@xn--",
    ):
        assert mess in text, mess
    assert any(cell and cell != cell.strip() and "@" in cell for cell in cells)
    kinds = set(truth["kind"].to_pylist())
    expected = (
        "live unknown_mailbox disabled moved restricted full throttled dead_domain no_mail null_mx "
        "unroutable disposable accept_all unverifiable gateway blocked temporary greylisted_live "
        "greylisted_dead unreachable syntax typo dns_failing no_smtputf8"
    )
    assert kinds >= set(expected.split())
    languages = {language for language in contacts["language"].to_pylist() if language}
    assert len(languages) >= 12


def test_sources_differ_in_quality(world: World) -> None:
    contacts = contact_table(world)
    live = truth_table(world, contacts)["live"].to_pylist()
    good: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for source, alive in zip(contacts["source"].to_pylist(), live, strict=True):
        good[source] += alive
        total[source] += 1
    share = {source: good[source] / total[source] for source in total}
    assert share["webshop"] > share["newsletter"] > share["fair"] > share["import-2019"]
    assert share["webshop"] - share["import-2019"] > 0.3


def test_the_truth_about_syntax_agrees_with_an_independent_judge(world: World) -> None:
    truth = truth_table(world, contact_table(world))
    disagreed = []
    for cell, kind in {(row["email"], row["kind"]) for row in truth.to_pylist()}:
        try:
            email_validator.validate_email(
                (cell or "").strip(), check_deliverability=False, strict=True, test_environment=True
            )
            valid = True
        except email_validator.EmailNotValidError:
            valid = False
        if valid == (kind == "syntax"):
            disagreed.append((cell, kind))
    assert disagreed == []


def test_the_truth_table_follows_the_contacts_row_by_row(world: World) -> None:
    contacts = contact_table(world, 500)
    truth = truth_table(world, contacts)
    assert truth["id"].to_pylist() == contacts["id"].to_pylist()
    assert truth["email"].to_pylist() == contacts["email"].to_pylist()
    statuses = {status.value for status in Status}
    assert all(set(row) <= statuses and row for row in truth["expected_status"].to_pylist())
    assert truth.schema.field("exists").nullable


def test_contacts_come_from_any_world_with_somebody_in_it() -> None:
    table = contact_table(one_server(), 300)
    kinds = set(truth_table(one_server(), table)["kind"].to_pylist())
    assert {"live", "unknown_mailbox", "syntax"} <= kinds
    with pytest.raises(ValueError, match="at least one mailbox"):
        contact_table(World(), 10)

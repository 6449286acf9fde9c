"""The lab's mail servers: each profile replies in its own words, and counts what clients do."""

# ruff: noqa: RUF001  (letters of other scripts are meant)

from __future__ import annotations

import contextlib
import json
import smtplib
import socket
import ssl
import time
from collections import Counter

import pytest

from mailvet.lab import ORDINARY_PROFILES, Lab, World
from mailvet.lab.server_profiles import wire
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from tests.lab.lab_client import Client, query
from tests.lab.worlds import ANN, BOB, UNKNOWN, asked, one_server, settled


@pytest.mark.parametrize(
    ("profile", "address", "expected"),
    [
        ("postfix", UNKNOWN, "550 5.1.1 "),
        ("postfix", "full@acme.test", "452 4.2.2 "),
        ("postfix", "disabled@acme.test", "550 5.2.1 "),
        ("postfix", "moved@acme.test", "551 5.1.6 "),
        ("postfix", "restricted@acme.test", "550 5.7.1 "),
        ("postfix", "throttled@acme.test", "450 4.2.1 "),
        ("postfix", "temporary@acme.test", "451 4.3.0 "),
        ("postfix", "forwarded@acme.test", "251 2.1.5 "),
        ("postfix", "ann@elsewhere.test", "554 5.7.1 <ann@elsewhere.test>: Relay access denied"),
        ("gmail", UNKNOWN, "550-5.1.1 The email account that you tried to reach does not exist."),
        ("gmail", "throttled@acme.test", "450-4.2.1 "),
        ("gmail", "disabled@acme.test", "550-5.2.1 "),
        ("microsoft365", UNKNOWN, "550 5.4.1 Recipient address rejected: Access denied."),
        ("microsoft365", "restricted@acme.test", "550 5.7.133 "),
        ("outlook_com", UNKNOWN, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"),
        ("icloud", "full@acme.test", "552 5.2.2 "),
        ("yahoo", UNKNOWN, "250 recipient <"),
        ("mail_ru", UNKNOWN, "250 Accepted"),
        ("yandex", UNKNOWN, "550 5.7.1 No such user!"),
        ("qq", UNKNOWN, "550 Mailbox not found."),
        ("qq", "throttled@acme.test", "550 Mailbox unavailable or access denied."),
        ("netease", UNKNOWN, "550 User not found: "),
        ("gmx", UNKNOWN, "550-Requested action not taken: mailbox unavailable"),
        ("mimecast", UNKNOWN, "550 Invalid Recipient"),
        ("mimecast", ANN, "451 Internal resources are temporarily unavailable"),
        ("barracuda", UNKNOWN, "250 2.1.5 Ok"),
        ("exim", UNKNOWN, "550 No Such User Here"),
        ("exchange", UNKNOWN, "550 5.1.1 RESOLVER.ADR.RecipNotFound"),
        ("qmail", UNKNOWN, "550 sorry, no mailbox here by that name (#5.1.1)"),
        ("sendmail", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>... User unknown"),
        ("catch_all", UNKNOWN, "250 2.1.5 Ok"),
        ("temporary", ANN, "451 4.3.0 "),
        ("relay_denied", ANN, "554 5.7.1 <ann@acme.test>: Relay access denied"),
        ("blocks_at_rcpt", ANN, "550-5.7.1 Recipient mail rejected: unknown user agent"),
        ("sender_callout", ANN, f"550-Verification failed for <{MAIL_FROM}>"),
        ("german", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: Benutzer unbekannt"),
        ("french", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: Adresse d au moins un destinataire invalide."),
        ("spanish", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: usuario desconocido"),
        ("polish", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: nie ma takiego"),
        ("russian", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: Пользователь не найден"),
        ("turkish", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: kullanıcı bulunamadı"),
        ("chinese", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: 用户不存在"),
        ("japanese", UNKNOWN, f"550 5.1.1 <{UNKNOWN}>: 宛先"),
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
        first, second, third = asked(lab, ANN, BOB, UNKNOWN)
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
        first, unknown = asked(lab, ANN, UNKNOWN)
        assert first[:3] in ("450", "451")
        assert (unknown[:3] == "550") is unknown_at_once
        assert asked(lab, ANN)[0][:3] in ("450", "451")
        time.sleep(0.35)
        assert [reply[:3] for reply in asked(lab, ANN, UNKNOWN)] == ["250", "550"]
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
        lines = [f"MAIL FROM:<{MAIL_FROM}>", f"RCPT TO:<{ANN}>", f"RCPT TO:<{UNKNOWN}>", "RSET", "QUIT"]
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
            assert client.rcpt(UNKNOWN)[0] == 550
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

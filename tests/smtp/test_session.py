"""One conversation with one mail server: what is said, what is never said, and how every way of breaking off ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mailvet.errors import SettingsError
from mailvet.lab import Lab
from mailvet.settings import Smtp
from mailvet.smtp import session as module
from mailvet.smtp.outcomes import Broken, Refused
from mailvet.smtp.reply_reading import Stage
from mailvet.smtp.session import Session
from tests.probing import acme, lab_settings, probe
from tests.smtp.scripted_server import Script, scripted, socks5

LabFactory = Callable[..., Lab]
HELLO = "probe.example.com"


def smtp(port: int, **options: Any) -> Smtp:
    quick: dict[str, Any] = {"connect_timeout": 0.5, "command_timeout": 0.3, "mail_from": "verify@example.com"}
    return Smtp(port=port, allow_private_networks=True, **{**quick, **options})


def server(*offers: bytes, **replies: bytes | None) -> Script:
    """Replies by verb; EHLO offers the extensions given."""
    lines = [b"mx.test", *offers]
    ehlo = b"".join(b"250" + (b" " if n == len(lines) - 1 else b"-") + o + b"\r\n" for n, o in enumerate(lines))
    known: dict[str, bytes | None] = {
        "": b"220 mx.test\r\n",
        "EHLO": ehlo,
        "QUIT": b"221 bye\r\n",
        "MAIL": b"250 ok\r\n",
        "RCPT": b"250 ok\r\n",
        "RSET": b"250 ok\r\n",
        "HELO": b"250 mx.test\r\n",
        **replies,
    }
    return lambda line: known.get(line[:4].decode("latin-1").rstrip().upper(), b"500 what?\r\n")


async def open_at(port: int, **options: Any) -> Session:
    return await Session.open("mx.test", "127.0.0.1", smtp(port, **options), HELLO)


def verbs(heard: Iterable[bytes]) -> list[str]:
    return [line.split(b" ")[0].decode("latin-1") for line in heard]


async def test_a_conversation_names_the_sender_once_asks_and_says_goodbye() -> None:
    async with scripted(server()) as (port, heard):
        session = await open_at(port)
        assert (await session.ask("ann", "acme.test")).code == 250
        assert (await session.ask("bob", "acme.test")).stage is Stage.rcpt
        await session.close()
    assert heard == [
        b"EHLO probe.example.com",
        b"MAIL FROM:<verify@example.com>",
        b"RCPT TO:<ann@acme.test>",
        b"RCPT TO:<bob@acme.test>",
        b"QUIT",
    ]


async def test_a_server_that_does_not_hang_up_after_its_goodbye_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT", 0.05)
    async with scripted(server(), hangs_up=False) as (port, heard):
        session = await open_at(port)
        await asyncio.wait_for(session.close(), 1)
    assert verbs(heard) == ["EHLO", "QUIT"]


async def test_without_a_sender_the_null_sender_is_named() -> None:
    async with scripted(server()) as (port, heard):
        session = await open_at(port, mail_from="")
        await session.ask("ann", "acme.test")
        await session.close()
    assert b"MAIL FROM:<>" in heard


async def test_an_international_recipient_needs_its_own_mail_command() -> None:
    async with scripted(server(b"SMTPUTF8")) as (port, heard):
        session = await open_at(port)
        assert session.smtputf8
        await session.ask("ann", "acme.test")
        await session.ask("jörg", "acme.test")
        await session.ask("bob", "acme.test")
        await session.close()
    assert verbs(heard) == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "RCPT", "QUIT"]
    assert heard[4].endswith(b" SMTPUTF8")
    assert heard[5] == "RCPT TO:<jörg@acme.test>".encode()


async def test_an_address_cannot_smuggle_a_command() -> None:
    async with scripted(server()) as (port, heard):
        session = await open_at(port)
        with pytest.raises(ValueError, match="control character"):
            await session.ask("ann>\r\nDATA\r\n", "acme.test")
        await session.close()
    assert "DATA" not in verbs(heard)


async def test_a_server_without_esmtp_is_greeted_with_helo() -> None:
    async with scripted(server(EHLO=b"502 unknown command\r\n")) as (port, heard):
        session = await open_at(port)
        assert not session.smtputf8
        assert (await session.ask("ann", "acme.test")).code == 250
        await session.close()
    assert verbs(heard)[:2] == ["EHLO", "HELO"]


@pytest.mark.parametrize(
    ("replies", "stage", "code"),
    [
        ({"": b"554 no\r\n"}, Stage.connect, 554),
        ({"": b"421 too many connections\r\n"}, Stage.connect, 421),
        ({"EHLO": b"421 later\r\n"}, Stage.hello, 421),
        ({"EHLO": b"550 who?\r\n", "HELO": b"550 who?\r\n"}, Stage.hello, 550),
    ],
)
async def test_a_server_that_will_not_go_on_refuses(replies: dict[str, bytes], stage: Stage, code: int) -> None:
    async with scripted(server(**replies)) as (port, _):
        with pytest.raises(Refused) as caught:
            await open_at(port)
    assert (caught.value.reply.stage, caught.value.reply.code) == (stage, code)


async def test_a_refused_sender_is_the_reply_to_mail() -> None:
    async with scripted(server(MAIL=b"550 5.7.1 not you\r\n")) as (port, heard):
        session = await open_at(port)
        reply = await session.ask("ann", "acme.test")
        await session.close()
    assert (reply.stage, reply.code) == (Stage.mail, 550)
    assert "RCPT" not in verbs(heard)


@pytest.mark.parametrize(
    ("replies", "stage", "kind"),
    [
        ({"": None}, Stage.connect, "closed"),
        ({"": b"SSH-2.0-OpenSSH_9.2\r\n"}, Stage.connect, "garbage"),
        ({"": b""}, Stage.connect, "timeout"),
        ({"EHLO": None}, Stage.hello, "closed"),
        ({"EHLO": b""}, Stage.hello, "timeout"),
        ({"EHLO": b"\x00\xff what\r\n"}, Stage.hello, "garbage"),
    ],
)
async def test_a_conversation_that_never_begins_is_broken(
    replies: dict[str, bytes | None], stage: Stage, kind: str
) -> None:
    async with scripted(server(**replies)) as (port, _):
        with pytest.raises(Broken) as caught:
            await open_at(port)
    assert (caught.value.stage, caught.value.kind) == (stage, kind)


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ({"RCPT": None}, "closed"),
        ({"RCPT": b""}, "timeout"),
        ({"RCPT": b"hello there\r\n"}, "garbage"),
        ({"RCPT": b"250-" + b"x" * 40_000 + b"\r\n"}, "garbage"),
        ({"MAIL": None}, "closed"),
    ],
)
async def test_a_question_without_a_usable_reply_is_broken(replies: dict[str, bytes | None], kind: str) -> None:
    async with scripted(server(**replies)) as (port, _):
        session = await open_at(port)
        with pytest.raises(Broken) as caught:
            await session.ask("ann", "acme.test")
        await session.close()
    assert caught.value.kind == kind


async def test_nobody_listening_is_unreachable() -> None:
    async with scripted(server()) as (port, _):
        pass
    with pytest.raises(Broken) as caught:
        await open_at(port)
    assert caught.value.kind == "unreachable"


async def test_quit_is_sent_even_when_the_server_is_too_slow() -> None:
    async with scripted(server(RCPT=b"")) as (port, heard):
        session = await open_at(port)
        with pytest.raises(Broken, match="timeout"):
            await session.ask("ann", "acme.test")
        await session.close()
        await asyncio.sleep(0.05)
    assert heard[-1] == b"QUIT"


async def test_patience_is_shorter_than_the_time_out_never_longer() -> None:
    async with scripted(server(RCPT=b"")) as (port, _):
        for timeout, most in ((0.05, 0.2), (60.0, 0.6)):
            session = await open_at(port)
            began = asyncio.get_running_loop().time()
            with pytest.raises(Broken, match="timeout"):
                await session.ask("ann", "acme.test", timeout=timeout)
            assert asyncio.get_running_loop().time() - began < most


async def test_closing_never_raises_and_may_be_done_twice() -> None:
    async with scripted(server(QUIT=b"")) as (port, _):
        session = await open_at(port)
        await session.close()
        await session.close()


async def test_a_reply_that_is_no_utf8_is_read_as_latin_1() -> None:
    async with scripted(server(RCPT="550 Empfänger unbekannt\r\n".encode("latin-1"))) as (port, _):
        session = await open_at(port)
        assert (await session.ask("ann", "acme.test")).text == "Empfänger unbekannt"
        await session.close()


# ---------------------------------------------------------------- groups (RFC 2920)


async def test_recipients_named_together_leave_in_one_packet_and_are_answered_in_order() -> None:
    codes = iter([250, 550, 452, 250])

    def script(line: bytes) -> bytes | None:
        return f"{next(codes)} as asked\r\n".encode() if line[:4] == b"RCPT" else server(b"PIPELINING")(line)

    async with scripted(script) as (port, heard):
        session = await open_at(port)
        assert session.pipelining
        for local in "abcd":
            session.send_rcpt(local, "acme.test")
        assert len(heard) == 1, "nothing leaves before a reply is waited for"
        replies = [await session.next_reply() for _ in "abcd"]
        await session.close()
    assert [reply.code for reply in replies] == [250, 550, 452, 250]
    assert verbs(heard) == ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "RCPT", "QUIT"]


async def test_a_refused_sender_ends_the_group() -> None:
    async with scripted(server(b"PIPELINING", MAIL=b"550 5.7.1 not you\r\n", RCPT=b"503 MAIL first\r\n")) as (port, _):
        session = await open_at(port)
        session.send_rcpt("ann", "acme.test")
        session.send_rcpt("bob", "acme.test")
        reply = await session.next_reply()
        assert (reply.stage, reply.code) == (Stage.mail, 550)
        assert not session.mail_from_accepted
        await session.close()


async def test_a_connection_that_ends_in_a_group_gives_the_replies_that_came_and_no_more() -> None:
    answers = iter([b"250 ok\r\n", b"550 no\r\n421 4.7.0 too many errors\r\n", None])

    def script(line: bytes) -> bytes | None:
        return next(answers) if line[:4] == b"RCPT" else server(b"PIPELINING")(line)

    async with scripted(script) as (port, _):
        session = await open_at(port)
        for local in "abcd":
            session.send_rcpt(local, "acme.test")
        assert [(await session.next_reply()).code for _ in range(3)] == [250, 550, 421]
        with pytest.raises(Broken) as caught:
            await session.next_reply()
        await session.close()
    assert caught.value.kind == "closed"


async def test_a_farewell_is_not_taken_for_the_reply_to_a_recipient() -> None:
    async with scripted(server(RCPT=b"550 no\r\n421 4.7.0 too many errors\r\n")) as (port, _):
        session = await open_at(port)
        assert (await session.ask("ann", "acme.test")).code == 550
        await asyncio.sleep(0.02)
        extra = session.unsolicited_reply()
        assert extra is not None
        assert extra.code == 421
        assert session.unsolicited_reply() is None
        await session.close()


async def test_each_reply_of_a_group_is_timed_from_the_one_before() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            if line.startswith(b"RCPT"):
                await asyncio.sleep(0.1)
            writer.write(b"250-mx\r\n250 PIPELINING\r\n" if line.startswith(b"EHLO") else b"221 ok\r\n")
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    session = await open_at(listening.sockets[0].getsockname()[1])
    session._mail_from = "ascii"
    for local in "abc":
        session.send_rcpt(local, "acme.test")
    replies = [await session.next_reply() for _ in "abc"]
    assert all(0.05 < reply.seconds < 0.25 for reply in replies), [reply.seconds for reply in replies]
    await session.close()
    listening.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_server_that_may_ask_for_tls_gets_mail_alone(tls: bool) -> None:
    async with scripted(server(b"PIPELINING", *[b"STARTTLS"] * tls)) as (port, _):
        session = await open_at(port, starttls="when_required")
        assert session.may_send_ahead is not tls
        await session.close()


# ---------------------------------------------------------------- to and fro


def _script_by_local_part(line: bytes) -> bytes | None:
    """Refuses everybody whose name begins with d, is silent about s, hangs up at h."""
    if line[:4] != b"RCPT":
        return server(b"PIPELINING")(line)
    return {b"d": b"550 5.1.1 no\r\n", b"s": b"", b"h": None}.get(line[9:10], b"250 ok\r\n")


async def converse(session: Session, *groups: str) -> list[int]:
    """Name a group of one-letter recipients each time that all of the last were answered; the codes of all replies."""
    left, due = list(groups), 0
    codes: list[int] = []

    def turn() -> float:
        nonlocal due
        replies = session.received()
        codes.extend(reply.code for reply in replies)
        due -= len(replies)
        if not due and left:
            for local in left[0]:
                session.send_rcpt(local, "acme.test")
            due = len(left.pop(0))
        return 0.2 if due else 0.0

    try:
        await session.run(turn, turn())
    except Broken as failure:
        failure.codes = codes  # type: ignore[attr-defined]
        raise
    return codes


async def test_a_conversation_goes_on_by_itself_until_nobody_waits_for_a_reply() -> None:
    async with scripted(_script_by_local_part) as (port, heard):
        session = await open_at(port)
        assert await converse(session, "abd", "d", "cde") == [250, 250, 550, 550, 250, 550, 250]
        assert (await session.ask("x", "acme.test")).code == 250
        await session.close()
    assert verbs(heard) == ["EHLO", "MAIL", *["RCPT"] * 8, "QUIT"]


@pytest.mark.parametrize(("last", "kind"), [("s", "timeout"), ("h", "closed")])
async def test_a_conversation_that_breaks_off_keeps_what_was_heard(last: str, kind: str) -> None:
    async with scripted(_script_by_local_part) as (port, _):
        session = await open_at(port)
        with pytest.raises(Broken) as caught:
            await asyncio.wait_for(converse(session, "ab", f"d{last}a"), 2)
        await session.close()
    assert caught.value.kind == kind
    assert caught.value.codes[:3] == [250, 250, 550]  # type: ignore[attr-defined]


async def test_a_fault_of_whoever_takes_the_turn_ends_the_conversation_and_is_seen() -> None:
    async with scripted(server(b"PIPELINING")) as (port, heard):
        session = await open_at(port)
        session.send_rcpt("a", "acme.test")

        def turn() -> float:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await session.run(turn, 0.2)
        await session.close()
    assert verbs(heard)[-1] == "QUIT"


async def test_nothing_is_said_after_the_goodbye() -> None:
    async with scripted(server(b"PIPELINING")) as (port, heard):
        session = await open_at(port)
        session.send_rcpt("ann", "acme.test")
        session.send_quit()
        assert (await session.next_reply()).code == 250
        with pytest.raises(Broken, match="at its end"):
            session.send_rcpt("bob", "acme.test")
        await session.close()
    assert verbs(heard) == ["EHLO", "MAIL", "RCPT", "QUIT"]


async def test_what_comes_with_the_reply_to_starttls_is_not_taken_for_encrypted() -> None:
    injected = b"220 go on\r\n250-mx.test\r\n250 PIPELINING\r\n"
    async with scripted(server(b"STARTTLS", STAR=injected)) as (port, heard):
        session = await open_at(port)
        assert not session.pipelining
        await session.close()
    assert verbs(heard).count("EHLO") == 2, "asked again, in clear"


# ---------------------------------------------------------------- TLS


@pytest.mark.parametrize("answer", [b"454 TLS not available\r\n", b"220 go on\r\nthis is no handshake\r\n", None])
async def test_a_server_whose_tls_fails_is_asked_in_clear(answer: bytes | None) -> None:
    async with scripted(server(b"STARTTLS", STAR=answer)) as (port, heard):
        session = await open_at(port)
        assert (await session.ask("ann", "acme.test")).code == 250
        await session.close()
    assert verbs(heard).count("STARTTLS") == 1


async def test_a_server_that_insists_on_tls_it_cannot_do_is_broken() -> None:
    script = server(b"STARTTLS", STAR=b"454 TLS not available\r\n", MAIL=b"530 5.7.0 Must issue STARTTLS first\r\n")
    async with scripted(script) as (port, _):
        session = await open_at(port)
        with pytest.raises(Broken, match="TLS"):
            await session.ask("ann", "acme.test")
        await session.close()


@pytest.mark.parametrize(
    ("starttls", "profile", "used"),
    [
        ("when_offered", "postfix", 1),
        ("when_required", "postfix", 0),
        ("never", "postfix", 0),
        ("when_required", "tls_required", 1),
        ("when_offered", "tls_required", 1),
    ],
)
async def test_tls_is_used_as_the_settings_and_the_server_say(
    mailvet_lab_factory: LabFactory, starttls: Any, profile: str, used: int
) -> None:
    lab = mailvet_lab_factory(acme(profile, "ann"))
    settings = lab_settings(lab, smtp={"starttls": starttls})
    session = await Session.open("mx.acme.test", "127.77.0.2", settings.smtp, settings.hello_name)
    assert (await session.ask("ann", "acme.test")).code == 250
    await session.close()
    assert lab.counters()["mx.acme.test"].tls == used


# ---------------------------------------------------------------- proxy and source address


async def test_a_proxy_carries_the_conversation(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", "ann"))
    opened: list[tuple[str, int]] = []
    async with socks5(opened) as port:
        probed = await probe(lab, ["ann@acme.test"], smtp={"proxy": f"socks5://127.0.0.1:{port}"})
    assert probed["ann@acme.test"]["reason"] == "mailbox_accepted"
    assert set(opened) == {("127.77.0.2", lab.smtp_port)}


@pytest.mark.parametrize("running", [True, False])
async def test_a_proxy_that_fails_is_unreachable(running: bool) -> None:
    opened: list[tuple[str, int]] = []
    async with socks5(opened, refuse=True) as port:
        pass
    async with socks5(opened, refuse=True) as other:
        proxy = f"socks5://127.0.0.1:{other if running else port}"
        with pytest.raises(Broken) as caught:
            await open_at(25, proxy=proxy)
    assert caught.value.kind == "unreachable"
    assert bool(opened) is running


async def test_a_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_socks.async_.asyncio", None)
    with pytest.raises(SettingsError, match=r"mailvet\[proxy\]"):
        await open_at(25, proxy="socks5://127.0.0.1:1")


async def test_the_source_address_is_the_one_asked_for(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", replies={"unknown": "550 5.1.1 Nobody here for [{client}]"}))
    settings = lab_settings(lab)
    session = await Session.open("mx.acme.test", "127.77.0.2", settings.smtp, settings.hello_name, source="127.0.0.9")
    assert "127.0.0.9" in (await session.ask("ann", "acme.test")).text
    await session.close()


async def test_a_slow_reply_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TARPIT", 0.0)
    async with scripted(server()) as (port, _):
        session = await open_at(port)
        await session.ask("ann", "acme.test")
        assert session.slow_replies >= 3
        assert session.slowest > 0
        await session.close()


async def test_a_cancelled_opening_leaves_no_connection_behind() -> None:
    async with scripted(server(EHLO=b"")) as (port, heard):
        task = asyncio.ensure_future(open_at(port, command_timeout=5))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
        await asyncio.sleep(0.05)
        assert heard[-1] == b"QUIT"

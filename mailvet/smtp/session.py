"""One conversation with one mail server: connect, EHLO, STARTTLS, MAIL, any number of RCPT, QUIT.

Never DATA.

The session sends commands in the right order and keeps time; what a reply means is for `mailvet.smtp.reply_reading`,
whom to ask and how fast for `mailvet.probing`. aiosmtplib reads the greeting, sends EHLO and starts TLS; from then on
an `SmtpStream` carries the conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Literal, cast

import aiosmtplib
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from mailvet.settings import Smtp
from mailvet.smtp.connection import connect
from mailvet.smtp.masking import LONGEST
from mailvet.smtp.outcomes import Broken, Refused, Reply
from mailvet.smtp.reply_reading import Stage
from mailvet.smtp.stream import RawReply, SmtpStream, StreamFailure

__all__ = ["Session"]

_TARPIT = 10.0  # seconds for one reply, from which on the delay is deliberate (Exim, Exchange and others delay so)
_GRACE = 0.003  # seconds in which a server notices that a connection has ended, the way there not counted
_LINGER = 0.25  # the same where it did not say 221 and may be busy with something else
_QUIT_TIMEOUT = 1.0  # seconds at least for the reply to QUIT
_CLOSE_TIMEOUT = 1.0  # seconds after that reply in which the server closes (RFC 5321 section 4.1.1.10); then we do
_QUIET = 0.05  # seconds beyond one round trip in which a reply too many arrives


def _readable(text: str) -> str:
    # aiosmtplib keeps octets that are no UTF-8 as lone surrogates, which no database takes.
    if text.isascii():
        return text
    octets = text.encode("utf-8", "surrogateescape")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


@cache
def _unverified_tls() -> ssl.SSLContext:
    # Opportunistic encryption as between mail servers (RFC 7435): most MX certificates match no name we could check,
    # and a passive listener is kept out all the same.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


class Session:
    """An open conversation, ready to ask.

    Build it with `Session.open`, end it with `close`.

    `ask` asks one recipient and waits. Where `pipelining` is true, `send_rcpt` may send several before their replies
    come, in order (RFC 2920); `run` goes on by itself, from the replies to the next recipients.

    Attributes:
        host: name of the server.
        address: IP address it is reached at.
        smtputf8: the server takes international addresses (RFC 6531).
        pipelining: the server takes several commands at once (RFC 2920).
        slowest: seconds of the slowest reply so far.
        slow_replies: replies that took so long that it looks deliberate.
    """

    def __init__(self, host: str, address: str, settings: Smtp, hello_name: str) -> None:
        self.host = host
        self.address = address
        self.smtputf8 = False
        self.pipelining = False
        self.slowest = 0.0
        self.slow_replies = 0
        self._settings = settings
        self._hello_name = hello_name
        self._protocol: SMTPProtocol | None = None
        self._extensions: frozenset[str] = frozenset()
        self._tarpit = min(_TARPIT, settings.command_timeout / 2)
        self._distance = 0.0  # seconds it took to connect: one round trip
        self._stream: SmtpStream | None = None
        self._mail_from: Literal[False, "ascii", "utf8"] = False
        self._mail_refused = False
        self._mail_outstanding = False  # the reply to MAIL is still to come, before those to recipients
        self._outstanding = 0  # recipients sent without a reply
        self._sent_at = 0.0  # when the first of them was named, or a command given that was waited for
        self._replied_at = 0.0
        self._quit_sent = False
        self._finished = False
        self._until: float | None = None  # when the opening must be over

    @classmethod
    async def open(
        cls,
        host: str,
        address: str,
        settings: Smtp,
        hello_name: str,
        *,
        source: str | None = None,
        within: float | None = None,
    ) -> Session:
        """Connect, read the greeting, say hello, and encrypt where the settings and the server want it.

        Args:
            host: name of the server.
            address: its IP address.
            settings: time-outs, port, TLS, proxy.
            hello_name: what EHLO says.
            source: our own IP address to connect from; None: the system's choice.
            within: seconds for all of that; None: only each step has its time-out.

        Raises:
            Refused: a greeting or hello that is not positive.
            Broken: no connection, no or no SMTP reply, or it was cut.
        """
        until = None if within is None else time.monotonic() + within
        encrypt = settings.starttls == "when_offered"
        try:
            return await cls._open(host, address, settings, hello_name, source, until, encrypt)
        except _TlsFailed as failure:
            if failure.required:
                raise Broken(Stage.hello, "closed", "TLS handshake failed") from None
            # A server that offers TLS and cannot do it still takes mail in clear from others.
            return await cls._open(host, address, settings, hello_name, source, until, encrypt=False)

    @classmethod
    async def _open(
        cls,
        host: str,
        address: str,
        settings: Smtp,
        hello_name: str,
        source: str | None,
        until: float | None,
        encrypt: bool,
    ) -> Session:
        began = time.monotonic()
        session = cls(host, address, settings, hello_name)
        session._until = until
        sock = await connect(address, settings, source, session._limit(settings.connect_timeout))
        session._distance = time.monotonic() - began
        try:
            await session._greet(sock)
            await session._hello()
            if encrypt and "starttls" in session._extensions:
                await session._encrypt(required=False)
        except (Broken, Refused, _TlsFailed):
            await session.close()
            raise
        except BaseException:  # cancelled: QUIT goes out, and no reply is waited for
            session.abandon()
            if session._transport is None:
                sock.close()
            raise
        session._until = None
        return session

    def _limit(self, timeout: float) -> float:
        """Seconds for the next step: its own time-out, or what is left for the opening."""
        if self._until is None:
            return timeout
        return max(min(timeout, self._until - time.monotonic()), 0.001)

    # ---------------------------------------------------------------- before the first recipient

    async def _greet(self, sock: socket.socket) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        # Not the library's client around it, which hangs up without QUIT where the greeting is a refusal.
        self._protocol = protocol = SMTPProtocol(loop=loop)
        await loop.create_connection(lambda: protocol, sock=sock)
        try:
            greeting = await protocol.read_response(timeout=self._limit(self._settings.command_timeout))
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(Stage.connect, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
            self._abandon()
            raise Broken(Stage.connect, "timeout", "no greeting") from None
        except (aiosmtplib.SMTPException, OSError):
            raise Broken(Stage.connect, "closed", "closed before the greeting") from None
        if greeting.code != 220:
            text = _readable(greeting.message)
            raise Refused(Reply(Stage.connect, greeting.code, text, time.monotonic() - began))
        self._took(time.monotonic() - began)

    async def _hello(self) -> None:
        began = time.monotonic()
        assert self._protocol is not None
        try:
            hello = await self._protocol.execute_command(
                b"EHLO", self._hello_name.encode("ascii"), timeout=self._limit(self._settings.command_timeout)
            )
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(Stage.hello, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
            self._abandon()
            raise Broken(Stage.hello, "timeout", "no reply to EHLO") from None
        except (aiosmtplib.SMTPException, OSError):
            raise Broken(Stage.hello, "closed", "closed at EHLO") from None
        self._extensions = _extensions(hello.message) if hello.code == 250 else frozenset()
        if hello.code // 100 == 5:
            await self._old_hello()
        elif hello.code != 250:
            raise Refused(Reply(Stage.hello, hello.code, _readable(hello.message), time.monotonic() - began))
        self._took(time.monotonic() - began)
        self.smtputf8 = "smtputf8" in self._extensions
        self.pipelining = "pipelining" in self._extensions
        self._take_over()

    async def _old_hello(self) -> None:
        """RFC 5321 4.1.1.1: a server without ESMTP refuses EHLO and takes HELO."""
        reply = await self._command(Stage.hello, f"HELO {self._hello_name}".encode("ascii"))
        if reply.code != 250:
            raise Refused(reply)

    async def _encrypt(self, *, required: bool) -> None:
        protocol = self._hand_back()
        try:
            await protocol.start_tls(_unverified_tls(), timeout=self._limit(self._settings.command_timeout))
        except (aiosmtplib.SMTPException, OSError):
            raise _TlsFailed(required) from None
        # RFC 3207 section 4.2: what was said before counts no more, on either side.
        await self._hello()

    def _take_over(self) -> SmtpStream | None:
        """The stream of this conversation; None when the connection is gone."""
        if self._stream is None:
            transport = self._transport
            if transport is None or transport.is_closing():
                return None
            # What came behind the last reply that the library took belongs to no command of ours.
            early = b""
            if self._protocol is not None:
                early = bytes(self._protocol._buffer)
                self._protocol._buffer.clear()
            self._stream = SmtpStream(transport, early)
        return self._stream

    @property
    def _transport(self) -> asyncio.Transport | None:
        return None if self._protocol is None else cast("asyncio.Transport | None", self._protocol.transport)

    def _hand_back(self) -> SMTPProtocol:
        """The protocol that can start TLS, in charge of the connection again."""
        assert self._protocol is not None
        if self._stream is not None and self._transport is not None:
            self._transport.set_protocol(self._protocol)
            self._stream = None
        return self._protocol

    # ---------------------------------------------------------------- asking

    @property
    def mail_from_accepted(self) -> bool:
        """Whether MAIL has been said, so that recipients may be named."""
        return self._mail_from is not False

    @property
    def may_send_ahead(self) -> bool:
        """Whether MAIL and the first recipients may go together: the server cannot ask for TLS in between."""
        offered = self._settings.starttls != "never" and "starttls" in self._extensions
        return self.pipelining and not offered

    async def ask(self, local: str, domain: str, *, timeout: float | None = None) -> Reply:
        """Would the server take a message for this recipient?

        The reply to RCPT, or to MAIL if that is refused.

        Args:
            local: local part; with characters outside ASCII only where `smtputf8` is true.
            domain: ASCII domain.
            timeout: seconds, at most the command time-out.

        Raises:
            Broken: no or no usable reply; the session is then at an end.
        """
        eai = not local.isascii()
        if not self.mail_from_accepted or (eai and self._mail_from != "utf8"):
            refusal = await self.send_mail_from(eai=eai, timeout=timeout)
            if refusal is not None:
                return refusal
        self.send_rcpt(local, domain)
        return await self.next_reply(timeout=timeout)

    async def send_mail_from(self, *, eai: bool = False, timeout: float | None = None) -> Reply | None:
        """Say MAIL and wait; gives the reply if it is a refusal."""
        if self.mail_from_accepted:
            await self._command(Stage.mail, b"RSET", timeout=timeout)
            self._mail_from = False
        reply = await self._command(Stage.mail, self._mail(eai), timeout=timeout)
        if reply.code == 530 and self._settings.starttls != "never" and "starttls" in self._extensions:
            try:
                await self._encrypt(required=True)
            except _TlsFailed:
                raise Broken(Stage.hello, "closed", "TLS handshake failed") from None
            reply = await self._command(Stage.mail, self._mail(eai), timeout=timeout)
        if reply.code // 100 != 2:
            return reply
        self._mail_from = "utf8" if eai else "ascii"
        return None

    def _mail(self, eai: bool) -> bytes:
        command = b"MAIL FROM:<" + self._settings.mail_from.encode("ascii") + b">"
        return command + b" SMTPUTF8" if eai else command

    def send_rcpt(self, local: str, domain: str, *, eai: bool = False) -> None:
        """Name a recipient without waiting; `next_reply` or `run` brings the reply.

        Before the first one the sender is named as well, for international addresses too where `eai` is true.

        Raises:
            Broken: the connection is gone.
            ValueError: the address holds a control character.
        """
        stream = self._stream or self._take_over()
        if stream is None or self._quit_sent:
            raise Broken(Stage.rcpt, "closed", "the conversation is at its end")
        if not self._mail_from:
            stream.send(self._mail(eai))
            self._mail_from = "utf8" if eai else "ascii"
            self._mail_outstanding = True
        stream.send(f"RCPT TO:<{local}@{domain}>".encode())
        if not self._outstanding:
            self._sent_at = time.monotonic()
        self._outstanding += 1

    async def run(self, step: Callable[[], float], timeout: float) -> None:
        """Let `step` take the replies (`received`) as they come and send the next recipients, without waiting.

        Args:
            step: gives the seconds within which the next reply is to come; 0 where none is waited for.
            timeout: seconds within which the first is to come.

        Raises:
            Broken: no or no usable reply; the session is then at an end. Or what `step` raises.
        """
        assert self._stream is not None
        try:
            await self._stream.run(step, timeout)
        except StreamFailure as failure:
            raise self._broken(Stage.mail if self._mail_outstanding else Stage.rcpt, failure) from None

    def received(self) -> list[Reply]:
        """The replies that have come already, for the recipients named, in their order.

        A refusal of the sender stands in the place of the first of them; then no other reply is worth anything.
        """
        replies: list[Reply] = []
        if self._stream is None or not self._outstanding:
            return replies
        for raw in self._stream.received(self._outstanding + self._mail_outstanding):
            if self._mail_outstanding:
                refusal = self._mail_reply(raw)
                if refusal is not None:
                    return [refusal]
            else:
                replies.append(self._reply(Stage.rcpt, raw))
        self._outstanding -= len(replies)
        return replies

    async def next_reply(self, *, timeout: float | None = None) -> Reply:
        """The first of the replies that `received` gives, waited for.

        Raises:
            Broken: no or no usable reply; the session is then at an end.
        """
        if self._mail_outstanding:
            refusal = self._mail_reply(await self._next(Stage.mail, timeout))
            if refusal is not None:
                return refusal
        reply = self._reply(Stage.rcpt, await self._next(Stage.rcpt, timeout))
        self._outstanding -= 1
        return reply

    def _mail_reply(self, raw: RawReply) -> Reply | None:
        """Take in the reply to MAIL that was said together with recipients; gives it if it is a refusal."""
        self._mail_outstanding = False
        reply = self._reply(Stage.mail, raw)
        if reply.code // 100 == 2:
            return None
        self._mail_from, self._mail_refused, self._outstanding = False, True, 0
        return reply

    async def _command(self, stage: Stage, command: bytes, *, timeout: float | None = None) -> Reply:
        stream = self._take_over()
        if stream is None:
            raise Broken(stage, "closed", "the server hung up")
        stream.send(command)
        self._sent_at = time.monotonic()
        return self._reply(stage, await self._next(stage, timeout))

    async def _next(self, stage: Stage, timeout: float | None) -> RawReply:
        limit = self._limit(self._settings.command_timeout)
        if timeout is not None:
            limit = min(timeout, limit)
        if self._stream is None:
            raise Broken(stage, "closed", "the server hung up")
        try:
            return await self._stream.next_reply(max(limit, 0.001))
        except StreamFailure as failure:
            raise self._broken(stage, failure) from None

    def _broken(self, stage: Stage, failure: StreamFailure) -> Broken:
        if failure.kind == "timeout":
            self._abandon()
            self.slowest = max(self.slowest, time.monotonic() - max(self._sent_at, self._replied_at))
        return Broken(stage, failure.kind, failure.detail)

    def _reply(self, stage: Stage, raw: RawReply) -> Reply:
        # In a group, a server begins with one recipient when it is through with the one before.
        code, text, at = raw
        seconds = at - (self._sent_at if self._sent_at > self._replied_at else self._replied_at)
        self._replied_at = at
        text = text[:LONGEST]  # no more is read, and thousands are kept
        if seconds > self.slowest:
            self._took(seconds)
        elif seconds > self._tarpit:
            self.slow_replies += 1
        return Reply(stage, code, text, seconds)

    def _took(self, seconds: float) -> None:
        if seconds > self.slowest:
            self.slowest = seconds
        if seconds > self._tarpit:
            self.slow_replies += 1

    # ---------------------------------------------------------------- in step and ending

    async def quiet(self) -> bool:
        """Whether nothing arrives during one round trip and 50 ms; asked when all commands have their replies."""
        stream = self._take_over()
        return stream is None or await stream.quiet(self._distance + _QUIET)

    def unsolicited_reply(self) -> Reply | None:
        """A reply for which no command is outstanding, such as `421 too many errors` before the server closes."""
        stream = self._stream
        if stream is None or not stream.pending or self._outstanding or self._mail_refused or self._quit_sent:
            return None
        for raw in stream.received(1):
            return Reply(Stage.rcpt, raw.code, raw.text, 0.0)
        return None

    def flush(self) -> None:
        """Write what was sent, without waiting for a reply."""
        if self._stream is not None:
            self._stream.flush()

    def send_quit(self) -> None:
        """Let QUIT follow the recipients just sent; where pipelining is allowed, that saves a round trip."""
        stream = self._take_over()
        if stream is not None and stream.open and not self._quit_sent:
            stream.send(b"QUIT")
            self._quit_sent = True

    def _abandon(self) -> None:
        """Close without waiting for anything, QUIT sent all the same."""
        self.send_quit()
        if self._stream is not None:
            self._stream.close()

    def abandon(self) -> None:
        """The same, for good: there is nothing more to be learnt."""
        self._finished = True
        self._abandon()

    def leave(self) -> bool:
        """Let the reply that is waited for be late; false when none is."""
        return self._stream is not None and self._stream.interrupt()

    async def finish_with_quit(self) -> str | None:
        """Send QUIT and close.

        Gives what shows that the replies were out of step to the end: None when nothing does. Returns when the server
        does not count the connection any more. Never raises for what a server does.
        """
        if self._finished:
            return None
        self._finished = True
        stream = self._take_over()
        if stream is None:
            if self._protocol is not None:
                await asyncio.sleep(self._distance + _LINGER)
            return None
        fault: str | None = None
        linger = _LINGER
        if stream.open and stream.garbage is None:
            self.send_quit()
            timeout = min(max(_QUIT_TIMEOUT, 2 * self.slowest), self._settings.command_timeout)
            until = time.monotonic() + timeout
            try:
                raw = await stream.next_reply(timeout)
                while self._mail_refused and raw.code != 221:  # recipients sent along with MAIL are refused as well
                    raw = await stream.next_reply(until - time.monotonic())
                if not _ends_conversation(raw):
                    fault = f"{raw.code} to QUIT"
                if raw.code == 221:
                    linger = _GRACE
                # Until the server has closed it counts this connection against its limit.
                expected = raw.code in (221, 421)
                await stream.ended(min(_CLOSE_TIMEOUT, timeout) if expected else self._distance + _QUIET)
            except StreamFailure as failure:
                if failure.kind == "garbage":
                    fault = failure.detail
        if stream.pending and fault is None and not self._mail_refused:
            fault = _left_over(stream)
        closed_by_server = not stream.open
        stream.close()
        # Through TLS we only hear that the server is about to close.
        if stream.encrypted or not closed_by_server or linger > _GRACE:
            await asyncio.sleep(self._distance + linger)
        return fault

    async def close(self) -> None:
        """The same for a conversation whose replies count for nothing."""
        await self.finish_with_quit()
        if self._transport is not None:
            self._transport.close()


def _left_over(stream: SmtpStream) -> str | None:
    for raw in stream.received(1000):
        if raw.code != 421:
            return f"{raw.code} after the last reply"
    return None


def _ends_conversation(raw: RawReply) -> bool:
    """Whether this can be the reply to QUIT, rather than one to a recipient that was left over.

    A server may not know QUIT, or say 250 to everything.
    """
    if raw.code in (221, 421):
        return True
    return raw.code in (250, 500, 502, 503) and not _ABOUT_RECIPIENT.search(raw.text)


_ABOUT_RECIPIENT = re.compile(r"(?<![\d.])[245]\.[12]\.\d{1,3}(?![\d.])|[^\s@]@[^\s@]")
"""An enhanced code about an address or a mailbox (RFC 3463 sections 3.2 and 3.3), or an address."""


def _extensions(hello: str) -> frozenset[str]:
    """The keywords of an EHLO reply, in lower case."""
    return _remembered_extensions(hello) if len(hello) <= LONGEST else _keywords(hello)


def _keywords(hello: str) -> frozenset[str]:
    return frozenset(parse_esmtp_extensions(hello)[0])


_remembered_extensions = lru_cache(maxsize=1024)(_keywords)
"""A server says the same every time; long replies are not kept, so that the memory has a bound in bytes."""


class _TlsFailed(Exception):
    def __init__(self, required: bool) -> None:
        self.required = required

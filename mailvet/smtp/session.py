"""
One conversation with one mail server: connect, EHLO, STARTTLS, MAIL, any number of RCPT, QUIT. Never DATA.

The session says things in the right order and keeps time; what a reply means is for `mailvet.smtp.replies`, whom to ask
and how fast for `mailvet.smtp.pacing` and the mailbox layer. aiosmtplib greets, says hello and starts TLS; from then on
a `Wire` carries the conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast

import aiosmtplib
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from mailvet.errors import SettingsError
from mailvet.settings import Smtp
from mailvet.smtp.replies import Stage
from mailvet.smtp.wire import Raw, Wire, WireFailure

__all__ = ["Broken", "Refused", "Reply", "Session"]

_TARPIT = 10.0  # seconds for one reply, from which on the delay is deliberate (Exim, Exchange and others delay so)
_GRACE = 0.003  # seconds in which a server notices that a connection has ended, the way there not counted
_QUIT_PATIENCE = 5.0  # seconds for the reply to QUIT; the farewell is a courtesy, not a question
_HANG_UP_PATIENCE = 1.0  # seconds after that reply in which a server is to hang up; then we do


class Reply(NamedTuple):
    """One reply of the server."""

    stage: Stage
    code: int
    text: str
    """Everything after the basic code, lines joined by line feeds; what is no UTF-8 is read as Latin-1."""
    seconds: float
    """How long the server took."""


def _readable(text: str) -> str:
    # aiosmtplib keeps octets that are no UTF-8 as lone surrogates, which no database takes.
    if text.isascii():
        return text
    octets = text.encode("utf-8", "surrogateescape")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


class Refused(Exception):
    """The server would not go on, before any recipient was named; `reply` says how it put it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.stage} refused with {reply.code}")
        self.reply = reply


class Broken(Exception):
    """The conversation ended without a usable reply."""

    def __init__(self, stage: Stage, kind: Literal["unreachable", "timeout", "closed", "garbage"], detail: str) -> None:
        super().__init__(f"{kind} at {stage}: {detail}")
        self.stage = stage
        self.kind = kind
        self.detail = detail


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
    """
    An open conversation, ready to ask. Build it with `Session.open`, end it with `close`.

    `ask` asks one recipient and waits. Where `pipelining` is true, `say` may name several before their replies come,
    one by one and in order (RFC 2920); `converse` goes on by itself, from the replies to the next names.

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
        self._wire: Wire | None = None
        self._sender_named: Literal[False, "ascii", "utf8"] = False
        self._sender_refused = False
        self._sender_due = False  # the reply to MAIL is still to come, before those to recipients
        self._due = 0  # recipients named and not answered
        self._said_at = 0.0  # when the first of them was named, or a command given that was waited for
        self._heard_at = 0.0
        self._goodbye_said = False

    @classmethod
    async def open(
        cls, host: str, address: str, settings: Smtp, hello_name: str, *, source: str | None = None
    ) -> Session:
        """
        Connect, read the greeting, say hello, and encrypt where the settings and the server want it.

        Raises:
            Refused: a greeting or hello that is not positive.
            Broken: no connection, no or no SMTP reply, or it was cut.
        """
        try:
            return await cls._open(host, address, settings, hello_name, source, settings.starttls == "when_offered")
        except _TlsFailed as failure:
            if failure.required:
                raise Broken(Stage.hello, "closed", "TLS handshake failed") from None
            # A server that offers TLS and cannot do it still takes mail in clear from others.
            return await cls._open(host, address, settings, hello_name, source, encrypt=False)

    @classmethod
    async def _open(
        cls, host: str, address: str, settings: Smtp, hello_name: str, source: str | None, encrypt: bool
    ) -> Session:
        began = time.monotonic()
        sock = await _connect(address, settings, source)
        session = cls(host, address, settings, hello_name)
        session._distance = time.monotonic() - began
        try:
            await session._greet(sock)
            await session._hello()
            if encrypt and "starttls" in session._extensions:
                await session._encrypt(required=False)
        except (Broken, Refused, _TlsFailed):
            await session.close()
            raise
        except BaseException:  # cancelled: there may be a server to say goodbye to
            await session.close()
            sock.close()
            raise
        return session

    # ---------------------------------------------------------------- before the first recipient

    async def _greet(self, sock: socket.socket) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        # Not the library's client around it, which hangs up without QUIT on whoever greets us with a refusal.
        self._protocol = protocol = SMTPProtocol(loop=loop)
        await loop.create_connection(lambda: protocol, sock=sock)
        try:
            greeting = await protocol.read_response(timeout=self._settings.command_timeout)
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(Stage.connect, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
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
                b"EHLO", self._hello_name.encode("ascii"), timeout=self._settings.command_timeout
            )
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(Stage.hello, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
            self._hang_up()
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

    async def _old_hello(self) -> None:
        """RFC 5321 4.1.1.1: a server without ESMTP refuses EHLO and takes HELO."""
        reply = await self._command(Stage.hello, f"HELO {self._hello_name}".encode("ascii"))
        if reply.code != 250:
            raise Refused(reply)

    async def _encrypt(self, *, required: bool) -> None:
        protocol = self._hand_back()
        try:
            await protocol.start_tls(_unverified_tls(), timeout=self._settings.command_timeout)
        except (aiosmtplib.SMTPException, OSError):
            raise _TlsFailed(required) from None
        # RFC 3207 section 4.2: what was said before counts no more, on either side.
        await self._hello()

    def _take_over(self) -> Wire | None:
        """The wire of this conversation; None when the connection is gone."""
        if self._wire is None:
            transport = self._transport
            if transport is None or transport.is_closing():
                return None
            self._wire = Wire(transport)
        return self._wire

    @property
    def _transport(self) -> asyncio.Transport | None:
        return None if self._protocol is None else cast("asyncio.Transport | None", self._protocol.transport)

    def _hand_back(self) -> SMTPProtocol:
        """The protocol that can start TLS, in charge of the connection again."""
        assert self._protocol is not None
        if self._wire is not None and self._transport is not None:
            self._transport.set_protocol(self._protocol)
            self._wire = None
        return self._protocol

    # ---------------------------------------------------------------- asking

    @property
    def sender_named(self) -> bool:
        """Whether MAIL has been said, so that recipients may be named."""
        return self._sender_named is not False

    @property
    def may_run_ahead(self) -> bool:
        """Whether MAIL and the first recipients may go together: the server cannot ask for TLS in between."""
        offered = self._settings.starttls != "never" and "starttls" in self._extensions
        return self.pipelining and not offered

    async def ask(self, local: str, domain: str, *, patience: float | None = None) -> Reply:
        """
        Would the server take a message for this recipient? The reply to RCPT, or to MAIL if that is refused.

        Args:
            local: local part; with characters outside ASCII only where `smtputf8` is true.
            domain: ASCII domain.
            patience: seconds, at most the command time-out.

        Raises:
            Broken: no or no usable reply; the session is then at an end.
        """
        eai = not local.isascii()
        if not self.sender_named or (eai and self._sender_named != "utf8"):
            refusal = await self.name_sender(eai=eai, patience=patience)
            if refusal is not None:
                return refusal
        self.say(local, domain)
        return await self.hear(patience=patience)

    async def name_sender(self, *, eai: bool = False, patience: float | None = None) -> Reply | None:
        """Say MAIL and wait; gives the reply if it is a refusal."""
        if self.sender_named:
            await self._command(Stage.mail, b"RSET", patience=patience)
            self._sender_named = False
        reply = await self._command(Stage.mail, self._mail(eai), patience=patience)
        if reply.code == 530 and self._settings.starttls != "never" and "starttls" in self._extensions:
            try:
                await self._encrypt(required=True)
            except _TlsFailed:
                raise Broken(Stage.hello, "closed", "TLS handshake failed") from None
            reply = await self._command(Stage.mail, self._mail(eai), patience=patience)
        if reply.code // 100 != 2:
            return reply
        self._sender_named = "utf8" if eai else "ascii"
        return None

    def _mail(self, eai: bool) -> bytes:
        command = b"MAIL FROM:<" + self._settings.mail_from.encode("ascii") + b">"
        return command + b" SMTPUTF8" if eai else command

    def say(self, local: str, domain: str, *, eai: bool = False) -> None:
        """
        Name a recipient without waiting; `hear` or `converse` brings the reply. Before the first one the sender is
        named as well, for international addresses too where `eai` is true.

        Raises:
            Broken: the connection is gone.
            ValueError: the address holds a control character.
        """
        wire = self._wire or self._take_over()
        if wire is None or self._goodbye_said:
            raise Broken(Stage.rcpt, "closed", "the conversation is at its end")
        if not self._sender_named:
            wire.say(self._mail(eai))
            self._sender_named = "utf8" if eai else "ascii"
            self._sender_due = True
        wire.say(f"RCPT TO:<{local}@{domain}>".encode())
        if not self._due:
            self._said_at = time.monotonic()
        self._due += 1

    async def converse(self, turn: Callable[[], float], patience: float) -> None:
        """
        Let `turn` hear the replies (`heard_already`) as they come and name whoever is next, without waiting in between.

        Args:
            turn: gives the seconds within which the next reply is to come; 0 when nobody waits for one.
            patience: seconds within which the first is to come.

        Raises:
            Broken: no or no usable reply; the session is then at an end. Or what `turn` raises.
        """
        assert self._wire is not None
        try:
            await self._wire.converse(turn, patience)
        except WireFailure as failure:
            raise self._broken(Stage.mail if self._sender_due else Stage.rcpt, failure) from None

    def heard_already(self) -> list[Reply]:
        """
        The replies that have come already, for the recipients named, in their order. A refusal of the sender stands
        in the place of the first of them; then no other reply is worth anything.
        """
        replies: list[Reply] = []
        if self._wire is None or not self._due:
            return replies
        for raw in self._wire.come_already(self._due + self._sender_due):
            if self._sender_due:
                refusal = self._taken(raw)
                if refusal is not None:
                    return [refusal]
            else:
                replies.append(self._reply(Stage.rcpt, raw))
        self._due -= len(replies)
        return replies

    async def hear(self, *, patience: float | None = None) -> Reply:
        """
        The first of the replies that `heard_already` gives, waited for.

        Raises:
            Broken: no or no usable reply; the session is then at an end.
        """
        if self._sender_due:
            refusal = self._taken(await self._raw(Stage.mail, patience))
            if refusal is not None:
                return refusal
        reply = self._reply(Stage.rcpt, await self._raw(Stage.rcpt, patience))
        self._due -= 1
        return reply

    def _taken(self, raw: Raw) -> Reply | None:
        """Take in the reply to MAIL that was said together with recipients; gives it if it is a refusal."""
        self._sender_due = False
        reply = self._reply(Stage.mail, raw)
        if reply.code // 100 == 2:
            return None
        self._sender_named, self._sender_refused, self._due = False, True, 0
        return reply

    def farewell(self) -> Reply | None:
        """What the server said without being asked, such as `421 too many errors` before it hangs up."""
        wire = self._wire
        if wire is None or not wire.heard or self._due or self._sender_refused or self._goodbye_said:
            return None
        for raw in wire.come_already(1):
            return Reply(Stage.rcpt, raw.code, raw.text, 0.0)
        return None

    async def _command(self, stage: Stage, command: bytes, *, patience: float | None = None) -> Reply:
        wire = self._take_over()
        if wire is None:
            raise Broken(stage, "closed", "the server hung up")
        wire.say(command)
        self._said_at = time.monotonic()
        return self._reply(stage, await self._raw(stage, patience))

    async def _raw(self, stage: Stage, patience: float | None) -> Raw:
        limit = self._settings.command_timeout if patience is None else min(patience, self._settings.command_timeout)
        if self._wire is None:
            raise Broken(stage, "closed", "the server hung up")
        try:
            return await self._wire.hear(max(limit, 0.001))
        except WireFailure as failure:
            raise self._broken(stage, failure) from None

    def _broken(self, stage: Stage, failure: WireFailure) -> Broken:
        if failure.kind == "timeout":
            self._hang_up()
            self.slowest = max(self.slowest, time.monotonic() - max(self._said_at, self._heard_at))
        return Broken(stage, failure.kind, failure.detail)

    def _reply(self, stage: Stage, raw: Raw) -> Reply:
        # In a group, a server begins with one recipient when it is through with the one before.
        code, text, at = raw
        seconds = at - (self._said_at if self._said_at > self._heard_at else self._heard_at)
        self._heard_at = at
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

    # ---------------------------------------------------------------- ending

    def say_goodbye(self) -> None:
        """Let QUIT follow the recipients just named; where pipelining is allowed, that saves a turn."""
        wire = self._take_over()
        if wire is not None and wire.open and not self._goodbye_said:
            wire.say(b"QUIT")
            self._goodbye_said = True

    def _hang_up(self) -> None:
        """Close without waiting for anything, QUIT sent all the same."""
        self.say_goodbye()
        if self._wire is not None:
            self._wire.close()

    async def close(self) -> None:
        """Say QUIT if anybody is there to hear it, and hang up. Never raises."""
        wire = self._take_over()
        if wire is not None and wire.open:
            self.say_goodbye()
            deadline = time.monotonic() + min(_QUIT_PATIENCE, self._settings.command_timeout)
            try:
                # Replies to recipients that nobody waits for any more may still come before.
                while (await wire.hear(deadline - time.monotonic())).code != 221:
                    pass
                # The server hangs up after its goodbye (RFC 5321 section 4.1.1.10). Until then it counts this
                # connection against its limit, so the place is not given to another conversation before.
                await wire.ended(min(_HANG_UP_PATIENCE, deadline - time.monotonic()))
            except WireFailure:
                pass
            # Through TLS we only hear that it is about to.
            if wire.encrypted or wire.open:
                wire.close()
                await asyncio.sleep(min(self._distance + _GRACE, _QUIT_PATIENCE))
        if self._transport is not None:
            self._transport.close()


@lru_cache(maxsize=1024)
def _extensions(hello: str) -> frozenset[str]:
    """The keywords of an EHLO reply, in lower case; a server says the same every time."""
    return frozenset(parse_esmtp_extensions(hello)[0])


class _TlsFailed(Exception):
    def __init__(self, required: bool) -> None:
        self.required = required


async def _connect(address: str, settings: Smtp, source: str | None) -> socket.socket:
    """A connected socket. The connection has a time-out of its own, shorter than that of the replies."""
    if settings.proxy is not None:
        return await _connect_by_proxy(address, settings.proxy, settings)
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            _bind(sock, source)
        await asyncio.wait_for(loop.sock_connect(sock, (address, settings.port)), settings.connect_timeout)
    except (OSError, asyncio.TimeoutError) as error:
        sock.close()
        timed_out = isinstance(error, (asyncio.TimeoutError, TimeoutError))
        why = "no answer" if timed_out else (getattr(error, "strerror", None) or "refused")
        raise Broken(Stage.connect, "unreachable", why) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, source: str) -> None:
    try:
        sock.bind((source, 0))
    except OSError as error:
        # Not a fault of any server: with it, every one of them would seem to be unreachable.
        raise SettingsError(f"smtp.source_addresses: {source} is no address of this machine ({error}).") from None


async def _connect_by_proxy(address: str, proxy: str, settings: Smtp) -> socket.socket:
    try:
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        raise SettingsError("smtp.proxy needs one more package: pip install 'mailvet[proxy]'.") from None
    try:
        return await Proxy.from_url(proxy).connect(
            dest_host=address, dest_port=settings.port, timeout=settings.connect_timeout
        )
    except Exception as error:  # the library's own errors have no common base
        raise Broken(Stage.connect, "unreachable", f"proxy: {type(error).__name__}") from None

"""
One conversation with one mail server: connect, EHLO, STARTTLS, MAIL, any number of RCPT, QUIT. Never DATA.

The session moves bytes and keeps time; what a reply means is for `mailvet.smtp.replies`, whom to ask and how fast
for `mailvet.smtp.pacing` and the mailbox layer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from mailvet.errors import SettingsError
from mailvet.settings import Smtp
from mailvet.smtp.replies import Stage

__all__ = ["Broken", "Refused", "Reply", "Session"]

_TARPIT = 10.0  # seconds for one reply, from which on the delay is deliberate (Exim, Exchange and others delay so)
_GRACE = 0.003  # seconds in which a server notices that a connection has ended, the way there not counted
_QUIT_PATIENCE = 5.0  # seconds for the reply to QUIT; the farewell is a courtesy, not a question


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the server."""

    stage: Stage
    code: int
    text: str
    """Everything after the basic code, lines joined by line feeds; what is no UTF-8 is read as Latin-1."""
    seconds: float
    """How long the server took."""


def _readable(text: str) -> str:
    # The library keeps octets that are no UTF-8 as lone surrogates, which no database takes.
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

    Attributes:
        host: name of the server.
        address: IP address it is reached at.
        smtputf8: the server takes international addresses (RFC 6531).
        slowest: seconds of the slowest reply so far.
        slow_replies: replies that took so long that it looks deliberate.
    """

    def __init__(self, host: str, address: str, settings: Smtp, client: aiosmtplib.SMTP) -> None:
        self.host = host
        self.address = address
        self.smtputf8 = False
        self.slowest = 0.0
        self.slow_replies = 0
        self._settings = settings
        self._client = client
        self._distance = 0.0  # seconds it took to connect: one round trip
        self._sender_named: Literal[False, "ascii", "utf8"] = False

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
        client = aiosmtplib.SMTP(
            local_hostname=hello_name,
            start_tls=False,
            validate_certs=False,
            tls_context=_unverified_tls(),
            timeout=settings.command_timeout,
        )
        session = cls(host, address, settings, client)
        session._distance = time.monotonic() - began
        try:
            await session._greet(sock, hello_name)
            if encrypt and client.supports_extension("starttls"):
                await session._encrypt(hello_name, required=False)
        except (Broken, Refused, _TlsFailed):
            await session.close()
            raise
        except BaseException:  # cancelled: there may be a server to say goodbye to
            await session.close()
            sock.close()
            raise
        return session

    async def _greet(self, sock: socket.socket, hello_name: str) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        # Not the client's own `connect`, which hangs up without QUIT on whoever greets us with a refusal.
        protocol = SMTPProtocol(loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
        self._client.loop, self._client.transport, self._client.protocol = loop, transport, protocol
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
        await self._hello(hello_name)

    async def _hello(self, hello_name: str) -> None:
        began = time.monotonic()
        try:
            await self._client.ehlo(hostname=hello_name)
        except aiosmtplib.SMTPHeloError as error:
            if error.code // 100 != 5:
                text = _readable(error.message)
                raise Refused(Reply(Stage.hello, error.code, text, time.monotonic() - began)) from None
            await self._old_hello(hello_name)
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(Stage.hello, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
            raise Broken(Stage.hello, "timeout", "no reply to EHLO") from None
        except (aiosmtplib.SMTPException, OSError):
            raise Broken(Stage.hello, "closed", "closed at EHLO") from None
        self._took(time.monotonic() - began)
        self.smtputf8 = self._client.supports_extension("smtputf8")

    async def _old_hello(self, hello_name: str) -> None:
        """RFC 5321 4.1.1.1: a server without ESMTP refuses EHLO and takes HELO."""
        reply = await self._command(Stage.hello, b"HELO", hello_name.encode("ascii"))
        if reply.code != 250:
            raise Refused(reply)

    async def _encrypt(self, hello_name: str, *, required: bool) -> None:
        try:
            await self._client.starttls(validate_certs=False, tls_context=_unverified_tls())
        except (aiosmtplib.SMTPException, OSError):
            raise _TlsFailed(required) from None
        await self._hello(hello_name)

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
        if self._sender_named is False or (eai and self._sender_named != "utf8"):
            if self._sender_named:
                await self._command(Stage.mail, b"RSET", patience=patience)
                self._sender_named = False
            refusal = await self._name_sender(eai, patience)
            if refusal is not None:
                return refusal
        recipient = b"TO:<" + local.encode("utf-8") + b"@" + domain.encode("ascii") + b">"
        return await self._command(Stage.rcpt, b"RCPT", recipient, patience=patience)

    async def _name_sender(self, eai: bool, patience: float | None) -> Reply | None:
        words = [b"MAIL", b"FROM:<" + self._settings.mail_from.encode("ascii") + b">"]
        if eai:
            words.append(b"SMTPUTF8")
        reply = await self._command(Stage.mail, *words, patience=patience)
        if reply.code == 530 and self._settings.starttls != "never" and self._client.supports_extension("starttls"):
            try:
                await self._encrypt(self._client.local_hostname or "", required=True)
            except _TlsFailed:
                raise Broken(Stage.hello, "closed", "TLS handshake failed") from None
            reply = await self._command(Stage.mail, *words, patience=patience)
        if reply.code // 100 != 2:
            return reply
        self._sender_named = "utf8" if eai else "ascii"
        return None

    async def _command(self, stage: Stage, *words: bytes, patience: float | None = None) -> Reply:
        protocol = self._client.protocol
        if protocol is None:
            raise Broken(stage, "closed", "the server hung up")
        limit = self._settings.command_timeout if patience is None else min(patience, self._settings.command_timeout)
        began = time.monotonic()
        try:
            # The protocol's own method, because the client's hangs up without QUIT on 421.
            response = await protocol.execute_command(*words, timeout=max(limit, 0.001))
        except aiosmtplib.SMTPResponseException as error:
            raise Broken(stage, "garbage", _readable(error.message[:80])) from None
        except aiosmtplib.SMTPTimeoutError:
            self._hang_up()
            self.slowest = max(self.slowest, time.monotonic() - began)
            raise Broken(stage, "timeout", f"no reply within {limit:.0f} s") from None
        except (aiosmtplib.SMTPException, OSError):
            raise Broken(stage, "closed", "the server hung up") from None
        seconds = time.monotonic() - began
        self._took(seconds)
        return Reply(stage, response.code, _readable(response.message), seconds)

    def _took(self, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)
        if seconds > min(_TARPIT, self._settings.command_timeout / 2):
            self.slow_replies += 1

    def _hang_up(self) -> None:
        """Close without waiting for anything, QUIT sent all the same."""
        protocol = self._client.protocol
        if protocol is not None and protocol.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                protocol.write(b"QUIT\r\n")
        self._client.close()

    async def close(self) -> None:
        """Say QUIT if anybody is there to hear it, and hang up. Never raises."""
        protocol = self._client.protocol
        if protocol is not None and protocol.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, ValueError):
                await protocol.execute_command(b"QUIT", timeout=min(_QUIT_PATIENCE, self._settings.command_timeout))
                self._client.close()
                # Until it has heard that we are gone, the server counts this connection against its limit, so the
                # place is not given to another conversation before.
                await asyncio.sleep(min(self._distance + _GRACE, _QUIT_PATIENCE))
        self._client.close()


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

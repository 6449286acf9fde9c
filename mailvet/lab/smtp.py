"""One conversation with a mail server of the lab: RFC 5321 as far as the recipient's reply.

No message is ever taken: DATA and BDAT are counted and refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from mailvet.errors import SettingsError
from mailvet.lab.certificate import server_context
from mailvet.lab.holds import Holding
from mailvet.lab.reply_faults import FaultyReplies, Said
from mailvet.lab.server_profiles import wire
from mailvet.lab.world import a_label

if TYPE_CHECKING:
    from mailvet.lab.guards import GuardMemory
    from mailvet.lab.mail_server import MailServer

__all__ = ["Session"]

_PATH = re.compile(rb"(?:MAIL FROM|RCPT TO):\s*<([^>]*)>\s*(.*)", re.IGNORECASE | re.DOTALL)
_MAX_LINE = 8192
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Session(asyncio.BufferedProtocol):
    """One conversation."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.profile = server.profile
        self.counters = server.counters
        self.transport: asyncio.Transport | None = None
        self.client = ""
        self.hello: str | None = None
        self.sender: str | None = None
        self.utf8 = False
        self.secure = False
        self.greeted = False
        self.open = False
        self.over = False
        """Nothing more is read: QUIT was answered, or the server ends the conversation."""
        self.ended_by_server = False
        self.recipients = 0
        self.errors = 0
        self.faulty = FaultyReplies(self.profile.fault) if self.profile.fault is not None else None
        self.said: list[Said] = []
        """Replies of this turn that `faulty` still has to arrange."""
        self.verb = ""
        self.holding = Holding(self.profile.hold, self._write_at_once) if self.profile.hold is not None else None
        self.held_up = False
        """The hold has begun: no command is heard any more."""
        self.idle: asyncio.TimerHandle | None = None
        self.skip = 0
        self.buffer = b""
        self.batch: list[bytes] = []
        self.queue: deque[tuple[float, bytes, bool]] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.resuming: asyncio.TimerHandle | None = None
        """Set while a slow server is still at a command: what came after it waits in `buffer`."""
        self.due = 0.0
        self.upgrade: asyncio.Task[None] | None = None
        self.shaking = False
        self.held = b""

    # ---------------------------------------------------------------- connection
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        server, profile, counters = self.server, self.profile, self.counters
        self.loop = asyncio.get_running_loop()
        self.client = transport.get_extra_info("peername", ("127.0.0.1",))[0]
        self.open = True
        server.sessions.add(self)
        server.active += 1
        counters.connections += 1
        counters.peak_connections = max(counters.peak_connections, server.active)
        if profile.closes_at == "connect":
            self._hang_up()
        elif profile.silent:
            return
        elif profile.garbage is not None:
            self._send(profile.garbage)
        elif profile.max_connections is not None and server.active > profile.max_connections:
            counters.refused += 1
            if profile.connections_reply is not None:
                self._say(profile.connections_reply, close=True)
            else:
                self._hang_up()
        elif profile.busy_every is not None and counters.connections % profile.busy_every == 1 % profile.busy_every:
            counters.refused += 1
            self._say(profile.busy_reply, close=True)
        elif profile.blocks == "connect":
            self._say(profile.block_reply, close=True)
        else:
            self._say(profile.banner, delay=profile.banner_delay)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    def _gone(self) -> None:
        if not self.open:
            return
        self.open = False
        self.server.active -= 1
        self.server.sessions.discard(self)
        if self.server.guard is not None:
            self.server.guard.forget(self)
        for timer in (self.timer, self.resuming, self.idle):
            if timer is not None:
                timer.cancel()
        if self.holding is not None:
            self.holding.stop()
        if not self.over:
            self.counters.aborted += self.greeted and self.profile.garbage is None and not self.held_up
            self.over = True

    def _hang_up(self) -> None:
        self.over = self.ended_by_server = True
        self._close()

    def _close(self) -> None:
        # Not counted any more before the client can see that it is over: it may then come with another connection.
        self._gone()
        if self.transport is not None:
            self.transport.close()

    def eof_received(self) -> bool:
        return False

    # ---------------------------------------------------------------- sending
    def _say(
        self, reply: str, values: Mapping[str, str] = _NOTHING, *, delay: float = 0.0, close: bool = False
    ) -> None:
        if self.held_up or self._holds():
            return
        text = wire(reply)
        if "{" in text:
            known = {
                "host": self.server.host.name,
                "client": self.client,
                "hello": self.hello or "",
                "sender": self.sender or "",
                "recipient": "",
                "local": "",
                "domain": "",
            }
            text = text.format_map({**known, **values})
        payload = text.encode("utf-8", "surrogateescape")
        if self.faulty is None:
            self._send(payload, delay, close)
        else:
            if close:
                self.over = self.ended_by_server = True
            number = self.recipients if self.verb == "RCPT" else 0
            self.said.append(Said(self.verb, payload, delay, close, number))

    def _holds(self) -> bool:
        """Whether the hold begins instead of this reply."""
        hold = self.profile.hold
        if hold is None or not hold.concerns(self.verb):
            return False
        self._hold()
        return True

    def _hold(self) -> None:
        assert self.holding is not None
        self.held_up = True
        self._write_batch()
        self.holding.begin()

    def _write_at_once(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
            self.greeted = True

    def pause_writing(self) -> None:
        if self.holding is not None:
            self.holding.pause()

    def resume_writing(self) -> None:
        if self.holding is not None:
            self.holding.resume()

    def _send(self, payload: bytes, delay: float = 0.0, close: bool = False) -> None:
        """Queue a reply. Replies leave in order; `delay` holds this one and all later ones back."""
        if close:
            self.over = self.ended_by_server = True
        latency = self.server.latency
        if not latency and not delay and not self.queue:
            self.batch.append(payload)
            if close:
                self._write_batch()
                self._close()
            return
        self.due = max(self.due, self.loop.time() + latency) + delay
        self.queue.append((self.due, payload, close))
        if self.timer is None:
            self.timer = self.loop.call_at(self.due, self._release)

    def _flush(self) -> None:
        if self.faulty is not None:
            said, self.said = self.said, []
            for each in self.faulty.arrange(said):
                self._send(each.payload, each.delay, each.close)
        self._write_batch()
        hold = self.profile.hold
        if hold is not None and hold.at == "idle" and self.greeted and not self.held_up:
            if self.idle is not None:
                self.idle.cancel()
            self.idle = self.loop.call_later(hold.idle, self._hold)

    def _write_batch(self) -> None:
        if self.batch and self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self.batch))
            self.greeted = True
        self.batch.clear()

    def _release(self) -> None:
        self.timer = None
        if self.transport is None or self.transport.is_closing():
            return
        # The clock ticks coarser than the commands of one packet come in: what is due within a millisecond
        # goes along.
        now = self.loop.time() + 0.001
        payloads, close = [], False
        while self.queue and self.queue[0][0] <= now and not close:
            _, payload, close = self.queue.popleft()
            payloads.append(payload)
        self.transport.write(b"".join(payloads))
        self.greeted = True
        if close:
            self._close()
        elif self.queue:
            self.timer = self.loop.call_at(self.queue[0][0], self._release)

    # ---------------------------------------------------------------- receiving
    # Buffered: a plain protocol has asyncio allocate 256 KiB for every command of thirty octets.
    def get_buffer(self, sizehint: int) -> memoryview:
        return self.server.incoming

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.server.incoming[:nbytes]))

    def data_received(self, data: bytes) -> None:
        self._read(data)

    def _read(self, data: bytes, *, counts: bool = True) -> None:  # noqa: C901  # the states of a connection in order
        """Handle what came; with `counts` false it came earlier and was counted then."""
        if self._finished() or self.profile.silent or self.profile.garbage is not None:
            return
        if self.upgrade is not None:
            # In plain text it is forgotten (RFC 3207 section 4.2); decrypted it waits for its turn.
            self.held += data if self.shaking else b""
            return
        if self.resuming is not None:
            self.buffer += data
            return
        if self.skip:
            self.skip, data = max(0, self.skip - len(data)), data[self.skip :]
        if self.buffer:
            data = self.buffer + data
        lines = data.split(b"\n")
        self.buffer = lines.pop()
        if len(lines) > 1 and counts:
            self.counters.pipelined += 1
        if counts and (
            (len(lines) > 1 and not (self.profile.pipelining and self.hello)) or (lines and not self.greeted)
        ):
            self.counters.pipelined_unasked += 1
        if len(self.buffer) > _MAX_LINE:
            self.buffer = b""
            self._say("500 5.5.2 Line too long", close=True)
        if self.profile.fault is not None and self.profile.fault.kind == "forgets_ahead":
            del lines[1:]
            self.buffer = b"" if lines else self.buffer
        for number, line in enumerate(lines):
            if self.skip:
                rest = b"\n".join([*lines[number:], self.buffer])
                self.buffer = b""
                if len(rest) > self.skip:
                    rest, self.skip = rest[self.skip :], 0
                    self.data_received(rest)
                else:
                    self.skip -= len(rest)
                break
            self._command(line.rstrip(b"\r"))
            if self._finished() or self.upgrade is not None:
                break
            if self.server.one_by_one and self._waits(lines[number + 1 :]):
                break
        self._flush()

    def _waits(self, rest: list[bytes]) -> bool:
        """Whether the last reply is still held back: the commands in `rest` are looked at when it is out."""
        self._flush()
        if self.due <= self.loop.time() + self.server.latency:
            return False
        self.buffer = b"\n".join([*rest, self.buffer])
        self.resuming = self.loop.call_at(self.due, self._resume)
        return True

    def _resume(self) -> None:
        self.resuming = None
        self._read(b"", counts=False)

    def _finished(self) -> bool:
        return self.over or self.held_up

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        handler = _HANDLERS.get(verb)
        if handler is None:
            self.counters.commands["?"] += 1
            self._refuse("500 5.5.2 Error: command not recognized")
            return
        word = "STARTTLS" if verb == b"STAR" else verb.decode("ascii")
        self.counters.commands[word] += 1
        self.verb = word
        handler(self, line)

    def _reply(self, reply: str, values: Mapping[str, str] = _NOTHING) -> None:
        profile, delay = self.profile, self.profile.reply_delay
        if profile.soft_error_limit is not None and self.errors >= profile.soft_error_limit:
            delay += profile.soft_error_delay  # as Postfix does: each reply from then on, good or bad
        if self.verb == "RCPT" and reply[0] in "45":
            delay += profile.refusal_delay
        self._say(reply, values, delay=delay)

    def _refuse(self, reply: str, values: Mapping[str, str] = _NOTHING) -> None:
        """A reply that counts as an error of the client."""
        profile = self.profile
        self.errors += 1
        self._reply(reply, values)
        if profile.error_limit is not None and self.errors >= profile.error_limit:
            self._say(profile.errors_reply, close=True)

    # ---------------------------------------------------------------- commands
    def _hello(self, line: bytes) -> None:
        profile = self.profile
        extended = line[:4].upper() == b"EHLO"
        name = line[5:].strip().decode("utf-8", "replace")
        if not name:
            return self._refuse("501 5.5.4 Syntax: EHLO hostname")
        self.counters.hello_names.add(name)
        if extended and profile.helo_only:
            return self._refuse("502 5.5.2 Error: command not recognized")
        self.hello, self.sender = name, None
        if profile.blocks == "hello":
            return self._refuse(profile.block_reply)
        lines = [profile.hello]
        if extended:
            lines += ["PIPELINING"] if profile.pipelining else []
            lines += [f"SIZE {profile.size}"] if profile.size else []
            lines += profile.extensions
            lines += ["STARTTLS"] if profile.starttls and not self.secure else []
            lines += ["SMTPUTF8"] if profile.smtputf8 else []
        return self._reply("250 " + "\n".join(lines))

    def _mail(self, line: bytes) -> None:
        profile = self.profile
        match = _PATH.fullmatch(line)
        if match is None:
            return self._refuse("501 5.5.4 Syntax: MAIL FROM:<address>")
        if self.hello is None:
            return self._refuse("503 5.5.1 Error: send HELO/EHLO first")
        if self.sender is not None:
            return self._refuse("503 5.5.1 Error: nested MAIL command")
        sender = match[1].decode("utf-8", "replace")
        self.counters.mail_from.add(sender)
        if profile.closes_at == "mail":
            return self._hang_up()
        if profile.tls_required and not self.secure:
            return self._refuse("530 5.7.0 Must issue a STARTTLS command first")
        parameters = match[2].upper().split()
        if b"SMTPUTF8" in parameters and (profile.helo_only or not profile.smtputf8):
            return self._refuse("555 5.5.4 Unsupported option: SMTPUTF8")
        if profile.blocks == "mail":
            return self._refuse(profile.block_reply, {"sender": sender})
        self.sender, self.utf8 = sender, b"SMTPUTF8" in parameters
        return self._reply(profile.sender_ok)

    def _rcpt(self, line: bytes) -> None:
        server, profile = self.server, self.profile
        match = _PATH.fullmatch(line)
        if match is None:
            return self._refuse("501 5.5.4 Syntax: RCPT TO:<address>")
        raw = match[1]
        recipient = raw.decode("utf-8", "surrogateescape").rpartition(":")[2]
        local, _, domain = recipient.rpartition("@")
        self.counters.recipients[recipient.lower()] += 1
        if server.on_recipient is not None:
            server.on_recipient()
            if self.over:
                return None
        values = {"recipient": recipient, "local": local, "domain": domain}
        if self.sender is None:
            return self._refuse("503 5.5.1 Error: need MAIL command")
        if profile.closes_at == "rcpt":
            return self._hang_up()
        self.recipients += 1
        if profile.recipients_per_session is not None and self.recipients > profile.recipients_per_session:
            return self._reply(profile.recipients_reply, values)
        try:
            name = a_label(domain)
        except SettingsError:
            name = ""
        refusal = self._refusal_of_all(raw, local, name)
        if refusal is not None:
            return self._refuse(refusal, values)
        return self._reply_for_mailbox(local, name, values)

    def _refusal_of_all(self, raw: bytes, local: str, name: str) -> str | None:
        """The reply that does not depend on the mailbox, if there is one."""
        server, profile = self.server, self.profile
        if profile.blocks == "rcpt":
            return profile.block_reply
        if profile.temporary_reply is not None:
            return profile.temporary_reply
        if not raw.isascii() and not self.utf8:
            return profile.utf8_reply
        if not local or not name:
            return "501 5.1.3 Bad recipient address syntax"
        if profile.denies_relay or name not in server.served:
            return profile.relay_reply
        if server.rate is not None and server.rate.exceeded(self.client, self.loop.time()):
            return server.rate.limit.reply
        return server.refused.get(name)

    def _reply_for_mailbox(self, local: str, name: str, values: dict[str, str]) -> None:
        server, profile, guard = self.server, self.profile, self.server.guard
        if guard is not None and guard.holds(self._guard_key(guard), local, self.loop.time()):
            if guard.guard.then == "accepts":
                return self._reply(profile.recipient_ok, values)
            return self._refuse(profile.reply("unknown"), values)
        recipient = values["recipient"]
        if profile.greylisting == "first" and self._is_new(recipient):
            return self._refuse(profile.greylist_reply, values)
        if profile.accepts_all or name in server.accept_all:
            return self._reply(profile.recipient_ok, values)
        box = server.world.find(f"{local}@{name}")
        if box is None or box.state in ("disabled", "moved"):
            if guard is not None:
                guard.count(self._guard_key(guard), self.loop.time())
            return self._refuse(profile.reply("unknown" if box is None else box.state), values)
        if profile.greylisting == "known" and self._is_new(recipient):
            return self._refuse(profile.greylist_reply, values)
        if box.state in ("live", "forwarded"):
            return self._reply(profile.reply(box.state), values)
        return self._refuse(profile.reply(box.state), values)

    def _guard_key(self, guard: GuardMemory) -> Session | str:
        return self.client if guard.guard.scope == "client" else self

    def _is_new(self, recipient: str) -> bool:
        """Whether (client, sender, recipient) was first seen less than the greylisting delay ago."""
        now = self.loop.time()
        first = self.server.greylist.setdefault((self.client, self.sender or "", recipient.lower()), now)
        return now - first < self.server.greylist_delay

    def _rset(self, line: bytes) -> None:
        self.counters.resets += 1
        self.sender = None
        self._reply("250 2.0.0 Ok")

    def _noop(self, line: bytes) -> None:
        self._reply("250 2.0.0 Ok")

    def _quit(self, line: bytes) -> None:
        self.counters.quits += 1
        if self.profile.quit_reply is not None:
            self._say(self.profile.quit_reply, delay=self.profile.reply_delay, close=True)

    def _data(self, line: bytes) -> None:
        self.counters.data += 1
        if line[:4].upper() == b"BDAT":
            octets = line[4:].split()
            self.skip = int(octets[0]) if octets and octets[0].isdigit() else 0
        self._refuse("503 5.5.1 No message is taken here")

    def _vrfy(self, line: bytes) -> None:
        self._reply("252 2.0.0 Cannot VRFY user, but will accept message and attempt delivery")

    def _expn(self, line: bytes) -> None:
        self._refuse("502 5.5.1 EXPN command not supported")

    def _auth(self, line: bytes) -> None:
        self._refuse("503 5.5.1 Error: authentication not enabled")

    def _help(self, line: bytes) -> None:
        self._reply("214 2.0.0 A mail world on loopback. It takes no mail.")

    def _starttls(self, line: bytes) -> None:
        if line.upper() != b"STARTTLS":
            return self._refuse("500 5.5.2 Error: command not recognized")
        if not self.profile.starttls or self.secure or self.hello is None:
            return self._refuse("502 5.5.1 Error: command not implemented")
        self.buffer = b""
        self._flush()
        self.upgrade = self.loop.create_task(self._go_secure())
        return None

    async def _go_secure(self) -> None:
        wait = max(self.due - self.loop.time(), 0.0) if self.queue else 0.0
        await asyncio.sleep(wait + self.server.latency + self.profile.reply_delay)
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(b"220 2.0.0 Ready to start TLS\r\n")
        self.shaking = True
        try:
            secured = await self.loop.start_tls(
                transport, self, server_context(), server_side=True, ssl_handshake_timeout=10
            )
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is an OSError
            transport.abort()
            self._gone()
            return
        finally:
            self.upgrade, self.shaking = None, False
        if secured is None:  # the connection went while hands were shaken
            self._gone()
            return
        self.transport = secured
        self.secure, self.hello, self.sender, self.utf8 = True, None, None, False
        self.counters.tls += 1
        held, self.held = self.held, b""
        if held:
            self.data_received(held)

    def abort(self) -> None:
        """End the conversation at once; it does not count as the client's doing."""
        self.over = self.ended_by_server = True
        if self.upgrade is not None:
            self.upgrade.cancel()
        if self.transport is not None:
            with contextlib.suppress(OSError):
                self.transport.abort()


_HANDLERS = {
    b"EHLO": Session._hello,
    b"HELO": Session._hello,
    b"MAIL": Session._mail,
    b"RCPT": Session._rcpt,
    b"RSET": Session._rset,
    b"NOOP": Session._noop,
    b"QUIT": Session._quit,
    b"DATA": Session._data,
    b"BDAT": Session._data,
    b"VRFY": Session._vrfy,
    b"EXPN": Session._expn,
    b"AUTH": Session._auth,
    b"HELP": Session._help,
    b"STAR": Session._starttls,
}

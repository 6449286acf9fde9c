"""What is fuzzed: everything that reads what strangers wrote.

Each target takes octets, and raises where a rule is broken.

The rules hold for every input: nothing but the declared errors is raised, what is kept is bounded, a refusal for now is
never final, and an address leaves a reply masked.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import cast

from mailvet.dns.responses import TYPES, Outcome, question, read_in_full, read_plain
from mailvet.errors import SettingsError
from mailvet.settings import Settings
from mailvet.smtp.masking import LONGEST
from mailvet.smtp.reply_reading import Stage, read_and_mask
from mailvet.smtp.stream import RawReply, SmtpStream
from mailvet.syntax.parser import Address, parse
from mailvet.vocabulary import REASONS, Status

__all__ = ["INPUTS", "TARGETS", "keep", "shaped"]

INPUTS = Path(__file__).parent / "inputs"
"""Kept inputs, one folder for each target."""

_PIECE = 997  # octets that arrive at once; no divisor of anything
_MOST_KEPT = 1_000_000  # octets of unread replies in one connection


class _Transport:
    """A connection of which nothing is written."""

    def __init__(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: object) -> None:
        """Take no notice."""

    def get_extra_info(self, name: str) -> None:
        """There is none."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def pause_reading(self) -> None:
        """What comes from now on is not read."""
        self.paused = True


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _read(octets: bytes) -> list[RawReply]:
    transport = _Transport()
    stream = SmtpStream(cast("asyncio.Transport", transport))
    for begin in range(0, len(octets), _PIECE):
        piece = octets[begin : begin + _PIECE]
        stream.get_buffer(-1)[: len(piece)] = piece
        stream.buffer_updated(len(piece))
        assert sum(len(raw.text) for raw in stream._replies) < _MOST_KEPT
        if transport.paused:
            break
    return stream.received(1000)


def read_replies(octets: bytes) -> None:
    """Replies to RCPT from a server that says these octets."""
    for raw in _loop().run_until_complete(_read(octets)):
        text = raw.text[:LONGEST]
        reading, masked = read_and_mask(Stage.rcpt, raw.code, text, "ann", "acme.test", ("probe.example.com",))
        assert "ann@acme.test" not in masked
        if reading.reason is not None and REASONS[reading.reason].status is Status.undeliverable:
            assert raw.code // 100 == 5, "a refusal for now is final"


def read_address(octets: bytes) -> None:
    """A cell of a table with this text."""
    parsed = parse(octets.decode("utf-8", "surrogateescape"))
    if isinstance(parsed, Address):
        assert len(parsed.domain) <= 253
        again = parse(parsed.text)
        assert isinstance(again, Address)
        assert (again.local, again.domain) == (parsed.local, parsed.domain)


def read_response(octets: bytes) -> None:
    """A DNS response to a question of each type, with these octets behind the question."""
    for kind in TYPES:
        asked = question("acme.test", kind)
        assert asked is not None
        message = octets[:12].ljust(12, b"\x00") + asked + octets[12:]
        plain, full = read_plain(message, asked), read_in_full(message, kind)
        for response in filter(None, (plain, full)):
            assert (response.outcome is Outcome.found) == bool(response.records)
            if response.outcome is Outcome.no_name:
                assert message[3] & 0x0F == 3
        if plain is not None and full.outcome is not Outcome.failed:
            assert plain.outcome is full.outcome


def read_settings(octets: bytes) -> None:
    """A configuration file with these octets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mailvet.toml"
        path.write_bytes(octets)
        with contextlib.suppress(SettingsError):
            Settings.load(path)


TARGETS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {"reply": read_replies, "address": read_address, "response": read_response, "settings": read_settings}
)
"""Each target by name."""


def _mx_response(size: int) -> bytes:
    record = b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x01\x2c\x00\x09\x00\x0a\x04mail\xc0\x0c"
    count = min(size // len(record), 65_535)
    return b"\x12\x34\x81\x80\x00\x01" + count.to_bytes(2, "big") + bytes(4) + record * count


_SHAPES: Mapping[str, Mapping[str, Callable[[int], bytes]]] = MappingProxyType(
    {
        "reply": {
            "one line": lambda size: b"550 " + b"x" * size + b"\r\n",
            "short replies": lambda size: b"550 5.1.1 <ann@acme.test>: no such user\r\n" * (size // 41),
            "lines of one reply": lambda size: b"550-5.1.1 ann@acme.test @ann a@b \xe2\x82\xac\r\n" * (size // 36),
        },
        "address": {
            "one letter": lambda size: b"a" * size,
            "at signs": lambda size: b"@" * size,
            "dots": lambda size: b"ann@" + b"a." * (size // 2),
            "invisible characters": lambda size: "\u200b".encode() * (size // 3),
            "labels": lambda size: b"ann@" + "xn--\u00e4.".encode() * (size // 8),
        },
        "response": {
            "records": _mx_response,
            "zeros": lambda size: bytes(size),
            "pointers": lambda size: b"\x12\x34\x81\x80\x00\x01\xff\xff\x00\x00\x00\x00" + b"\xc0\x0c" * (size // 2),
        },
        "settings": {
            "unknown keys": lambda size: b"".join(b"k%d = 1\n" % number for number in range(size // 11)),
            "a list": lambda size: b"[lists]\nallow = [" + b'"a.example",' * (size // 12) + b"]\n",
            "a comment": lambda size: b"#" + b"x" * size,
            "open brackets": lambda size: b"a = " + b"[" * size,
        },
    }
)


def shaped(target: str) -> Mapping[str, Callable[[int], bytes]]:
    """Shapes of input by which the time of a target is measured: each gives so many octets, about."""
    return _SHAPES[target]


def keep(target: str, octets: bytes, name: str) -> Path:
    """Keep an input: from now on it is a test."""
    path = INPUTS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path

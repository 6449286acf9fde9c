"""Masking of replies: every character that a local part may hold (RFC 5321, RFC 6531), and texts made to take long."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailvet.smtp.masking import mask
from mailvet.smtp.reply_reading import Stage, read_and_mask, read_reply, weigh
from mailvet.vocabulary import Reason

OWN = ("probe@sender.test", "mx.sender.test")
DENIED = "5.4.1 <{0}>: Recipient address rejected: Access denied"
CONTROL = "x7k2q9v4m1zp@example.com"


@pytest.mark.parametrize(
    ("text", "recipient", "masked"),
    [
        ("<o'neil@example.com>: user o'neil unknown", "o'neil@example.com", "<recipient>: user <recipient> unknown"),
        ("'o'neil@example.com' unknown", "o'neil@example.com", "'<recipient>' unknown"),
        (r"o\'neil@example.com unknown", "o'neil@example.com", "<recipient> unknown"),
        ("o&#39;neil@example.com unknown", "o'neil@example.com", "<recipient> unknown"),
        ("o+27neil@example.com unknown", "o'neil@example.com", "<recipient> unknown"),
        ("o\u2019neil@example.com unknown", "o'neil@example.com", "<recipient> unknown"),
        ("O'Neil unknown", "o'neil@example.com", "<recipient> unknown"),
        ("<a+b=c/d@example.com> unknown", "a+b=c/d@example.com", "<recipient> unknown"),
        ('<"a b"@example.com> or a b@example.com', '"a b"@example.com', "<recipient> or <recipient>"),
        (r'"a\"b"@example.com', r'"a\"b"@example.com', "<recipient>"),
        ("j\u00f6rg.m\u00fcller@example.com", "j\u00f6rg.m\u00fcller@example.com", "<recipient>"),
        ("jo\u0308rg@example.com", "j\u00f6rg@example.com", "<recipient>"),
        ("\u044e\u0437@\u043f\u0440.\u0440\u0444 no", "\u044e\u0437@\u043f\u0440.\u0440\u0444", "<recipient> no"),
        ("forwarded to d'o'neil@example.com", "o'neil@example.com", "forwarded to <address>"),
        ("5.1.1 <1.1@example.com> or 1.1", "1.1@example.com", "5.1.1 <recipient> or 1.1"),
        ("5.1.1 <5.1.1@example.com> refused", "5.1.1@example.com", "5.1.1 <recipient> refused"),
        ("to {x}|y~z@other.test", "ann@example.com", "to {<address>"),
    ],
)
def test_a_recipient_of_any_characters_is_masked_whole(text: str, recipient: str, masked: str) -> None:
    assert mask(text, recipient=recipient, own=OWN) == masked


_ATEXT = "abcxyzABC019!#$%&'*+-/=?^_`{|}~"
_ATOM = st.text(st.sampled_from(_ATEXT + "\u00e9\u00fc\u0431\u4e2d"), min_size=1, max_size=10)
_DOTTED = st.lists(_ATOM, min_size=1, max_size=3).map(".".join)
_QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
_SHAPES = (
    "5.1.1 <{0}>: Recipient address rejected: Access denied",
    "No. {0} is not wanted",
    "Denied: <{0}>",
    "rejected ({0})",
    "[{0}] refused, sorry",
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(local=st.one_of(_DOTTED, _QUOTED), shape=st.sampled_from(_SHAPES))
def test_every_local_part_compares_as_the_control_does(local: str, shape: str) -> None:
    recipient = f"{local}@example.com"
    theirs = mask(shape.format(recipient), recipient=recipient, own=OWN)
    assert theirs == mask(shape.format(CONTROL), recipient=CONTROL, own=OWN)
    assert theirs == read_and_mask(Stage.rcpt, 550, shape.format(recipient), local, "example.com", OWN)[1]


@settings(max_examples=200, deadline=None)
@given(local=st.one_of(_DOTTED, _QUOTED), shape=st.sampled_from(_SHAPES))
def test_no_part_of_another_address_is_kept(local: str, shape: str) -> None:
    masked = mask(shape.format(f"{local}@other.test"), recipient="ann@example.com", own=OWN)
    left = masked.replace("<address>", "")
    core = local.strip("\"'*`{}|/=?!#$%&^~.-+")
    assert len(core) < 4 or core not in left
    assert "other.test" not in left


@pytest.mark.parametrize("local", ["o'neil", "d'arcy.o'brien", "a+b=c/d", '"a b"', "j\u00f6rg", "x!y#z"])
def test_a_dead_mailbox_is_found_whatever_its_name(local: str) -> None:
    recipient = f"{local}@example.com"
    reply = read_reply("rcpt", 550, DENIED.format(recipient), recipient=recipient, own=OWN)
    control = read_reply("rcpt", 550, DENIED.format(CONTROL), recipient=CONTROL, own=OWN)
    masked = mask(DENIED.format(recipient), recipient=recipient, own=OWN)
    other = mask(DENIED.format(CONTROL), recipient=CONTROL, own=OWN)
    assert weigh(reply, masked, control, other, another_accepted=True).reason is Reason.mailbox_not_found


# --- the length of a reply -------------------------------------------------------------------------------------------


@contextmanager
def cpu_seconds(limit: float) -> Iterator[None]:
    """Fail once the process has worked for so long; other load on the machine does not count."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"more than {limit} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


_WORDS = [
    "user",
    "sender",
    "your",
    "mailbox",
    "recipient",
    "not",
    "is",
    "unknown",
    "quota",
    "exceeded",
    "limit",
    "domain",
    "relay",
    "address",
    ":",
    "-",
    ",",
    "'",
    '"',
    "<",
    ">",
    "@",
    ".",
    "(",
    "#",
    "\n",
    "5.1.1",
    "550",
    "192.0.2.1",
    "a:",
    "::",
    "host",
    "from",
    "the",
    "invalid",
    "rejected",
    "said:",
    "ann",
    "ann@example.com",
]
_UNITS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.lists(
        st.sampled_from(_WORDS),
        min_size=1,
        max_size=5,
    ).map(" ".join),
    st.lists(st.sampled_from(["user", "account", "sender-your=a@b'\"<>./"]), min_size=1, max_size=4).map("".join),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(unit=_UNITS, size=st.sampled_from([12_000, 64_000, 1_000_000]), recipient=st.sampled_from(["ann", "o'neil"]))
def test_a_reply_made_to_take_long_does_not(unit: str, size: int, recipient: str) -> None:
    read_reply("rcpt", 550, "5.1.1 user unknown", recipient="ann@example.com")  # the rules are compiled once
    text = unit * (size // len(unit))
    with cpu_seconds(3):
        read_reply("rcpt", 550, text, recipient=f"{recipient}@example.com", own=OWN)
        mask(text, recipient=f"{recipient}@example.com", own=OWN)


@pytest.mark.parametrize("size", [12_000, 64_000])
def test_a_long_reply_that_says_so_at_its_beginning_is_read(size: int) -> None:
    text = "5.1.1 User unknown\n" + "More about this stands elsewhere.\n" * (size // 35)
    assert read_reply("rcpt", 550, text, recipient="ann@example.com").reason is Reason.mailbox_not_found

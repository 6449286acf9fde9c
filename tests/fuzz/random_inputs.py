"""What hypothesis makes for each target: texts that look like what is expected there, and octets that do not."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

__all__ = ["INPUTS_BY_TARGET"]

_WORDS = st.sampled_from(
    [
        *(b"550", b"250", b"450", b"421", b" ", b"-", b"\r\n", b"\n", b"5.1.1", b"4.7.1", b"<ann@acme.test>"),
        *(b"user unknown", b"greylisted", b"\xe2\x82\xac", b"\xff", b"\x00", b"try again in 300 seconds"),
        *(b"mailbox full", b"ann", b"@"),
    ]
)
_LETTERS = st.text(st.characters(codec="utf-8"), max_size=80)
_PARTS = st.sampled_from(
    ["ann", "@", ".", "..", "acme", "example", "com", "xn--", "\u200b", "\u00e4", "'", '"', ",", " "]
)
_RECORD = b"\xc0\x0c\x00%c\x00\x01\x00\x00\x01\x2c\x00%c%b"
_RECORDS = st.sampled_from(
    [
        _RECORD % (15, 9, b"\x00\x0a\x04mail\xc0\x0c"),
        _RECORD % (1, 4, b"\x08\x08\x08\x08"),
        _RECORD % (5, 2, b"\xc0\x0c"),
        b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
        *(b"\xc0", b"\x00", b"\x3f"),
    ]
)
_COUNT = st.sampled_from([b"\x00\x00", b"\x00\x01", b"\x00\x02", b"\xff\xff"])
_FLAGS = st.sampled_from([b"\x81\x80", b"\x81\x83", b"\x84\x00", b"\x83\x80"])
_HEADERS = st.tuples(st.just(b"\x12\x34"), _FLAGS, st.just(b"\x00\x01"), _COUNT, _COUNT, _COUNT).map(b"".join)
_TOML = st.sampled_from(
    [
        *("[dns]", "[smtp]", "[pacing]", "[lists]", "[[retry]]", "port", "timeout", "allow", "nameservers", "=", "\n"),
        *("1", "-1", "1e400", "nan", '"5m"', "true", "[", "]", "{", "}", "2024-01-01", '"ann@acme.test"', "depth"),
        *('"dns"', "daily_limits", "#"),
    ]
)

INPUTS_BY_TARGET: Mapping[str, st.SearchStrategy[bytes]] = {
    "reply": st.one_of(st.binary(max_size=300), st.lists(_WORDS, max_size=60).map(b"".join)),
    "address": st.one_of(_LETTERS, st.lists(_PARTS, max_size=20).map("".join)).map(lambda text: text.encode()),
    "response": st.one_of(
        st.binary(max_size=300), st.tuples(_HEADERS, st.lists(_RECORDS, max_size=12).map(b"".join)).map(b"".join)
    ),
    "settings": st.one_of(st.binary(max_size=300), st.lists(_TOML, max_size=30).map(" ".join).map(str.encode)),
}
"""Octets for each target."""

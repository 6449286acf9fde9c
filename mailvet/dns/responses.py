"""Reading a DNS response: does it hold records, does it prove that there are none, or does it prove nothing?

`read_plain` takes the usual shapes at once, since nearly every response has one. `read_in_full` takes all others with
dnspython, which spends many times the CPU. Both follow the same rules:

* a record counts if its owner is the name asked for, or a name of the alias chain that begins there;
* NXDOMAIN is believed with an answer section that is empty or holds that chain (RFC 2308 section 2.1);
* "no such records" is no referral: not one with NS records and no SOA (RFC 2308 section 2.2), nor one of a server
  that neither recursed nor is an authority;
* the response code is that of RFC 6891, with the upper bits of the OPT record.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

__all__ = ["LONGEST_TTL", "ROUTE_TYPES", "TYPES", "Outcome", "Response", "question", "read_in_full", "read_plain"]


class Outcome(Enum):
    """How a question ended."""

    found = "found"
    no_data = "no data"
    no_name = "no such name"
    failed = "server failure"
    timed_out = "no response in time"


class Response(NamedTuple):
    """What came back for one name and type."""

    outcome: Outcome
    records: Sequence[tuple[int, str]] = ()
    """
    MX: (preference, host name in lower case without the final dot; "" is the root). Else 0 and, by type, the address
    (A, AAAA), the host name in lower case (PTR) or the strings joined (TXT; octets that are no UTF-8 replaced).
    """
    ttl: float = 0.0
    """Seconds, the least of the records' own."""
    detail: str | None = None
    """Why it failed, in a few words."""


TYPES: Final = {"MX": 15, "A": 1, "AAAA": 28, "TXT": 16, "PTR": 12}
ROUTE_TYPES: Final = ("MX", "A", "AAAA")
"""Of these, what a route is made of."""
LONGEST_TTL: Final = 86400.0
_FAMILIES: Final = {TYPES["A"]: socket.AF_INET, TYPES["AAAA"]: socket.AF_INET6}
_IN: Final = 1
_NS: Final = 2
_SOA: Final = 6
_OPT: Final = 41
_OPT_SIZE: Final = 11  # octets, without options
_NAME: Final = re.compile(rb"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}")
_LABEL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_LONGEST_NAME: Final = 253
_RECORD: Final = struct.Struct(">HHIH")  # type, class, TTL, length of the data; RFC 1035 section 4.1.3
_HEADER: Final = 12
_SAME_NAME: Final = b"\xc0\x0c"  # a pointer to the name in the question
_RESPONSE_BITS: Final = 0xFA  # QR, opcode, TC of the third octet
_AUTHORITATIVE: Final = 0x04  # of the third octet
_RECURSION_AVAILABLE: Final = 0x80  # of the fourth octet
_NO_NAME: Final = Response(Outcome.no_name)
_NO_DATA: Final = Response(Outcome.no_data)

_MOST_POINTERS: Final = 16  # of one name
_NO_POINTERS: Final = bytes(range(0xC0))
_MOST_STEPS: Final = 1_000_000
_LENGTHS: Final = [bytes((length,)) for length in range(64)]
_QUESTION_ENDS: Final = {kind: b"\x00\x00%c\x00\x01" % number for kind, number in TYPES.items()}  # root, type, class

_SPOILING_ERRORS: Final = frozenset(
    {
        dns.edns.EDECode.STALE_ANSWER,
        dns.edns.EDECode.FORGED_ANSWER,
        dns.edns.EDECode.DNSSEC_BOGUS,
        dns.edns.EDECode.CACHED_ERROR,
        dns.edns.EDECode.NOT_READY,
        dns.edns.EDECode.BLOCKED,
        dns.edns.EDECode.CENSORED,
        dns.edns.EDECode.FILTERED,
        dns.edns.EDECode.PROHIBITED,
        dns.edns.EDECode.STALE_NXDOMAIN_ANSWER,
        dns.edns.EDECode.NOT_AUTHORITATIVE,
        dns.edns.EDECode.NO_REACHABLE_AUTHORITY,
        dns.edns.EDECode.NETWORK_ERROR,
        dns.edns.EDECode.INVALID_DATA,
    }
)
"""Extended errors (RFC 8914 section 4) with which a negative response is the resolver's own doing or a guess."""


def question(name: str, kind: str) -> bytes | None:
    """The question section for a name (RFC 1035 section 4.1.2); None if the name is not a plain host name."""
    try:
        text = name.encode("ascii")
    except UnicodeEncodeError:
        return None
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        return None
    parts = []
    for label in text.split(b"."):
        parts.append(_LENGTHS[len(label)])
        parts.append(label)
    parts.append(_QUESTION_ENDS[kind])
    return b"".join(parts)


def read_plain(message: bytes, asked: bytes) -> Response | None:  # noqa: C901  # the hot path, without calls
    """The response in a message that repeats the question `asked`, letter case aside.

    None if it has no usual shape and must be read in full.
    """
    if message[2] & _RESPONSE_BITS != 0x80 or message[4:6] != b"\x00\x01":  # a response, standard query, not truncated
        return None
    code = message[3] & 0x0F
    count = message[6] << 8 | message[7]
    if code != 0 and (code != 3 or count):
        return None
    wanted = asked[-3]
    records: list[tuple[int, str]] = []
    least = LONGEST_TTL
    try:
        at = _HEADER + len(asked)
        for _ in range(count):
            # Any other owner, an alias at least, is read in full.
            if message[at : at + 2] != _SAME_NAME:
                return None
            kind, network, ttl, length = _RECORD.unpack_from(message, at + 2)
            at += 12
            if kind != wanted or network != _IN:
                return None
            if ttl < least:
                least = float(ttl)
            if kind == TYPES["MX"]:
                records.append((message[at] << 8 | message[at + 1], _name(message, at + 2)))
            else:
                records.append((0, socket.inet_ntop(_FAMILIES[kind], message[at : at + length])))
            at += length
        if at > len(message):
            return None
        if records:
            # An OPT record at the end, where nearly every server puts it, has no code (RFC 6891 section 6.1.3).
            if message[10:12] != b"\x00\x00":
                end = message[-_OPT_SIZE:]
                if len(message) < at + _OPT_SIZE or (end.startswith(b"\x00\x00\x29") and end[5]):
                    return None
            return Response(Outcome.found, records, least)
        return _negative(message, at, _NO_NAME if code else _NO_DATA)
    except (IndexError, KeyError, ValueError, struct.error):  # KeyError: a type without a usual shape
        return None


def _negative(message: bytes, at: int, response: Response) -> Response | None:
    """The negative response where the other sections bear it out; None if they need a closer look."""
    seen = _walk(message, at)
    if seen is None:
        return None
    if response is _NO_DATA and not seen & {_SOA}:
        resolves_itself = message[2] & _AUTHORITATIVE or message[3] & _RECURSION_AVAILABLE
        if seen & {_NS} or not resolves_itself:
            return None
    return response


def _walk(message: bytes, at: int) -> set[int] | None:
    """Types in the authority section, from where it begins; None for an OPT record with a code or with options.

    Raises:
        IndexError, struct.error: the message ends before its records do.
    """
    authority = message[8] << 8 | message[9]
    seen: set[int] = set()
    for number in range(authority + (message[10] << 8 | message[11])):
        while 0 < message[at] < 0xC0:
            at += message[at] + 1
        at += 2 if message[at] else 1  # a pointer ends a name, and so does the root
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        at += 10 + length
        if kind == _OPT and (ttl >> 24 or length):
            return None
        if number < authority:
            seen.add(kind)
    if at > len(message):
        raise IndexError
    return seen


def _name(message: bytes, at: int) -> str:
    """The name that starts there in lower case, pointers followed (RFC 1035 section 4.1.4).

    Raises:
        ValueError: the name is malformed, or has characters that need escapes.
    """
    labels = []
    end = at
    pointers = 0
    while length := message[at]:
        if length >= 0xC0:
            pointers += 1
            target = (length & 0x3F) << 8 | message[at + 1]
            if target >= end or pointers > _MOST_POINTERS:  # names are pointed to backwards only: no endless chase
                raise ValueError
            at = end = target
            continue
        label = message[at + 1 : at + 1 + length]
        if length > 63 or not _LABEL.fullmatch(label):
            raise ValueError
        labels.append(label)
        at += length + 1
    return b".".join(labels).lower().decode("ascii")


# -------------------------------------------------------------------- the rest, with dnspython


def read_in_full(message: bytes, kind: str) -> Response:
    """The response in a whole message, whatever its shape.

    `kind` is one of `TYPES`. What is malformed has failed.
    """
    if len(message) < _HEADER or _takes_long(message):
        return _failed("a malformed response")
    try:
        parsed = dns.message.from_wire(message, ignore_trailing=True, one_rr_per_rrset=True)
    except (dns.exception.DNSException, ValueError, IndexError, struct.error):
        return _failed("a malformed response")
    return _judge(parsed, kind)


def _takes_long(message: bytes) -> bool:
    """Whether names may be hidden behind so many pointers, and so often, that reading them would hold up everything.

    Each of the records could lead through all of the pointers.
    """
    records: int = sum(struct.unpack_from(">HHH", message, 6))
    pointers = len(message.translate(None, _NO_POINTERS))
    return records * pointers > _MOST_STEPS


def _judge(message: dns.message.Message, kind: str) -> Response:
    if message.flags & dns.flags.TC:
        return _failed("the response is cut off")
    code = message.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return _failed(dns.rcode.to_text(code))
    if len(message.question) != 1:
        return _failed("a malformed response")
    chain = _alias_chain(message)
    if chain is None:
        return _failed("an alias loop or a broken alias chain")
    records, least = _records(message, kind, *chain)
    if code == dns.rcode.NXDOMAIN:
        beside = [rrset for rrset in message.answer if rrset.rdtype not in _OF_A_CHAIN]
        if beside:
            return _failed("NXDOMAIN beside records")
    elif records:
        return Response(Outcome.found, records, least)
    elif not _is_final(message):
        return _failed("a referral (lame delegation)")
    for option in message.options:
        if isinstance(option, dns.edns.EDEOption) and option.code in _SPOILING_ERRORS:
            return _failed(f"a negative response with the extended error {dns.edns.EDECode(option.code).name}")
    return _NO_NAME if code == dns.rcode.NXDOMAIN else _NO_DATA


def _records(
    message: dns.message.Message, kind: str, owners: set[dns.name.Name], aliases_ttl: float
) -> tuple[list[tuple[int, str]], float]:
    """The records of these owners as a `Response` has them, and the least TTL."""
    wanted = dns.rdatatype.from_text(kind)
    records: list[tuple[int, str]] = []
    least = min(aliases_ttl, LONGEST_TTL)
    for rrset in message.answer:
        if rrset.name in owners and rrset.rdtype == wanted and rrset.rdclass == dns.rdataclass.IN:
            least = min(least, float(rrset.ttl))
            for record in rrset:
                records.append((record.preference if kind == "MX" else 0, _value(record, kind)))
    return records, least


def _value(record: Any, kind: str) -> str:  # dnspython types no field of a record
    if kind == "TXT":
        return b"".join(record.strings).decode("utf-8", "replace")
    if kind not in ("MX", "PTR"):
        return str(record.address)
    host = (record.exchange if kind == "MX" else record.target).to_text(omit_final_dot=True).lower()
    return "" if host == "." else host


_OF_A_CHAIN: Final = {dns.rdatatype.CNAME, dns.rdatatype.DNAME, dns.rdatatype.RRSIG}


def _alias_chain(message: dns.message.Message) -> tuple[set[dns.name.Name], float] | None:
    """The name in question and those that the aliases in the answer lead to from there, with the least of their TTLs.

    None if they lead in a circle, fork, or do not begin at that name.
    """
    aliases: dict[dns.name.Name, dns.name.Name] = {}
    least = LONGEST_TTL
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            target = rrset[0].target
            if aliases.setdefault(rrset.name, target) != target:
                return None
            least = min(least, float(rrset.ttl))
    name = message.question[0].name
    owners = {name}
    while name in aliases:
        name = aliases[name]
        if name in owners:
            return None
        owners.add(name)
    return (owners, least) if len(owners) == len(aliases) + 1 else None


def _is_final(message: dns.message.Message) -> bool:
    """Whether a response without records says that there are none, and does not send us elsewhere."""
    kinds = {rrset.rdtype for rrset in message.authority}
    if dns.rdatatype.SOA in kinds:
        return True
    return dns.rdatatype.NS not in kinds and bool(message.flags & (dns.flags.AA | dns.flags.RA))


def _failed(why: str) -> Response:
    return Response(Outcome.failed, detail=why)

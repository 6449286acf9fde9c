"""Masking of replies: what changes from one reply to the next is replaced by a word for its kind.

No address, host name, IP address, link, date or queue id is left in a masked reply, so that two replies can be
compared, rules cannot mistake an echoed name for a word of the server's, and nothing personal is stored.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from mailvet.smtp.reply_rules import reply_words

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FULLWIDTH_AT",
    "LONGEST",
    "ORDINARY",
    "STAND_IN",
    "STAND_IN_ADDRESS",
    "echoes",
    "mask",
    "masked_text",
    "with_stand_in",
]

LONGEST = 2048
"""
Characters of a reply that are read; what follows is cut. RFC 5321 section 4.5.3.1.5 allows 512 octets a line, and no
reply of the sets in `tests/data/` is half as long. The bound keeps reading linear in the length of what is received.
"""


def mask(text: str, *, recipient: str | None = None, own: Sequence[str] = ()) -> str:
    """The reply without what changes from one recipient, connection or moment to the next.

    The recipient becomes `<recipient>`, its domain `<domain>`, our MAIL FROM address `<sender>`, our other names
    `<us>`; other addresses become `<address>`, host names `<host>`, IP addresses `<ip>`, links `<url>`, links and zones
    of block lists `<blocklist>`, times `<time>` and queue or session ids `<id>`; control characters become spaces,
    lines are kept. `recipient` adds its bare local part and domain, `own` our names. Fit to be stored, to be compared
    with the reply to another recipient, and to be read again (`read_reply`) with the same result.

    >>> mask("5.1.1 <ann@example.com>: user ann unknown on mx1.example.com[192.0.2.1]", recipient="ann@example.com")
    '5.1.1 <recipient>: user <recipient> unknown on <host>[<ip>]'
    """
    return masked_text(*with_stand_in(text[:LONGEST], recipient, own), tuple(own))


STAND_IN = "qhvzjx"
"""A name that no word of a reply contains: it takes the place of the recipient's where that makes no difference."""
STAND_IN_DOMAIN = f"{STAND_IN}.example"
STAND_IN_ADDRESS = f"{STAND_IN}@{STAND_IN_DOMAIN}"
ORDINARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*[A-Za-z0-9]")


def with_stand_in(text: str, recipient: str | None, own: Sequence[str]) -> tuple[str, str | None]:
    """The reply as the server would have given it for a mailbox named `STAND_IN`, and that mailbox.

    The domain is `STAND_IN_DOMAIN` unless the recipient's own stands elsewhere in the text. Unchanged where the name
    itself may matter. Most servers echo the recipient, so that without this no two replies would be alike, and each
    would have to be masked anew.
    """
    if not recipient or STAND_IN in text:
        return text, recipient
    local, at, domain = recipient.rpartition("@")
    if not at or not ORDINARY.fullmatch(local):
        return text, recipient
    plain, echoes = text, 0
    if recipient in text:
        plain = text.replace(recipient, STAND_IN_ADDRESS)
        echoes = plain.count(STAND_IN_DOMAIN)
    lower = plain.lower()
    # A bare local part is masked by rules about words; a second address may be another person's.
    if local.lower() in lower or plain.count("@") != echoes or FULLWIDTH_AT in plain:
        return text, recipient
    if domain in lower or any(domain in name for name in own):
        return plain.replace(STAND_IN_DOMAIN, domain), f"{STAND_IN}@{domain}"
    return plain, STAND_IN_ADDRESS


FULLWIDTH_AT = "\uff20"
_SEPARATORS = r"\s<>()\[\]{}\"',;|"
_TOKEN = re.compile(rf"(?<![^{_SEPARATORS}])[^{_SEPARATORS}]*[@{FULLWIDTH_AT}./:=\d][^{_SEPARATORS}]*")
_ANGLES = re.compile(r"<<(\w+)>+|<(<\w+>)(?=:)")
_CONTROLS = re.compile(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_EDGES = ".:!?=*-`"
_CODE = re.compile(r"#?[245]\.\d{1,3}\.\d{1,3}")
_IPV4 = re.compile(r"(?:ip=|ip:|ipv4:|::ffff:)?\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?", re.IGNORECASE)
# Dates only: a bare clock may be the time to wait.
_TIME = re.compile(r"\d{4}[-/]\d\d[-/]\d\d(?:[tT_]?\d\d:\d\d(?::\d\d)?(?:\.\d+)?[zZ]?)?")
_HOST = re.compile(r"(?:[\w-]+\.)+(?P<top>[^\W\d_]{2,24}|xn--[\w-]+)(?::\d{1,5})?")
# fmt: off
_COMMON_TOPS = frozenset({
    "com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "mobi", "tel", "coop",
    "aero", "museum", "jobs", "travel", "cat", "asia", "post", "arpa", "local", "lan", "internal", "corp",
    "test", "example", "invalid", "localhost", "app", "dev", "cloud", "online", "site", "website", "store",
    "shop", "tech", "email", "mail", "news", "agency", "company", "digital", "group", "global", "live", "media",
    "network", "social", "space", "systems", "today", "top", "world", "xyz", "club", "icu",
})
# fmt: on
_LABEL = re.compile(r"(?:[^\W\d_]+[:=])+(?=.)")
_ID = re.compile(r"(?=[\w+/=.-]*[a-zA-Z])(?=(?:[^\d]*\d){3})[\w+/=.-]{10,}|\d{9,}", re.ASCII)
_BLOCKLIST = re.compile(
    r"spamhaus|spamcop|dnsbl|\brbl|rbl\b|sorbs|uceprotect|barracuda|blacklist|blocklist|denylist|abuseat|mailspike|"
    r"proofpoint\.com/(?:dnsbl|ipcheck)|ipcheck|dnsbl-lookup|spamrats|surriel|psbl|senderscore|talosintelligence|"
    r"cloudmark|nixspam|truncate\.gbudb|abusix|invaluement|backscatterer|spfbl|delist",
    re.IGNORECASE,
)


def masked_text(text: str, recipient: str | None, own: tuple[str, ...]) -> str:
    """`mask` for a text that is cut already and a recipient as `with_stand_in` gives it."""
    text = _CONTROLS.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    known = _Known(recipient, own)
    if known.spellings is not None:
        text = known.spellings.sub("<recipient>", text)
    if "@" in text or FULLWIDTH_AT in text:
        text = _without_addresses(text, known)
    text = _TOKEN.sub(lambda found: _masked_token(found[0], known), text)
    if known.local:
        text = _without_local_part(text, known.local)
    return _ANGLES.sub(lambda found: f"<{found[1]}>" if found[1] else found[2], text)


_PLAIN_LOCAL = re.compile(r"[a-z0-9][a-z0-9_-]*")
_ESCAPED = {"'": "\u2019|\u2018|\u00b4|''", '"': '""', "&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Spellings of one character beside itself; those of its number and with a backslash are added to all."""


@lru_cache(maxsize=256)
def _spellings(local: str, domain: str) -> re.Pattern[str]:
    """The recipient with and without its domain, however a server may write the special characters of its local part.

    A local part may hold every character of RFC 5322 atext, and between quotes every printable one (RFC 5321 section
    4.1.2; RFC 6531 adds all of Unicode). Servers echo it with the quotes or without, with backslashes, as HTML or as
    xtext (RFC 3461 section 4), and with a typographic apostrophe.
    """
    letters = "".join(_spelling(letter) for letter in local)
    whole = rf"(?:\\?\")?{letters}(?:\\?\")?[@{FULLWIDTH_AT}]{re.escape(domain)}(?![\w-]|\.\w)"
    bare = rf"|{letters}(?![\w@{FULLWIDTH_AT}+/-]|[.'][^\W_])"
    if len(local) < 2 or not any(map(str.isalpha, local)):
        bare = ""  # punctuation is no name, and digits may be a code
    # The name may not be the end of a longer one: `d'ann@` is not `ann@`, but `'ann@` is, between quotes.
    return re.compile(rf"(?<![\w.+-])(?<!\w['/])(?:{whole}{bare})", re.IGNORECASE)


def _spelling(letter: str) -> str:
    if letter.isalnum() or letter == " ":
        return re.escape(letter)
    number = f"{ord(letter):x}"
    forms = [
        rf"\\?{re.escape(letter)}",
        rf"&#0{{0,4}}{ord(letter)};",
        rf"&#x0{{0,4}}{number};",
        _ESCAPED.get(letter, ""),
    ]
    if letter.isascii():
        forms += [f"[%+]{number}"]
    return f"(?:{'|'.join(filter(None, forms))})"


_NOT_IN_LOCAL = re.compile(rf"[\s<>()\[\]\",;:\\@{FULLWIDTH_AT}]")
_DOMAIN = re.compile(rf"\[[^\]\s]{{1,100}}\]|[^\s<>()\[\]{{}}\"',;|@{FULLWIDTH_AT}]*")
_AROUND_LOCAL = "'*`{}|/=?!#$%&^~.-+"
_LONGEST_LOCAL = 320


def _without_addresses(text: str, known: _Known) -> str:
    """Mask every address, with all characters that its local part may hold (RFC 5321 section 4.1.2)."""
    parts, last = [], 0
    for at in (found.start() for found in re.finditer(f"[@{FULLWIDTH_AT}]", text)):
        if at < last:
            continue
        start = _start_of_local(text, at, last)
        if start is None or start == at:
            continue
        domain = _DOMAIN.match(text, at + 1)
        name = domain[0].rstrip(_EDGES) if domain else ""
        parts += [text[last:start], _masked_address(f"{text[start:at]}@{name}".lower(), known)]
        last = at + 1 + len(name)
    return "".join([*parts, text[last:]])


def _start_of_local(text: str, at: int, last: int) -> int | None:
    """Where the local part before this sign begins; None for a sign in a link."""
    first = max(last, at - _LONGEST_LOCAL)
    if text[at - 1 : at] == '"':
        opening = text.rfind('"', first, at - 1)
        while opening > first and text[opening - 1] == "\\":
            opening = text.rfind('"', first, opening - 1)
        return at if opening < 0 or "\n" in text[opening:at] else opening
    before = next((place for place in range(at - 1, first - 1, -1) if _NOT_IN_LOCAL.match(text, place)), first - 1)
    if text[before + 1 : before + 3] == "//" or text[before + 1 : before + 5].lower() == "www.":
        return None
    start = before + 1
    while start < at - 1 and text[start] in _AROUND_LOCAL:
        start += 1
    return start


class _Known:
    """Recipient and own names, in lower case, split once per reply."""

    __slots__ = ("address", "domain", "local", "own_addresses", "own_names", "spellings")

    def __init__(self, recipient: str | None, own: tuple[str, ...]) -> None:
        self.address = recipient.strip().lower() if recipient else ""
        local, _, self.domain = self.address.rpartition("@")
        self.local = local
        plain = _PLAIN_LOCAL.fullmatch(local) or not local
        self.spellings = None if plain else _spellings(_unquoted(local), self.domain)
        self.own_addresses = {name.strip("<>").lower() for name in own if "@" in name}
        self.own_names = {name.strip("[]").lower() for name in own if "@" not in name and name}
        self.own_names.update(address.rpartition("@")[2] for address in self.own_addresses)
        self.own_names.discard(self.domain)
        self.own_names.discard("")


def _unquoted(local: str) -> str:
    r"""A quoted local part without its quotes and backslashes: `"a\ b"` and `"a b"` are the same mailbox."""
    if len(local) > 2 and local[0] == local[-1] == '"':
        return re.sub(r"\\(.)", r"\1", local[1:-1])
    return local


def _masked_token(token: str, known: _Known, *, inner: bool = False) -> str:  # noqa: C901  # rules in order
    core = token.strip(_EDGES)
    if not core:
        return token
    start = token.index(core)
    before, after = token[:start], token[start + len(core) :]
    lower = core.lower()
    if "://" in core or lower.startswith("www."):
        scheme = max(lower.find("http"), 0)
        return before + core[:scheme] + ("<blocklist>" if _BLOCKLIST.search(lower) else "<url>") + after
    if "@" in token or FULLWIDTH_AT in token:
        return _masked_address(lower.replace(FULLWIDTH_AT, "@"), known) + after.replace("@", "")
    if _CODE.fullmatch(core):
        return token
    if core[-1].isdigit() or ":" in core:
        if _IPV4.fullmatch(core) or _is_ipv6(lower):
            return before + ("<us>" if lower in known.own_names else "<ip>") + after
        if _TIME.fullmatch(core):
            return before + "<time>" + after
    host, tail = core.rstrip("/"), ""
    if "/" in host:
        host, slash, tail = host.partition("/")
        tail = slash + tail
    if "." in host and (found := _HOST.fullmatch(host)) and _is_host(host, found["top"], known):
        if tail:
            return before + ("<blocklist>" if _BLOCKLIST.search(lower) else "<url>") + after
        return before + _masked_host(host.lower().partition(":")[0], known) + after
    if not inner and (label := _LABEL.match(core)):
        # "host:mx1.example.com", "ip=192.0.2.1": what follows the name is masked on its own.
        return before + label[0] + _masked_token(core[label.end() :], known, inner=True) + after
    if lower in known.own_names:
        return before + "<us>" + after
    if _ID.fullmatch(core):
        return before + "<id>" + after
    return token


def _masked_address(address: str, known: _Known) -> str:
    if address == known.address or (known.address and address.endswith((f":{known.address}", f"={known.address}"))):
        return "<recipient>"
    return "<sender>" if address in known.own_addresses else "<address>"


def _masked_host(host: str, known: _Known) -> str:
    if host in known.own_names:
        return "<us>"
    if known.domain and host == known.domain:
        return "<domain>"
    return "<blocklist>" if _BLOCKLIST.search(host) else "<host>"


def _is_ipv6(text: str) -> bool:
    text = text.removeprefix("ipv6:").partition("/")[0]
    if text.count(":") < 2 or len(text) > 45:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host(name: str, top: str, known: _Known) -> bool:
    """Host names, but not two sentences without a space between them nor Exchange's dotted words."""
    labels = name.lower().split(".")
    if name.lower() == known.domain or name.lower() in known.own_names:
        return True
    if labels[0] in ("resolver", "storedrv", "smtpsend", "routing", "queue"):
        return False
    if top[0].isupper() and not top.isupper():
        return False
    if all(label in reply_words() for label in labels):
        return False
    return len(labels) > 2 or len(top) == 2 or top.startswith("xn--") or top.lower() in _COMMON_TOPS


def echoes(text: str, recipient: str | None) -> bool:
    """Whether a reply repeats the recipient's local part."""
    if not recipient:
        return False
    local = recipient.strip().lower().rpartition("@")[0]
    return bool(local) and local in text.lower()


_QUOTES = tuple("\"'<([{`\u00ab\u201e\u201c\u2018")


def _without_local_part(text: str, local: str) -> str:
    """Mask the bare local part, as in "no such user ann.lee".

    One that is itself a word of replies (`user`, `unknown`, `blocked`) is masked only where quotes or brackets set it
    off; otherwise masking it would take the sense from the sentence.
    """
    lower = text.lower()
    if local not in lower or len(lower) != len(text):
        return text
    word = local in reply_words() or len(local) < 2 or re.fullmatch(r"[\d.]+", local) is not None
    parts, last, at = [], 0, lower.find(local)
    while at >= 0:
        end = at + len(local)
        before, after = text[at - 1 : at], text[end : end + 1]
        inside = before.isalnum() or before in ("_", "-", "+") or after.isalnum() or after in ("_", "-")
        inside = inside or (before == "." and text[at - 2 : at - 1].isalnum())
        alone = not inside and before != "<"
        quoted = before in _QUOTES and not after.isalnum()
        if before == "<" and after == ">":
            alone = quoted = local not in _TOKENS
        if before == "/" or (after == "." and text[end + 1 : end + 2].isalnum()):
            alone = False
        if quoted or (alone and not word):
            parts += [text[last:at], "<recipient>"]
            last = end
        at = lower.find(local, end)
    return "".join([*parts, text[last:]]) if parts else text


_TOKENS = frozenset({"address", "host", "ip", "url", "time", "id", "recipient", "sender", "domain", "us", "blocklist"})
"""What masked text holds between angle brackets; a local part of that name stays."""

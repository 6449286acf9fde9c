"""
What a reply of a mail server means for the recipient that was asked about.

The rules are data (`mailvet/data/replies.toml`), tried in the order of the file; the first that fits decides. Two
things are not left to the data. A reason whose status is undeliverable is only ever given for a permanent (5xx)
reply to RCPT, because a temporary reply and a refusal of the connection, the greeting or the sender say nothing about
a mailbox. And a reply is masked before it is matched, so that an echoed `spam-trap@`, `552@` or `[5.7.8.1]` is never
taken for a policy word or a code.

Codes are those of RFC 5321 section 4.2 (basic) and RFC 3463, RFC 5248 and RFC 7505 (enhanced).
"""

from __future__ import annotations

import ipaddress
import re
import sys
import unicodedata
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from mailvet.verdict import REASONS, Reason, Status

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Reading", "Rule", "Stage", "classify_reply", "mask", "read_and_mask", "read_reply", "rules", "weigh"]


class Stage(str, Enum):
    """What the reply answers."""

    connect = "connect"
    hello = "hello"
    mail = "mail"
    rcpt = "rcpt"

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def _missing_(cls, value: object) -> Stage | None:
        word = str(value).casefold()
        return cls._member_map_.get(_SYNONYMS.get(word, word))  # type: ignore[return-value]


_SYNONYMS = {
    "banner": "connect",
    "connection": "connect",
    "ehlo": "hello",
    "helo": "hello",
    "starttls": "hello",
    "mail from": "mail",
    "mail_from": "mail",
    "rcpt to": "rcpt",
    "rcpt_to": "rcpt",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reply says."""

    reason: Reason | None
    """None: a positive reply (2xx); the stage passed, and at RCPT the recipient was accepted."""
    ambiguous: bool
    """Two readings fit; only the control address and another accepted recipient settle it (see `weigh`)."""
    retry_after: float | None
    """Seconds the server asks to wait, where its text says so."""
    limit: str | None
    """The limit a throttling reply names: recipients, connections, errors or rate."""
    rule: str
    """The id of the rule that decided."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of `replies.toml`."""

    id: str
    stages: tuple[Stage, ...]
    codes: re.Pattern[str]
    """Matches the whole basic code, three digits."""
    enhanced: re.Pattern[str] | None
    """Matches the whole enhanced code, or the empty text where the reply has none. None: any."""
    match: re.Pattern[str] | None
    """Found in the masked and folded text. None: any text."""
    unless: re.Pattern[str] | None
    """Not found in it."""
    reason: Reason | None
    ambiguous: bool
    limit: str | None
    eai: bool
    """Only for recipients with characters outside ASCII (RFC 6531)."""
    operator: str | None
    language: str
    source: str
    date: str
    examples: tuple[str, ...]


_BEFORE_RCPT = frozenset(
    {
        None,
        Reason.sender_blocked,
        Reason.sender_throttled,
        Reason.server_temporary_error,
        Reason.greylisted,
        Reason.relay_denied,
        Reason.protocol_error,
    }
)
_LONGEST = 4000
"""Characters of a reply that are read; a longer one is cut. RFC 5321 section 4.5.3.1.5 allows 512 octets a line."""


def classify_reply(stage: Stage | str, code: int, text: str, recipient: str | None = None) -> Reason | None:
    """
    Read one SMTP reply; None means that the server accepted.

    `stage` is what the reply answers: connect, hello, mail or rcpt. `text` is what follows the basic code, the lines
    of a multi-line reply joined by line feeds. `recipient`, where known, is the address that RCPT named.

    >>> classify_reply("rcpt", 550, "5.1.1 User unknown")
    <Reason.mailbox_not_found: 'mailbox_not_found'>
    >>> classify_reply("mail", 550, "5.1.1 User unknown")
    <Reason.sender_blocked: 'sender_blocked'>
    """
    return read_reply(Stage(stage), code, text, recipient=recipient).reason


def read_reply(
    stage: Stage | str, code: int, text: str, *, recipient: str | None = None, own: Sequence[str] = ()
) -> Reading:
    """
    Read one SMTP reply.

    `own` holds our MAIL FROM address, our hello name and our source addresses: what is said of them is said of us.
    Raises ValueError for a stage that is none.
    """
    stage = stage if isinstance(stage, Stage) else Stage(stage)
    eai = None if recipient is None else not recipient.isascii()
    return _read(stage, code, *_with_stand_in(text[:_LONGEST], recipient, own), tuple(own), eai)


def read_and_mask(
    stage: Stage, code: int, text: str, local: str, domain: str, own: tuple[str, ...]
) -> tuple[Reading, str]:
    """What `read_reply` and `mask` give, in one go: most servers say the same to one recipient as to the next."""
    text = text[:_LONGEST]
    recipient = f"{local}@{domain}"
    echoed = recipient in text
    key = (code, text.replace(recipient, _STAND_IN_ADDRESS) if echoed else text, echoed, own)
    if stage is Stage.rcpt and (known := _familiar.get(key)) is not None:
        result, lower, ours = known
        # What `_with_stand_in` asks of the recipient; what it asks of the text was answered before.
        if local.lower() not in lower and domain not in lower and domain not in ours and _ORDINARY.fullmatch(local):
            return result
    plain, stand_in = _with_stand_in(text, recipient, own)
    if stand_in == recipient:
        return _both(stage, code, plain, stand_in, own, not recipient.isascii())
    result = _both_cached(stage, code, plain, stand_in, own, False)
    if stage is Stage.rcpt and stand_in == _STAND_IN_ADDRESS:
        if len(_familiar) >= _MOST_FAMILIAR:
            _familiar.clear()
        _familiar[key] = _Familiar(result, plain.lower(), "\n".join(own))
    return result


class _Familiar(NamedTuple):
    """A reply given before, with the stand-in in place of address and domain."""

    result: tuple[Reading, str]
    lower: str
    own: str


_familiar: dict[tuple[int, str, bool, tuple[str, ...]], _Familiar] = {}
"""By code and text; the recipient's address is cut out of the text, so that no address is kept."""
_MOST_FAMILIAR = 8192


def _both(
    stage: Stage, code: int, text: str, recipient: str | None, own: tuple[str, ...], eai: bool
) -> tuple[Reading, str]:
    return _read(stage, code, text, recipient, own, eai), _mask(text, recipient, own)


_both_cached = lru_cache(maxsize=8192)(_both)


def _read(stage: Stage, code: int, text: str, recipient: str | None, own: tuple[str, ...], eai: bool | None) -> Reading:
    if "@" in text or _FULLWIDTH_AT in text or _echoes(text, recipient):
        # Not cached under the clear text: no table of ours should keep addresses longer than needed.
        reduce = _reduce_cached if recipient is not None and recipient.startswith(f"{_STAND_IN}@") else _reduce
        enhanced, folded = reduce(code, text, recipient, own)
    else:
        # Without an echo the local part makes no difference, so that one entry serves a whole domain.
        domain = recipient.rpartition("@")[2] if recipient else None
        enhanced, folded = _reduce_cached(code, text, domain and f"@{domain}", own)
    return _judge(stage, code, enhanced, folded, eai)


def weigh(
    reply: Reading,
    masked: str,
    control: Reading | None,
    control_masked: str | None,
    *,
    another_accepted: bool,
) -> Reading:
    """
    Read a reply again in the light of the reply to a random control address of the same domain.

    `masked` and `control_masked` are the two replies as `mask` gives them, from the same identity (source address,
    hello name, MAIL FROM). `another_accepted` says whether that identity had another recipient of the domain
    accepted; asked after the control, it also shows that we were not shut out in the meantime. Never makes an accepted
    recipient anything else: accept-all is for the caller to call.

    - A refusal that could be read two ways means "no such mailbox" only if an address that cannot exist got the very
      same refusal while another recipient was accepted.
    - A refusal that speaks of one mailbox (disabled, full, moved, restricted), given alike for a random address,
      says nothing of this mailbox; with another recipient accepted it is the server's way to say "unknown".
    - A clear policy text stays what it is.
    """
    if reply.reason is None or control is None or control.reason is None:
        return reply
    if not _same(masked, control_masked):
        return reply
    if reply.ambiguous or reply.reason in _PERSONAL:
        if another_accepted and _permanent(reply):
            return replace(reply, reason=Reason.mailbox_not_found, ambiguous=False, rule="control.same_refusal")
        if reply.ambiguous:
            return reply
        if _permanent(reply):
            return replace(reply, reason=Reason.sender_blocked, ambiguous=True, rule="control.same_refusal")
        return replace(reply, reason=Reason.server_temporary_error, rule="control.same_refusal")
    return reply


_PERSONAL = frozenset(
    {
        Reason.mailbox_disabled,
        Reason.mailbox_full,
        Reason.mailbox_moved,
        Reason.recipient_throttled,
        Reason.restricted_recipient,
        Reason.syntax_invalid,
    }
)
"""Reasons that describe one mailbox which exists, so that a random address cannot share them."""


def _permanent(reply: Reading) -> bool:
    # A rule that gives an undeliverable reason, or leaves two readings open, is only tried on permanent replies;
    # full and throttled mailboxes are told of in both classes and are treated as the weaker, temporary one.
    return reply.ambiguous or (reply.reason is not None and REASONS[reply.reason].status is Status.undeliverable)


def _same(one: str, other: str | None) -> bool:
    return other is not None and _compared(one) == _compared(other)


def _compared(masked: str) -> str:
    # Counters and times differ between two replies that say the same; so may the case and the line breaks.
    return " ".join(re.sub(r"\d+", "0", masked).casefold().split())


# ---------------------------------------------------------------------------------------------------------------------
# Judging


@lru_cache(maxsize=8192)
def _judge(stage: Stage, code: int, enhanced: str, folded: str, eai: bool | None) -> Reading:
    for rule in _candidates(stage, code, enhanced, eai):
        if (rule.match is None or rule.match.search(folded)) and not (rule.unless and rule.unless.search(folded)):
            wait = None if rule.reason is None else _retry_after(folded)
            return Reading(rule.reason, rule.ambiguous, wait, rule.limit, rule.id)
    # Every stage and class ends in a default rule; this is for codes that are none at all.
    return Reading(Reason.protocol_error, False, None, None, "default.no_code")


@lru_cache(maxsize=2048)
def _candidates(stage: Stage, code: int, enhanced: str, eai: bool | None) -> tuple[Rule, ...]:
    basic = f"{code:03d}"
    about_mailbox = stage is Stage.rcpt and 500 <= code <= 599

    def fits(rule: Rule) -> bool:
        if stage not in rule.stages or not rule.codes.fullmatch(basic):
            return False
        if rule.enhanced is not None and not rule.enhanced.fullmatch(enhanced):
            return False
        if (rule.eai and not eai) or (rule.reason is Reason.smtputf8_unsupported and eai is False):
            return False  # an address in ASCII cannot need SMTPUTF8
        if stage is not Stage.rcpt and rule.reason not in _BEFORE_RCPT:
            return False
        final = rule.ambiguous or (rule.reason is not None and REASONS[rule.reason].status is Status.undeliverable)
        return about_mailbox or not final

    return tuple(rule for rule in rules() if fits(rule))


_WAIT = re.compile(
    r"(?:again|retry|retries|wait|back|resend|later|in|after|for|least|within|expires?|erneut|wieder|spater|nach|"
    r"dans|apres|reessayer|en|dentro de|despues de|depois de|em|tra|fra|dopo|over|na|za|po|cherez|через|после|sonra)"
    r"[:\s~(]+(?:about |at least |approximately |another )?"
    r"((?:(?:and |und |et |y |e |en |i |и )?\d{1,6}(?:[.,]\d+)?\s*[^\W\d]+[\s,]*){1,3})"
)
_WAIT_BEFORE = re.compile(
    r"(\d{1,6})\s*(秒|分钟|分鐘|分|小时|小時|時間|초|분|시간|saniye|dakika|saat)\s*"
    r"(?:后|後|之后|之後|以上|후|뒤|でも|して|経|sonra)"
)
_CLOCK = re.compile(r"(?:again|retry|wait|back|later|in|after|for)[:\s(]+(\d{1,3}):(\d\d)(?::(\d\d))?\b")
_COMING_BACK = re.compile(
    r"again|retry|retries|later|wait|come back|gr[ea]y|defer|delay|temporar|erneut|wieder|spater|versuch|sprob|reessay|"
    r"intente|reintent|mas tarde|tente|tarde|riprov|piu tardi|opnieuw|later|ponow|pozniej|повтор|позже|попроб|tekrar|"
    r"稍后|稍後|重试|重試|再|다시|나중"
)
_AMOUNT = re.compile(r"(\d{1,6}(?:[.,]\d+)?)\s*([^\W\d]+)")
_UNITS = (
    (re.compile(r"(?:s|secs?|seconds?|sek\w*|secondes?|segundos?|second[oi]|seconden?|сек\w*|saniye|秒|초)"), 1.0),
    (re.compile(r"(?:m|mins?|minutes?|minut\w*|мин\w*|dakika|分|分钟|分鐘|분)"), 60.0),
    (
        re.compile(
            r"(?:h|hrs?|hours?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin\w*|час\w*|saat|小时|小時|時間|시간)"
        ),
        3600.0,
    ),
    (re.compile(r"(?:d|days?|tage?n?|jours?|dias?|giorn[oi]|dagen|dni|дн\w*|gun)"), 86400.0),
)
_LONGEST_WAIT = 7 * 86400.0


def _retry_after(folded: str) -> float | None:
    if not _COMING_BACK.search(folded):
        return None
    for found in _WAIT.finditer(folded):
        seconds = [_seconds(amount, unit) for amount, unit in _AMOUNT.findall(found[1])]
        known = [value for value in seconds if value is not None]
        if known and sum(known) <= _LONGEST_WAIT:
            return sum(known)
    if clock := _CLOCK.search(folded):
        first, second, third = int(clock[1]), int(clock[2]), clock[3]
        total = first * 60 + second if third is None else first * 3600 + second * 60 + int(third)
        return float(total) if total <= _LONGEST_WAIT else None
    if before := _WAIT_BEFORE.search(folded):
        return _seconds(before[1], before[2])
    return None


def _seconds(amount: str, unit: str) -> float | None:
    for pattern, size in _UNITS:
        if pattern.fullmatch(unit):
            return float(amount.replace(",", ".")) * size
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Reducing a reply to its code and its masked, folded text


def mask(text: str, *, recipient: str | None = None, own: Sequence[str] = ()) -> str:
    """
    The reply without what changes from one recipient, connection or moment to the next.

    The recipient becomes `<recipient>`, its domain `<domain>`, our MAIL FROM address `<sender>`, our other names
    `<us>`; other addresses become `<address>`, host names `<host>`, IP addresses `<ip>`, links `<url>`, links and zones
    of block lists `<blocklist>`, times `<time>` and queue or session ids `<id>`; control characters become spaces,
    lines are kept. `recipient` adds its bare local part and domain, `own` our names. Fit to be stored, to be compared
    with the reply to another recipient, and to be read again (`read_reply`) with the same result.

    >>> mask("5.1.1 <ann@example.com>: user ann unknown on mx1.example.com[192.0.2.1]", recipient="ann@example.com")
    '5.1.1 <recipient>: user <recipient> unknown on <host>[<ip>]'
    """
    return _mask(*_with_stand_in(text[:_LONGEST], recipient, own), tuple(own))


_STAND_IN = "qhvzjx"
"""A name that no word of a reply contains: it takes the place of the recipient's where that makes no difference."""
_STAND_IN_DOMAIN = f"{_STAND_IN}.example"
_STAND_IN_ADDRESS = f"{_STAND_IN}@{_STAND_IN_DOMAIN}"
_ORDINARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*[A-Za-z0-9]")


def _with_stand_in(text: str, recipient: str | None, own: Sequence[str]) -> tuple[str, str | None]:
    """
    The reply as the server would have given it for a mailbox named `_STAND_IN`, at a domain of that name too unless
    the domain stands elsewhere in the text, and that mailbox; unchanged where the name itself may matter. Most servers
    echo the recipient, so that without this no two replies would be alike, and each would have to be masked anew.
    """
    if not recipient or _STAND_IN in text:
        return text, recipient
    local, at, domain = recipient.rpartition("@")
    if not at or not _ORDINARY.fullmatch(local):
        return text, recipient
    plain, echoes = text, 0
    if recipient in text:
        plain = text.replace(recipient, _STAND_IN_ADDRESS)
        echoes = plain.count(_STAND_IN_DOMAIN)
    lower = plain.lower()
    # A bare local part is masked by rules about words; a second address may be somebody else's.
    if local.lower() in lower or plain.count("@") != echoes or _FULLWIDTH_AT in plain:
        return text, recipient
    if domain in lower or any(domain in name for name in own):
        return plain.replace(_STAND_IN_DOMAIN, domain), f"{_STAND_IN}@{domain}"
    return plain, _STAND_IN_ADDRESS


_FULLWIDTH_AT = "\uff20"
_SEPARATORS = r"\s<>()\[\]{}\"',;|"
_TOKEN = re.compile(rf"(?<![^{_SEPARATORS}])[^{_SEPARATORS}]*[@{_FULLWIDTH_AT}./:=\d][^{_SEPARATORS}]*")
_QUOTED_LOCAL = re.compile(rf"\"[^\"\n]{{1,64}}\"(?=[@{_FULLWIDTH_AT}])")
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


def _mask(text: str, recipient: str | None, own: tuple[str, ...]) -> str:
    text = _CONTROLS.sub(" ", text)
    if '"@' in text or f'"{_FULLWIDTH_AT}' in text:
        text = _QUOTED_LOCAL.sub("quoted", text)
    known = _Known(recipient, own)
    text = _TOKEN.sub(lambda found: _masked_token(found[0], known), text)
    if known.local:
        text = _without_local_part(text, known.local)
    return _ANGLES.sub(lambda found: f"<{found[1]}>" if found[1] else found[2], text)


class _Known:
    """Recipient and own names, in lower case, split once per reply."""

    __slots__ = ("address", "domain", "local", "own_addresses", "own_names")

    def __init__(self, recipient: str | None, own: tuple[str, ...]) -> None:
        self.address = recipient.strip().lower() if recipient else ""
        local, _, self.domain = self.address.rpartition("@")
        self.local = local
        self.own_addresses = {name.strip("<>").lower() for name in own if "@" in name}
        self.own_names = {name.strip("[]").lower() for name in own if "@" not in name and name}
        self.own_names.update(address.rpartition("@")[2] for address in self.own_addresses)
        self.own_names.discard(self.domain)
        self.own_names.discard("")


def _masked_token(token: str, known: _Known, *, inner: bool = False) -> str:
    core = token.strip(_EDGES)
    if not core:
        return token
    start = token.index(core)
    before, after = token[:start], token[start + len(core) :]
    lower = core.lower()
    if "://" in core or lower.startswith("www."):
        scheme = max(lower.find("http"), 0)
        return before + core[:scheme] + ("<blocklist>" if _BLOCKLIST.search(lower) else "<url>") + after
    if "@" in token or _FULLWIDTH_AT in token:
        return _masked_address(lower.replace(_FULLWIDTH_AT, "@"), known) + after.replace("@", "")
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
    if all(label in _vocabulary() for label in labels):
        return False
    return len(labels) > 2 or len(top) == 2 or top.startswith("xn--") or top.lower() in _COMMON_TOPS


def _echoes(text: str, recipient: str | None) -> bool:
    if not recipient:
        return False
    local = recipient.strip().lower().rpartition("@")[0]
    return bool(local) and local in text.lower()


_QUOTES = tuple("\"'<([{`\u00ab\u201e\u201c\u2018")


def _without_local_part(text: str, local: str) -> str:
    """
    Mask the bare local part, as in "no such user ann.lee".

    One that is itself a word of replies (`user`, `unknown`, `blocked`) is masked only where quotes or brackets set it
    off; otherwise masking it would take the sense from the sentence.
    """
    lower = text.lower()
    if local not in lower or len(lower) != len(text):
        return text
    word = local in _vocabulary() or len(local) < 2
    parts, last, at = [], 0, lower.find(local)
    while at >= 0:
        end = at + len(local)
        before, after = text[at - 1 : at], text[end : end + 1]
        inside = before.isalnum() or before in ("_", "-", "+") or after.isalnum() or after in ("_", "-")
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
_TYPOGRAPHY = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
)


@cache
def _accents() -> dict[int, str]:
    """Latin letters with marks to their base letter; servers send both `boîte` and `boite`."""
    table = {}
    for point in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = unicodedata.normalize("NFD", chr(point))[0]
        if base.isascii():
            table[point] = base
    # ß is left to casefold ("ss"); these have no decomposition.
    plain = {
        "\u0451": "\u0435",
        "\u0142": "l",
        "\u0131": "i",
        "\u00f8": "o",
        "\u00e6": "ae",
        "\u0111": "d",
        "\u0307": "",
    }
    return {**table, **{ord(letter): base for letter, base in plain.items()}}


def _fold(text: str) -> str:
    if text.isascii():
        return text.replace("`", "'").lower()
    text = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).casefold()
    return unicodedata.normalize("NFC", text).translate(_accents())


_BASIC = re.compile(r"((?:42|45|50|55)\d|521|530|535)(?:[ -]+|$)")
_LEAD = re.compile(r"[\s#(\[<-]*([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)[\s)\]>:,;.-]*")
_TRAILING = re.compile(r"[(\[]#([245]\.\d{1,3}\.\d{1,3})[)\]]")
_BRACKETED = re.compile(r"[\[(]+(<\w+>)[\])]+")


def _reduce(code: int, text: str, recipient: str | None, own: tuple[str, ...]) -> tuple[str, str]:
    """
    Enhanced code (empty if the reply has none, or one of another class) and the masked, folded text of all lines.
    """
    basic = str(code)[:1]
    enhanced, lines = "", []
    for line in _fold(_mask(text, recipient, own)).split("\n"):
        rest = line.lstrip(" -")
        while (found := _BASIC.match(rest)) and found[1][0] == basic:
            rest = rest[found.end() :]
        while found := _LEAD.match(rest):
            if not enhanced and found[1][0] == basic:
                enhanced = found[1]
            rest = rest[found.end() :]
        lines.append(rest)
    folded = " ".join(" ".join(lines).split())
    # qmail and its heirs put the code at the end, in parentheses with a hash sign.
    if not enhanced and (found := _TRAILING.search(folded)) and found[1][0] == basic:
        enhanced = found[1]
    return enhanced, _BRACKETED.sub(r"\1", folded)


_reduce_cached = lru_cache(maxsize=4096)(_reduce)


# ---------------------------------------------------------------------------------------------------------------------
# Rules


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(resources.files("mailvet.data").joinpath("replies.toml").read_text(encoding="utf-8"))


@cache
def rules() -> tuple[Rule, ...]:
    """All rules in the order in which they are tried."""
    document = _document()
    expand = _expander(document["words"])
    return tuple(_rules(document["rule"], expand))


def _rules(rows: Sequence[dict[str, Any]], expand: Callable[[str], str]) -> Iterator[Rule]:
    for row in rows:
        match, unless, enhanced = row.get("match"), row.get("unless"), row.get("enhanced")
        yield Rule(
            id=row["id"],
            stages=_stages(row.get("stages", ["rcpt"])),
            codes=re.compile(row.get("codes", "[45]..")),
            enhanced=None if enhanced is None else re.compile(enhanced),
            match=None if match is None else re.compile(expand(match)),
            unless=None if unless is None else re.compile(expand(unless)),
            reason=None if row["reason"] == "accepted" else Reason(row["reason"]),
            ambiguous=row.get("ambiguous", False),
            limit=row.get("limit"),
            eai=row.get("eai", False),
            operator=row.get("operator"),
            language=row.get("language", "en"),
            source=row["source"],
            date=row["date"],
            examples=tuple(row["examples"]),
        )


def _stages(names: list[str]) -> tuple[Stage, ...]:
    return tuple(Stage) if names == ["any"] else tuple(Stage(name) for name in names)


def _expander(words: dict[str, str]) -> Callable[[str], str]:
    """Replace `{name}` by the pattern of that name; patterns are written with accents and folded like the replies."""
    known: dict[str, str] = {}

    def expand(pattern: str) -> str:
        if "\n" in pattern:
            # Long patterns are wrapped before an alternative; no line begins or ends with a blank that counts.
            pattern = re.sub(r"\s*\n\s*", "", pattern).strip()
        filled = re.sub(r"\{([a-z_]+)\}", lambda found: known[found[1]], pattern)
        return unicodedata.normalize("NFC", filled).translate(_accents())

    for name, pattern in words.items():
        known[name] = expand(pattern)
    return expand


@cache
def _vocabulary() -> frozenset[str]:
    """The words that replies are made of: those of every rule's examples."""
    words: set[str] = set()
    for row in _document()["rule"]:
        for example in row["examples"]:
            bare = re.sub(r"\S*[@/]\S*|(?:[\w-]+\.)+[a-z]{2,}\b|\b\w*[a-z][A-Z]\w*", " ", example)
            words.update(word.lower() for word in re.findall(r"[^\W\d_]{2,}", bare))
    return frozenset(words)

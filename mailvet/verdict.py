"""
The vocabulary: status, reason, recommendation, and the record that carries them.

One table, `REASONS`, says what every reason means, which status it implies, what each policy recommends and
when to look again. The SQL `CASE` expressions, the documentation and the dbt macros are generated from it, so the
tools cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from mailvet.privacy import mask_address, mask_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from typing_extensions import Self

__all__ = [
    "REASONS",
    "RULES_VERSION",
    "SEND_FROM_SCORE",
    "STATUS_COLUMNS",
    "Depth",
    "Evidence",
    "Policy",
    "Reason",
    "ReasonRule",
    "Recommendation",
    "Status",
    "Verdict",
    "email_key",
    "mask_address",
    "mask_addresses",
    "possible_recommendations",
    "recommend",
    "recommendation_sql",
    "verdict_schema",
]

RULES_VERSION = "2026.12"
"""Version of the judgement: reasons, reply rules, reference data. Stored with every verdict."""


class _Word(str, Enum):
    """A closed vocabulary whose members print, compare and serialise as their text."""

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    @cache
    def stored(cls, text: str) -> Self:
        """A word as it stands in a table: of this version, or one that only a newer version knows, shown as it is."""
        if text in cls._value2member_map_:
            return cls(text)
        word = str.__new__(cls, text)
        word._name_ = word._value_ = text
        return word


class Status(_Word):
    """What is known about the address."""

    deliverable = "deliverable"
    undeliverable = "undeliverable"
    risky = "risky"
    unknown = "unknown"


class Recommendation(_Word):
    """What to do with the address."""

    send = "send"
    reverify = "reverify"
    do_not_send = "do_not_send"


class Policy(_Word):
    """What the mail is for. A policy changes recommendations, never facts."""

    marketing = "marketing"
    transactional = "transactional"
    signup = "signup"


class Depth(_Word):
    """How far a run goes: reference data only, DNS too, or the SMTP conversation as well."""

    offline = "offline"
    dns = "dns"
    smtp = "smtp"

    @property
    def rank(self) -> int:
        """0, 1 or 2: a verdict of a lower rank is due again when more depth is asked for."""
        return ("offline", "dns", "smtp").index(self.value)


class Reason(_Word):
    """Why. The list is closed; each reason implies one status."""

    missing = "missing"
    syntax_invalid = "syntax_invalid"
    typo_domain = "typo_domain"
    domain_not_found = "domain_not_found"
    no_mail_server = "no_mail_server"
    null_mx = "null_mx"
    mx_unroutable = "mx_unroutable"
    dns_timeout = "dns_timeout"
    dns_error = "dns_error"
    mailbox_accepted = "mailbox_accepted"
    accept_all = "accept_all"
    security_gateway = "security_gateway"
    mailbox_not_found = "mailbox_not_found"
    mailbox_disabled = "mailbox_disabled"
    mailbox_moved = "mailbox_moved"
    restricted_recipient = "restricted_recipient"
    sender_not_known = "sender_not_known"
    mailbox_full = "mailbox_full"
    recipient_throttled = "recipient_throttled"
    greylisted = "greylisted"
    server_temporary_error = "server_temporary_error"
    sender_blocked = "sender_blocked"
    sender_throttled = "sender_throttled"
    relay_denied = "relay_denied"
    connect_failed = "connect_failed"
    smtp_timeout = "smtp_timeout"
    protocol_error = "protocol_error"
    tarpit = "tarpit"
    smtputf8_unsupported = "smtputf8_unsupported"
    provider_unverifiable = "provider_unverifiable"
    not_probed = "not_probed"
    disposable = "disposable"
    no_reply = "no_reply"
    role_account = "role_account"
    suspected_trap = "suspected_trap"
    suppressed = "suppressed"
    hard_bounced = "hard_bounced"
    repeated_soft_bounce = "repeated_soft_bounce"
    recently_delivered = "recently_delivered"
    recently_engaged = "recently_engaged"
    inactive = "inactive"


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """Everything that follows from one reason."""

    reason: Reason
    status: Status
    layer: str
    """The layer that finds it: syntax, reference, history, route, mailbox or run."""
    marketing: Recommendation
    transactional: Recommendation
    signup: Recommendation
    recheck: tuple[timedelta, ...]
    """When to ask again after the first, second, ... answer alike; the last one repeats. Empty: never."""
    meaning: str
    by_score: bool = False
    """Send when the score is high enough for the policy (`SEND_FROM_SCORE`), else reverify; never where D is listed."""
    give_up_after: int | None = None
    """After so many checks alike in a row, do not send."""

    def is_by_score(self, policy: Policy) -> bool:
        """Whether the score decides under this policy."""
        return self.by_score and self.recommendation(policy) is not Recommendation.do_not_send

    def recommendation(self, policy: Policy) -> Recommendation:
        """What the policy recommends for this reason, before score and number of attempts."""
        choice: Recommendation = getattr(self, policy.value)
        return choice


SEND_FROM_SCORE: dict[Policy, int] = {Policy.marketing: 90, Policy.transactional: 60, Policy.signup: 40}
"""For reasons judged by score (accept-all domains): the score from which a policy says send."""


def _after(text: str) -> tuple[timedelta, ...]:
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    return tuple(int(part[:-1]) * units[part[-1]] for part in text.split())


def _rule(
    reason: str, status: Status, layer: str, recommended: str, recheck: str, meaning: str, **extra: Any
) -> ReasonRule:
    words = {"S": Recommendation.send, "R": Recommendation.reverify, "D": Recommendation.do_not_send}
    marketing, transactional, signup = (words[letter] for letter in recommended)
    return ReasonRule(
        Reason(reason), status, layer, marketing, transactional, signup, _after(recheck), meaning, **extra
    )


_GOOD, _BAD, _RISKY, _UNKNOWN = Status.deliverable, Status.undeliverable, Status.risky, Status.unknown

# Recommendation letters: S send, R reverify, D do not send; in the order marketing, transactional, signup.
# The order of the rows is the precedence when several facts hold: the first that applies is the reason.
_TABLE = (
    _rule("suppressed", _BAD, "history", "DDD", "", "on your own suppression or deny list, unsubscribed or complained"),
    _rule("missing", _UNKNOWN, "syntax", "DDD", "", "the cell is empty, or holds nothing that can be seen"),
    _rule("syntax_invalid", _BAD, "syntax", "DDD", "", "the text cannot be an e-mail address"),
    _rule("domain_not_found", _BAD, "route", "DDD", "1d 90d", "the domain does not exist (NXDOMAIN)"),
    _rule("null_mx", _BAD, "route", "DDD", "90d", "the domain declares that it takes no mail (RFC 7505)"),
    _rule("no_mail_server", _BAD, "route", "DDD", "30d", "the domain has no mail server that can be found"),
    _rule("mx_unroutable", _BAD, "route", "DDD", "30d", "the mail servers lie in loopback, private or reserved space"),
    _rule("hard_bounced", _BAD, "history", "DDD", "180d", "your own mail hard-bounced and was not delivered since"),
    _rule("mailbox_not_found", _BAD, "mailbox", "DDD", "180d", "the server says that there is no such mailbox"),
    _rule("mailbox_disabled", _BAD, "mailbox", "DDD", "180d", "the server says that the mailbox is disabled"),
    _rule("mailbox_moved", _BAD, "mailbox", "DDD", "180d", "the server says that the mailbox has moved away"),
    _rule("restricted_recipient", _BAD, "mailbox", "DDD", "90d", "the mailbox exists but refuses outside senders"),
    _rule("smtputf8_unsupported", _BAD, "mailbox", "RRR", "30d", "the address needs SMTPUTF8 and no server offers it"),
    _rule("suspected_trap", _RISKY, "reference", "DDD", "90d", "evidence points to a spam trap"),
    _rule("disposable", _RISKY, "reference", "DDD", "7d", "a throw-away address service"),
    _rule("typo_domain", _RISKY, "reference", "DDD", "", "the domain is a known misspelling of a mail provider"),
    _rule("no_reply", _RISKY, "reference", "DSD", "7d 30d", "no person reads it: noreply@, bounce@", by_score=True),
    _rule("mailbox_full", _RISKY, "mailbox", "RRS", "3d 5d 7d", "the mailbox exists but is full", give_up_after=3),
    _rule("recipient_throttled", _RISKY, "mailbox", "RSS", "1d", "the mailbox exists and is getting too much mail"),
    _rule("sender_not_known", _RISKY, "mailbox", "RSS", "90d", "the mailbox takes mail only from senders it knows"),
    _rule("recently_engaged", _GOOD, "history", "SSS", "90d", "the recipient opened or clicked recently"),
    _rule("recently_delivered", _GOOD, "history", "SSS", "90d", "your own mail was delivered recently"),
    _rule("repeated_soft_bounce", _RISKY, "history", "RRS", "14d", "your own mail soft-bounced several times in a row"),
    _rule("accept_all", _RISKY, "mailbox", "RSS", "30d", "the server accepts any recipient", by_score=True),
    _rule("security_gateway", _RISKY, "mailbox", "RSS", "30d", "a filter answers for the mailbox", by_score=True),
    _rule("greylisted", _UNKNOWN, "mailbox", "RRS", "5m 30m 4h 1d", "the server asks unknown senders to come back"),
    _rule("server_temporary_error", _UNKNOWN, "mailbox", "RRS", "1h 1d", "the server has a temporary problem"),
    _rule("sender_blocked", _UNKNOWN, "mailbox", "RRS", "1d", "the server refuses us; it says nothing of the mailbox"),
    _rule("sender_throttled", _UNKNOWN, "mailbox", "RRS", "1h 1d", "the server wants us to ask more slowly"),
    _rule("relay_denied", _UNKNOWN, "mailbox", "RRS", "1d", "the server does not serve this domain"),
    _rule("connect_failed", _UNKNOWN, "mailbox", "RRS", "1h 1d", "no mail server could be reached"),
    _rule("smtp_timeout", _UNKNOWN, "mailbox", "RRS", "1h 1d", "the server did not answer in time"),
    _rule("protocol_error", _UNKNOWN, "mailbox", "RRS", "1d", "the server broke off or spoke no SMTP"),
    _rule("tarpit", _UNKNOWN, "mailbox", "RRS", "1d", "the server answers too slowly on purpose"),
    _rule("dns_timeout", _UNKNOWN, "route", "RRS", "1h 1d", "the name servers did not answer in time"),
    _rule("dns_error", _UNKNOWN, "route", "RRS", "1h 1d", "the name servers failed or refused (SERVFAIL, REFUSED)"),
    _rule("provider_unverifiable", _UNKNOWN, "mailbox", "RSS", "30d", "this operator's answers say nothing"),
    _rule("inactive", _RISKY, "history", "RSS", "30d", "no sign of life for months"),
    _rule("role_account", _RISKY, "reference", "DSS", "30d", "a role such as info@, shared by several people"),
    _rule("mailbox_accepted", _GOOD, "mailbox", "SSS", "60d", "the server accepts this recipient and not a random one"),
    _rule("not_probed", _UNKNOWN, "run", "RRS", "30d", "the layer that would know was not asked"),
)


class _Rules(dict[Reason, ReasonRule]):
    """The rules; what is not known of a reason of another version is that nothing is known."""

    def __missing__(self, reason: Reason) -> ReasonRule:
        if not isinstance(reason, Reason):
            raise KeyError(reason)
        again = Recommendation.reverify
        return ReasonRule(reason, Status.unknown, "run", again, again, again, (), _OTHER_VERSION)


_OTHER_VERSION = "a reason of another version of mailvet"

REASONS: dict[Reason, ReasonRule] = _Rules({rule.reason: rule for rule in _TABLE})
"""
Every reason in order of precedence: where several facts hold, the first decides. `Reason.stored` gives those that only
a newer version knows; they have a rule here too, of status unknown.
"""


def recommend(reason: Reason, policy: Policy, score: int, attempts: int) -> Recommendation:
    """
    What to do with an address: a pure function of reason and policy, and for the few reasons that say so of the
    score (0-100) and of the number of checks alike in a row.
    """
    rule = REASONS[reason]
    if rule.give_up_after is not None and attempts >= rule.give_up_after:
        return Recommendation.do_not_send
    if rule.is_by_score(policy):
        return Recommendation.send if score >= SEND_FROM_SCORE[policy] else Recommendation.reverify
    return rule.recommendation(policy)


def possible_recommendations(reason: Reason, policy: Policy) -> frozenset[Recommendation]:
    """All that `recommend` may say of a reason, whatever the score and the number of checks."""
    rule = REASONS[reason]
    by_score = {Recommendation.send, Recommendation.reverify}
    found = by_score if rule.is_by_score(policy) else {rule.recommendation(policy)}
    return frozenset(found | ({Recommendation.do_not_send} if rule.give_up_after is not None else set()))


def recommendation_sql(policy: Policy, *, reason: str, score: str, attempts: str, stored: str | None = None) -> str:
    """
    The same function as `recommend` as a SQL `CASE`; the arguments are SQL expressions for the three inputs, and for
    the recommendation that is `stored`, which holds for a reason of a newer version.
    """
    lines = ["case"]
    for rule in _TABLE:
        if rule.give_up_after is not None:
            lines.append(f"  when {reason} = '{rule.reason}' and {attempts} >= {rule.give_up_after} then 'do_not_send'")
    scored = ", ".join(f"'{rule.reason}'" for rule in _TABLE if rule.is_by_score(policy))
    lines.append(f"  when {reason} in ({scored}) and {score} >= {SEND_FROM_SCORE[policy]} then 'send'")
    lines.append(f"  when {reason} in ({scored}) then 'reverify'")
    for choice in Recommendation:
        reasons = [
            rule.reason for rule in _TABLE if not rule.is_by_score(policy) and rule.recommendation(policy) is choice
        ]
        if reasons:
            lines.append(f"  when {reason} in ({', '.join(repr(str(r)) for r in reasons)}) then '{choice}'")
    return "\n".join([*lines, *([f"  else {stored}"] if stored is not None else []), "end"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that a layer found."""

    layer: str
    fact: str
    """A reason, or the name of a flag."""
    detail: str | None = None
    """What exactly: a syntax_error code, a server's reply with addresses masked, a list's name."""

    @classmethod
    def stored(cls, fact: Mapping[str, Any]) -> Evidence:
        """A fact as it stands in a table; what only a newer version keeps of it is left out."""
        return cls(str(fact.get("layer", "")), str(fact.get("fact", "")), fact.get("detail"))


STATUS_COLUMNS = ("status", "reason", "recommendation", "score", "suggestion", "checked_at")
"""The columns written beside the address, each with the configured prefix (`mailvet_`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The answer for one cell of text. Field by field a row of `mailvet_verdicts`. Times are aware and in UTC.
    """

    email_key: str
    email: str | None
    status: Status
    reason: Reason
    recommendation: Recommendation
    score: int
    suggestion: str | None
    flags: tuple[str, ...]
    domain: str | None
    operator: str | None
    mx_host: str | None
    smtp_code: int | None
    smtp_reply: str | None
    depth: Depth
    evidence: tuple[Evidence, ...] = field(default=())
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    attempts: int = 1
    run_id: str | None = None
    rules_version: str = RULES_VERSION
    mailbox_key: str | None = None
    """The mailbox that the address reaches, whatever its spelling (`mailvet.mailbox_key`); None where it is none."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Verdict:
        """Build a verdict from one row of the verdict table (as `pyarrow.Table.to_pylist` gives it)."""
        values: dict[str, Any] = {
            **{name: row.get(name) for name in cls.__slots__},
            "status": Status.stored(row["status"]),
            "reason": Reason.stored(row["reason"]),
            "recommendation": Recommendation.stored(row["recommendation"]),
            "depth": Depth.stored(row["depth"]),
            "flags": tuple((row.get("flags") or "").split(",")) if row.get("flags") else (),
            "evidence": tuple(map(Evidence.stored, json.loads(row.get("evidence") or "[]"))),
        }
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; times in ISO 8601."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Enum):
                value = value.value
            elif isinstance(value, datetime):
                value = value.isoformat()
            elif name == "evidence":
                value = [{k: v for k, v in asdict(fact).items() if v is not None} for fact in value]
            elif isinstance(value, tuple):
                value = list(value)
            plain[name] = value
        return plain


@cache
def verdict_schema() -> pa.Schema:
    """The Arrow schema of `mailvet_verdicts`: one row per distinct cell text, keyed by `email_key`."""
    import pyarrow as pa

    utc = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("email_key", pa.string(), nullable=False),
            pa.field("email", pa.string()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("recommendation", pa.string(), nullable=False),
            pa.field("score", pa.int16(), nullable=False),
            pa.field("suggestion", pa.string()),
            pa.field("flags", pa.string(), nullable=False),
            pa.field("domain", pa.string()),
            pa.field("operator", pa.string()),
            pa.field("mx_host", pa.string()),
            pa.field("smtp_code", pa.int16()),
            pa.field("smtp_reply", pa.string()),
            pa.field("depth", pa.string(), nullable=False),
            pa.field("evidence", pa.string(), nullable=False),
            pa.field("checked_at", utc, nullable=False),
            pa.field("next_check_at", utc),
            pa.field("attempts", pa.int32(), nullable=False),
            pa.field("run_id", pa.string()),
            pa.field("rules_version", pa.string(), nullable=False),
            pa.field("mailbox_key", pa.string()),
        ]
    )


def email_key(text: str | None) -> str:
    """
    The join key of a cell: lower-case hexadecimal SHA-256 of its exact text in UTF-8, 64 characters.

    A missing value counts as the empty text. Every SQL dialect computes the same from the same cell.
    """
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()

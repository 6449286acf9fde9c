"""The closed vocabulary: statuses, reasons, recommendations, depths and policies, and the rules of each reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "REASONS",
    "RULES_VERSION",
    "SEND_FROM_SCORE",
    "Depth",
    "Policy",
    "Reason",
    "ReasonRule",
    "Recommendation",
    "Status",
    "rules_version",
]

RULES_VERSION = "2026.12"
"""Version of the judgement: reasons, reply rules, reference data. Stored with every verdict."""


def rules_version(lists_digest: str = "") -> str:
    """What a verdict says of the rules it was made by.

    Args:
        lists_digest: short hash of the user's own lists, empty for none (`OwnLists.digest`).
    """
    return f"{RULES_VERSION}+{lists_digest}" if lists_digest else RULES_VERSION


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

"""What a score is the sum of: where each reason starts, and how much each flag adds.

The score is 100 · (1 - P(hard bounce)), with P from a written-down table of log-odds: where each reason starts
(`PRIORS`), and how much each flag adds (`WEIGHTS`). They are prior judgements; what is learnt from your own events
takes the place of the starts. Both tables stand in docs/score.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mailvet.vocabulary import REASONS, Reason, Status

__all__ = [
    "HALF",
    "PRIORS",
    "ROUTED",
    "ROUTE_FOUND",
    "SETTLED",
    "WEIGHTS",
    "Contribution",
    "Prior",
    "Weight",
    "bounce_probability",
    "contributions",
    "logit",
    "probability_of",
    "score_of",
]


@dataclass(frozen=True, slots=True)
class Prior:
    """P(hard bounce) where a reason is all that is known."""

    probability: float
    why: str
    source: str = "judgement"
    upper_odds: float = 2.0
    """
    How many times the odds may be for a list as a whole: the upper end of what the probability may mean, for bounds
    that rest on no outcome of the user's own. Judgement where no source says otherwise.
    """


@dataclass(frozen=True, slots=True)
class Weight:
    """How much a flag adds to the log-odds of a hard bounce, in nats; below zero where it speaks for the address."""

    weight: float
    why: str
    source: str = "judgement"


_WELL_KNOWN = 1.5
"""`Prior.upper_odds` of addresses of which a server or a person has said that they are there."""
_GRADES = "published bounce rates of ZeroBounce's grades of accept-all addresses: 7 to 40 %"
_BY_STATUS = {
    Status.undeliverable: Prior(0.98, "what refuses mail for good takes it again now and then"),
    Status.unknown: Prior(0.12, "nothing is known, so the bounce rate of an ordinary list that was never verified"),
    Status.risky: Prior(0.20, "as at a server that accepts every recipient"),
    Status.deliverable: Prior(0.01, "mailboxes close between check and mail", upper_odds=_WELL_KNOWN),
}
_BY_REASON = {
    Reason.mailbox_accepted: Prior(
        0.01, "the server told it from a random name; mailboxes close all the same", upper_odds=_WELL_KNOWN
    ),
    Reason.recently_delivered: Prior(0.01, "it took your mail a short while ago", upper_odds=_WELL_KNOWN),
    Reason.recently_engaged: Prior(0.005, "your mail was read there", upper_odds=_WELL_KNOWN),
    Reason.recipient_throttled: Prior(0.02, "the mailbox exists"),
    Reason.sender_not_known: Prior(0.10, "the mailbox exists; who is in its address book gets through"),
    Reason.mailbox_full: Prior(0.25, "the mailbox exists; those that are never emptied are closed in the end"),
    Reason.role_account: Prior(0.05, "roles are kept longer than people stay"),
    Reason.no_reply: Prior(0.50, "a system that only sends; often nothing is there but where its server accepts it"),
    Reason.missing: Prior(1.0, "there is nothing to write to"),
    Reason.disposable: Prior(0.40, "made to be thrown away; many are gone within the hour"),
    Reason.typo_domain: Prior(0.90, "hardly any mailbox exists at the misspelt domain"),
    Reason.suspected_trap: Prior(0.50, "traps accept mail as often as not"),
    Reason.accept_all: Prior(
        0.20, "the server says yes to names it made up; the mailbox may not be there", _GRADES, 8 / 3
    ),
    Reason.security_gateway: Prior(0.15, "the filter in front answers; most of its customers' lists are in use"),
    Reason.repeated_soft_bounce: Prior(0.30, "several failures in a row are often one for good"),
    Reason.inactive: Prior(0.15, "mailboxes that are never read are closed in the end"),
    Reason.domain_not_found: Prior(0.995, "no domain, no mail; a registration may have lapsed for a day"),
    Reason.syntax_invalid: Prior(1.0, "it cannot be written to"),
    Reason.suppressed: Prior(0.5, "you must not send; whether it would bounce is not known"),
    Reason.smtputf8_unsupported: Prior(0.97, "no server of the domain can take the address today (RFC 6531)"),
    Reason.hard_bounced: Prior(0.95, "your own mail bounced; mailboxes are seldom opened again"),
}

PRIORS: Mapping[Reason, Prior] = {
    reason: _BY_REASON.get(reason, _BY_STATUS[rule.status]) for reason, rule in REASONS.items()
}
"""Where the score of each reason starts, in the order of the reasons."""

ROUTED = Weight(
    -0.4,
    "syntax, lists and DNS have ruled out about a third of what bounces on a list that was never verified: texts that "
    "are no addresses, misspelt, disposable and dead domains",
)
"""
What a mail route adds where nothing asked the mailbox (`not_probed`): from 12 % to 8.4 %. With b = 12 % of hard bounces
on an ordinary list and a third of them ruled out, (b - b/3) / (1 - b/3) = 8.3 % of the rest still bounce.
"""

WEIGHTS: Mapping[str, Weight] = {
    "relay_alias": Weight(-0.3, "a forwarding alias is made by its service and works until its owner ends it"),
    "tagged": Weight(-0.2, "who adds a +tag knows the mailbox to be theirs and means to sort its mail"),
    "free": Weight(-0.1, "large providers keep mailboxes for years"),
    "no_reply": Weight(0.5, "an address of a system that only sends; often there is no mailbox behind it"),
    "accepted": Weight(-4.5, "the server told it from a random name"),
    "gibberish": Weight(0.7, "random characters are typed to get past a form, or made up by a program"),
    "keyboard_walk": Weight(0.9, "what fingers do to fill a field; real mailboxes of the kind are rare"),
    "series": Weight(0.5, "numbered addresses are made by a program; some exist, as of tills and of students"),
    "burst": Weight(0.4, "many sign-ups of one domain at once are a form under attack, or colleagues after a meeting"),
    "local_part_unlikely": Weight(1.0, "the operator does not give such names out, at least not today"),
    "unknown_tld": Weight(4.0, "no such top-level domain is known; only one that is newer than the list can take mail"),
    "duplicate_of": Weight(0.1, "another spelling of a mailbox is a sign-up repeated, now and then a guess"),
}
"""
What each flag adds. Signals of the same kind often come together, and adding them as if they did not overstates it:
so each is small. They count only while the answer is open (not `SETTLED`).
"""

ROUTE_FOUND = "route_found"
"""The fact of the evidence that a domain takes mail."""

HALF = 0.5 + 1e-9
"""What is added before a score is cut off to a whole number; floating point may take a little from a half."""

SETTLED = frozenset(
    {rule.reason for rule in REASONS.values() if rule.status is Status.undeliverable}
    | {Reason.mailbox_accepted, Reason.typo_domain}
)
"""Reasons whose score no flag moves: the server, the DNS or your own mail has said what a flag only hints at."""


def bounce_probability(reason: Reason) -> float:
    """P(hard bounce) when nothing but the reason is known, between 0 and 1."""
    return PRIORS[reason].probability


class Contribution(NamedTuple):
    """One line of the sum behind a score."""

    name: str
    """A reason, or a flag."""
    log_odds: float
    why: str


def contributions(reason: Reason, flags: Collection[str], *, routed: bool = False) -> list[Contribution]:
    """What a score is the sum of: the start of the reason, then the flags that count, in the order of `WEIGHTS`.

    Args:
        reason: of the verdict.
        flags: of the verdict.
        routed: its domain takes mail (the fact `route_found`), which counts where nothing asked the mailbox.
    """
    if reason not in PRIORS:
        return []  # of another version, whose sum is not known
    start = Contribution(str(reason), logit(bounce_probability(reason)), PRIORS[reason].why)
    if reason in SETTLED:
        return [start]
    shifts = [Contribution(name, row.weight, row.why) for name, row in WEIGHTS.items() if name in flags]
    if routed and reason is Reason.not_probed:
        shifts.append(Contribution(ROUTE_FOUND, ROUTED.weight, ROUTED.why))
    return [start, *shifts]


def probability_of(reason: Reason, flags: Collection[str], *, routed: bool = False) -> float:
    """P(hard bounce) of one reason and its flags; the same as `mailvet.scoring.columns.judge` gives to a row."""
    parts = [part.log_odds for part in contributions(reason, flags, routed=routed)]
    return 1 / (1 + math.exp(-(sum(parts[:1]) + sum(parts[1:]))))


def score_of(probability: float) -> int:
    """The score for people, 0 to 100: 100 x (1 - P(hard bounce)) as a whole number."""
    return math.floor(100 * (1 - probability) + HALF)


def logit(probability: float) -> float:
    """Log-odds of a probability, kept finite."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))

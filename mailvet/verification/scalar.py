"""One address through the layers, without tables.

A table engine takes milliseconds to set out for what a single address needs microseconds for, and its threads do not
survive a fork. So `mailvet.verify` goes this way, in plain Python. It is the same judgement as that of the columns
(`mailvet.verification.columns`, `mailvet.scoring.columns`), read from the same lists and the same table of reasons;
`tests/verification/test_scalar.py` holds that both give the same verdict for every kind of cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from mailvet.policies import recommend
from mailvet.privacy import keyed, mask_text, unnamed_suggestion
from mailvet.reference.disposable_servers import disposable_server
from mailvet.reference.own_lists import OwnLists
from mailvet.reference.providers import operator_of
from mailvet.reference.scalar import look_up
from mailvet.reference.typos.addresses import suggest_for, suggest_repaired
from mailvet.reference.typos.domains import has_unknown_tld
from mailvet.scoring.order import AT_LEAST, EVIDENCE_LAYERS, FLAGS, LONGEST_KEPT, RANKS, SERIES_DETAIL
from mailvet.scoring.priors import ROUTE_FOUND, probability_of, score_of
from mailvet.signals.scalar import TableSignals, examine_table, is_gibberish, is_keyboard_walk
from mailvet.syntax.mailbox_key import key_of, mailbox_of
from mailvet.syntax.missing import is_missing
from mailvet.syntax.parser import Address, parse
from mailvet.verdict import Evidence, Verdict, email_key
from mailvet.vocabulary import REASONS, Reason, Status, rules_version

if TYPE_CHECKING:
    from mailvet.dns.routes import Route
    from mailvet.probing.domain import MailboxResult
    from mailvet.verification.verdict_settings import VerdictSettings

__all__ = [
    "ODD_DOTS",
    "OWN_TRAP",
    "RETRY_AFTER_NOT_PROBED",
    "SERVED_BY",
    "SKIP_PROBING",
    "Finding",
    "as_row",
    "examine",
    "examine_all",
    "judge",
    "judge_all",
    "on_own_list",
]

SKIP_PROBING = frozenset({Reason.disposable, Reason.typo_domain, Reason.provider_unverifiable})
"""Reasons of the reference layer that no answer of a mail server could change."""
OWN_TRAP = "on your list of traps"
"""What the evidence says of an address that the user knows for a spam trap."""
ODD_DOTS = "two dots in a row or one before the @: a mobile carrier gave such addresses out, but SMTP cannot name them"
"""What is said of an address that is real though RFC 5321 does not allow it."""
SERVED_BY = "its mail server serves disposable domains alone: "
"""What stands before the server's name in the evidence."""

RETRY_AFTER_NOT_PROBED: Final = 3600.0
"""Seconds until a row is due again whose layers could not be asked."""


@dataclass(slots=True)
class Finding:
    """What the layers have found out about one cell."""

    cell: str
    local: str | None = None
    domain: str | None = None
    mailbox: str | None = None
    """The one spelling for all addresses of the mailbox (`mailvet.syntax.mailbox_key.mailbox_of`)."""
    suggestion: str | None = None
    flags: set[str] = field(default_factory=set)
    facts: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Where it stands in the evidence (`mailvet.scoring.order.EVIDENCE_LAYERS`) -> (fact, detail)."""
    reasons: list[Reason] = field(default_factory=list)
    route: Route | None = None
    mailbox_result: MailboxResult | None = None
    retry_after: float | None = None

    @property
    def settled(self) -> bool:
        """No DNS answer could change the verdict."""
        return self.domain is None or Reason.suppressed in self.reasons

    @property
    def worth_probing(self) -> bool:
        """A mail server's reply could."""
        alive = self.route is not None and self.route.reason is None
        return alive and not self.settled and SKIP_PROBING.isdisjoint(self.reasons)

    def add_reason(self, layer: str, reason: Reason, detail: str | None) -> None:
        """Note a reason of a layer."""
        self.reasons.append(reason)
        self.facts[layer] = (str(reason), detail)

    def add_route(self, route: Route) -> None:
        """Take in the route of the domain."""
        self.route = route
        if route.reason is not None:
            self.reasons.append(route.reason)
        fact = str(route.reason) if route.reason is not None else ROUTE_FOUND
        self.facts["route"] = (fact, route.detail or route.mx_host)
        known = self.flags & {"allowed", "disposable", "relay_alias"}
        if not known and (server := disposable_server(route)) is not None:
            self.flags.add("disposable")
            self.add_reason("reference", Reason.disposable, f"{SERVED_BY}{server}")

    def add_mailbox_result(self, result: MailboxResult) -> None:
        """Take in what the mailbox layer found out."""
        self.mailbox_result = result
        self.retry_after = result.retry_after
        self.add_reason("mailbox", result.reason, result.detail or result.reply)
        probed = result.code is not None
        flags = {
            "accept_all": result.accept_all is True,
            "accept_all_unknown": probed and result.accept_all is None,
            "gateway": result.mx_host is not None and operator_of(result.mx_host).answers == "gateway",
            "probed": probed,
            "accepted": result.reason is Reason.mailbox_accepted and Reason.no_reply in self.reasons,
        }
        self.flags |= {name for name, holds in flags.items() if holds}

    def add_table_signals(self, signals: TableSignals) -> None:
        """Take in what the whole table shows about this cell."""
        if self.domain is None:
            return
        if signals.series_size:
            self.flags.add("series")
            self.facts["series"] = ("series", f"{signals.series_size}{SERIES_DETAIL}")
        if signals.duplicate_of is not None:
            self.flags.add("duplicate_of")
            self.facts["duplicate"] = ("duplicate_of", signals.duplicate_of)
        if signals.burst:
            self.flags.add("burst")

    def mark_not_probed(self, why: str) -> None:
        """A layer that would know more could not be asked."""
        self.facts["run"] = (str(Reason.not_probed), why)
        self.retry_after = RETRY_AFTER_NOT_PROBED


def examine(cell: str, own: OwnLists, *, allow_special_use: bool) -> Finding:
    """What syntax and lists say about a cell: all that needs no network."""
    finding = Finding(cell)
    if is_missing(cell):
        finding.add_reason("syntax", Reason.missing, None)
        return finding
    parsed = parse(cell, allow_special_use=allow_special_use)
    if not isinstance(parsed, Address):
        finding.suggestion = suggest_repaired(parsed.suggestion)
        finding.add_reason("syntax", Reason.syntax_invalid, parsed.code)
        return finding
    finding.local, finding.domain = parsed.local, parsed.domain
    finding.mailbox = mailbox_of(parsed.local, parsed.domain)
    if parsed.needs_smtputf8:
        finding.flags.add("eai")
    if parsed.odd_dots:
        finding.flags.add("odd_dots")
    if has_unknown_tld(parsed.domain, allow_special_use=allow_special_use):
        finding.flags.add("unknown_tld")
    _look_up(finding, parsed.local, parsed.domain, own)
    return finding


def _look_up(finding: Finding, local: str, domain: str, own: OwnLists) -> None:
    found = look_up(local, domain, finding.mailbox or "", own)
    finding.flags |= found.flags
    if "relay_alias" not in found.flags and is_gibberish(found.base):
        finding.flags.add("gibberish")
    if is_keyboard_walk(found.base):
        finding.flags.add("keyboard_walk")
    if "allowed" not in found.flags:
        finding.suggestion = suggest_for(local, domain)
    if found.suppressed:
        finding.add_reason("history", Reason.suppressed, on_own_list(found.suppressed_as))
    if "own_trap" in found.flags:
        finding.add_reason("reference", Reason.suspected_trap, OWN_TRAP)
    elif "disposable" in found.flags:
        finding.add_reason("reference", Reason.disposable, found.typo_of)
    elif found.typo_of is not None:
        finding.add_reason("reference", Reason.typo_domain, found.typo_of)
    elif "odd_dots" in finding.flags:
        finding.add_reason("reference", Reason.provider_unverifiable, ODD_DOTS)
    elif "no_reply" in finding.flags:
        finding.add_reason("reference", Reason.no_reply, None)
    elif "role" in finding.flags:
        finding.add_reason("reference", Reason.role_account, None)


def on_own_list(spelling: str | None) -> str:
    """What the evidence says of a suppressed address; `spelling`: the entry, where it is another one of the mailbox."""
    return "on your own list" + (f" as {spelling}" if spelling else "")


def examine_all(cells: Sequence[str], own: OwnLists, settings: VerdictSettings) -> list[Finding]:
    """What syntax, lists and, where the settings say so, all of the cells together say about each; distinct cells."""
    shown = examine_table(cells) if len(cells) > 1 and settings.whole_table else {}
    findings = [examine(cell, own, allow_special_use=settings.allow_special_use) for cell in cells]
    for finding in findings:
        if finding.cell in shown:
            finding.add_table_signals(shown[finding.cell])
    return findings


# -------------------------------------------------------------------- judging

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def judge(finding: Finding, settings: VerdictSettings, *, lists_digest: str = "") -> Verdict:
    """The verdict, as `mailvet.scoring.columns.judge` gives it for a row checked for the first time."""
    reason = min(finding.reasons, key=RANKS.__getitem__, default=Reason.not_probed)
    routed = finding.facts.get("route", ("", None))[0] == ROUTE_FOUND
    probability = probability_of(reason, finding.flags, routed=routed)
    score = score_of(probability)
    now = datetime.now(timezone.utc)
    wait = _wait(reason, finding.retry_after, settings)
    result, route = finding.mailbox_result, finding.route
    suggestion, reply = finding.suggestion, result.reply if result is not None else None
    key, double = settings.privacy_key, finding.facts.get("duplicate", ("", None))
    if key is not None and double[1] is not None:
        finding.facts["duplicate"] = (double[0], keyed(key, double[1]))
    if not settings.store_addresses:
        finding.facts = {place: (fact, detail and mask_text(detail)) for place, (fact, detail) in finding.facts.items()}
        reply = reply and mask_text(reply)
        fact, code = finding.facts.get("syntax", ("", None))
        rule = code if fact == str(Reason.syntax_invalid) and code else str(Reason.typo_domain)
        suggestion = suggestion and unnamed_suggestion(suggestion, rule)
    keep = settings.store_addresses and len(finding.cell.encode("utf-8", "surrogatepass")) <= LONGEST_KEPT
    return Verdict(
        email_key=email_key(finding.cell),
        email=finding.cell if keep else None,
        status=REASONS[reason].status,
        reason=reason,
        recommendation=recommend(reason, settings.policy, score, 1, probability=probability),
        score=score,
        suggestion=suggestion,
        flags=tuple(flag for flag in FLAGS if flag in finding.flags),
        domain=finding.domain,
        operator=route.operator if route is not None else None,
        mx_host=(result.mx_host if result is not None else None) or (route.mx_host if route is not None else None),
        smtp_code=result.code if result is not None else None,
        smtp_reply=reply,
        depth=settings.depth,
        evidence=tuple(
            Evidence(layer, fact, None if detail is None else _CONTROLS.sub(" ", detail))
            for place, layer in EVIDENCE_LAYERS.items()
            if place in finding.facts
            for fact, detail in [finding.facts[place]]
        ),
        checked_at=now,
        next_check_at=None if wait is None else now + wait,
        rules_version=rules_version(lists_digest),
        mailbox_key=None if finding.mailbox is None else key_of(finding.mailbox),
        bounce_probability=probability,
    )


def judge_all(findings: Sequence[Finding], settings: VerdictSettings, own: OwnLists) -> list[Verdict]:
    """The verdicts, in the order of the findings."""
    digest = own.digest
    return [judge(finding, settings, lists_digest=digest) for finding in findings]


def _wait(reason: Reason, retry_after: float | None, settings: VerdictSettings) -> timedelta | None:
    rule = REASONS[reason]
    schedule = rule.recheck
    if reason is Reason.greylisted and settings.after_greylisting:
        schedule = settings.after_greylisting
    wait = schedule[0] if schedule else None
    if retry_after is None or rule.status is not Status.unknown:
        return wait
    asked_for = timedelta(seconds=retry_after)
    return max(wait, asked_for) if reason in AT_LEAST and wait is not None else asked_for


def as_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a row of the verdict table: what `Verdict.from_row` reads."""
    facts = [
        {name: getattr(fact, name) for name in ("layer", "fact", "detail") if getattr(fact, name) is not None}
        for fact in verdict.evidence
    ]
    return {
        **{name: getattr(verdict, name) for name in Verdict.__slots__},
        **{name: str(getattr(verdict, name)) for name in ("status", "reason", "recommendation", "depth")},
        "flags": ",".join(verdict.flags),
        "evidence": json.dumps(facts, ensure_ascii=False, separators=(",", ":")),
    }

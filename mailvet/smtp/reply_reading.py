"""What a reply of a mail server means for the recipient that was asked about.

The rules are data (`mailvet/data/replies.toml`), tried in the order of the file; the first that fits decides. Two
things are not left to the data. A reason whose status is undeliverable is only ever given for a permanent (5xx)
reply to RCPT, because a temporary reply and a refusal of the connection, the greeting or the sender say nothing about
a mailbox. And a reply is masked before it is matched, so that an echoed `spam-trap@`, `552@` or `[5.7.8.1]` is never
taken for a policy word or a code.

Codes are those of RFC 5321 section 4.2 (basic) and RFC 3463, RFC 5248 and RFC 7505 (enhanced).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from mailvet.smtp.masking import FULLWIDTH_AT as _FULLWIDTH_AT
from mailvet.smtp.masking import LONGEST, STAND_IN, STAND_IN_ADDRESS, echoes, mask, masked_text, with_stand_in
from mailvet.smtp.masking import ORDINARY as _ORDINARY
from mailvet.smtp.reply_rules import Rule, Stage, fold, rules
from mailvet.smtp.retry_after import retry_after
from mailvet.vocabulary import REASONS, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reading", "Rule", "Stage", "classify_reply", "mask", "read_and_mask", "read_reply", "rules", "weigh"]


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


def classify_reply(stage: Stage | str, code: int, text: str, recipient: str | None = None) -> Reason | None:
    """Read one SMTP reply; None means that the server accepted.

    `stage` is what the reply is to: connect, hello, mail or rcpt. `text` is what follows the basic code, the lines
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
    """Read one SMTP reply.

    `own` holds our MAIL FROM address, our hello name and our source addresses: what is said of them is said of us.
    Raises ValueError for a stage that is none.
    """
    stage = stage if isinstance(stage, Stage) else Stage(stage)
    eai = None if recipient is None else not recipient.isascii()
    return _read(stage, code, *with_stand_in(text[:LONGEST], recipient, own), tuple(own), eai)


def read_and_mask(
    stage: Stage, code: int, text: str, local: str, domain: str, own: tuple[str, ...]
) -> tuple[Reading, str]:
    """What `read_reply` and `mask` give, in one go: most servers say the same to one recipient as to the next."""
    text = text[:LONGEST]
    recipient = f"{local}@{domain}"
    if len(text) > _LONGEST_CACHED:
        plain, stand_in = with_stand_in(text, recipient, own)
        return _both(stage, code, plain, stand_in, own, not recipient.isascii())
    echoed = recipient in text
    key = (code, text.replace(recipient, STAND_IN_ADDRESS) if echoed else text, echoed, own)
    if stage is Stage.rcpt and (known := _familiar.get(key)) is not None:
        result, lower, ours = known
        # What `with_stand_in` asks of the recipient; what it asks of the text was asked before.
        if local.lower() not in lower and domain not in lower and domain not in ours and _ORDINARY.fullmatch(local):
            return result
    plain, stand_in = with_stand_in(text, recipient, own)
    if stand_in == recipient:
        return _both(stage, code, plain, stand_in, own, not recipient.isascii())
    result = _both_cached(stage, code, plain, stand_in, own, False)
    if stage is Stage.rcpt and stand_in == STAND_IN_ADDRESS:
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
_LONGEST_CACHED = 512
"""Characters; hardly a real reply is longer, and so a number of entries is a bound in bytes as well."""


def _both(
    stage: Stage, code: int, text: str, recipient: str | None, own: tuple[str, ...], eai: bool
) -> tuple[Reading, str]:
    return _read(stage, code, text, recipient, own, eai), masked_text(text, recipient, own)


_both_cached = lru_cache(maxsize=8192)(_both)


def _read(stage: Stage, code: int, text: str, recipient: str | None, own: tuple[str, ...], eai: bool | None) -> Reading:
    if "@" in text or _FULLWIDTH_AT in text or echoes(text, recipient):
        # Not cached under the clear text: no table of ours should keep addresses longer than needed.
        cached = recipient is not None and recipient.startswith(f"{STAND_IN}@") and len(text) <= _LONGEST_CACHED
        reduce = _reduce_cached if cached else _reduce
        enhanced, folded = reduce(code, text, recipient, own)
    else:
        # Without an echo the local part makes no difference, so that one entry serves a whole domain.
        domain = recipient.rpartition("@")[2] if recipient else None
        reduce = _reduce_cached if len(text) <= _LONGEST_CACHED else _reduce
        enhanced, folded = reduce(code, text, domain and f"@{domain}", own)
    return (_judge if len(folded) <= _LONGEST_CACHED else _judge_anew)(stage, code, enhanced, folded, eai)


def weigh(
    reply: Reading,
    masked: str,
    control: Reading | None,
    control_masked: str | None,
    *,
    another_accepted: bool,
) -> Reading:
    """Read a reply again in the light of the reply to a random control address of the same domain.

    `masked` and `control_masked` are the two replies as `mask` gives them, from the same identity (source address,
    hello name, MAIL FROM). `another_accepted` says whether that identity had another recipient of the domain
    accepted; asked after the control, it also shows that we were not shut out in the meantime. Never makes an accepted
    recipient anything else: accept-all is for the caller to call.

    - A refusal that could be read two ways means "no such mailbox" only if an address that cannot exist got the very
      same refusal while another recipient was accepted.
    - A refusal that speaks of one mailbox (disabled, full, moved, restricted), given alike for a random address,
      says nothing of this mailbox; with another recipient accepted it is the server's way to say "unknown".
    - An allow list that a random address keeps as well is the server's, not a person's: a refusal of us.
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
        if reply.reason is Reason.sender_not_known:
            return replace(reply, reason=Reason.sender_blocked, rule="control.same_refusal")
        return replace(reply, reason=Reason.server_temporary_error, rule="control.same_refusal")
    return reply


_PERSONAL = frozenset(
    {
        Reason.mailbox_disabled,
        Reason.mailbox_full,
        Reason.mailbox_moved,
        Reason.recipient_throttled,
        Reason.restricted_recipient,
        Reason.sender_not_known,
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


def _judge_anew(stage: Stage, code: int, enhanced: str, folded: str, eai: bool | None) -> Reading:
    lines = tuple(dict.fromkeys(re.split("\n ?", folded)))
    # A sentence that a server wrapped may refuse us, but never a mailbox: its second half has lost its subject.
    sentences = tuple(dict.fromkeys((*lines, *folded.replace("\n ", " ").split("\n"))))
    for rule in _candidates(stage, code, enhanced, eai):
        within = lines if _final(rule) else sentences
        if rule.match is None or any(map(rule.match.search, within)):
            if rule.unless is not None and any(map(rule.unless.search, sentences)):
                continue
            if rule.alone and not _alone(rule, lines):
                continue
            wait = None if rule.reason is None else retry_after(" ".join(folded.split()))
            return Reading(rule.reason, rule.ambiguous, wait, rule.limit, rule.id)
    # Every stage and class ends in a default rule; this is for codes that are none at all.
    return Reading(Reason.protocol_error, False, None, None, "default.no_code")


_judge = lru_cache(maxsize=8192)(_judge_anew)


def _final(rule: Rule) -> bool:
    """Whether the rule, alone or with a control, can make an address undeliverable."""
    return rule.ambiguous or (rule.reason is not None and REASONS[rule.reason].status is Status.undeliverable)


def _alone(rule: Rule, lines: Sequence[str]) -> bool:
    """Whether no line but those that the rule matches says anything: a generic first line leaves it to the later."""
    others = [line for line in lines if rule.match is None or not rule.match.search(line)]
    return not any(set(re.findall(r"(?<![<\w])[^\W\d_]{2,}(?![>\w])", line)) - _SAYS_NOTHING for line in others)


# fmt: off
_SAYS_NOTHING = frozenset({
    "action", "address", "at", "by", "check", "code", "contact", "details", "error", "errors", "explanation", "for",
    "further", "go", "help", "helo", "info", "information", "is", "learn", "mail", "mailbox", "message", "messages",
    "more", "need", "no", "not", "of", "on", "or", "please", "postmaster", "recipient", "rcpt", "refer",
    "requested", "reply", "response", "see", "said", "support", "taken", "the", "this", "to", "unavailable", "via",
    "visit", "you", "your",
})
# fmt: on
"""Words of lines that only repeat or point elsewhere."""


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
        return about_mailbox or not _final(rule)

    return tuple(rule for rule in rules() if fits(rule))


# ---------------------------------------------------------------------------------------------------------------------
# Reducing a reply to its code and its masked, folded text


_BASIC = re.compile(r"#?((?:42|45|50|55)\d|521|530|535)(?:[ :-]+|$)")
_LEAD = re.compile(r"[\s#(\[<'-]*([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)[\s)\]>:,;.-]*")
_TRAILING = re.compile(r"[(\[]#([245]\.\d{1,3}\.\d{1,3})[)\]]")
_BRACKETED = re.compile(r"[\[(]+(<\w+>)[\])]+")
_SETTLES_NOTHING = re.compile(r"[45]\.[0125]\.0")
"""X.0.0, X.1.0, X.2.0 and X.5.0 name a class of causes and no cause (RFC 3463 section 3): a later code is better."""
_RELAYED = re.compile(r"(?:[^\w\n]*(?:unknown address error|other address status)) (?:\d{3}[ -])?(?=')")
"""Cisco's gateways put the reply of the server behind into quotes."""
_LONG_WORD = re.compile(r"[!-~]{61,}")
_QUOTES = re.compile(r"(?: said:|->)$")
"""What stands on the next line is the reply of a third server, and belongs to this sentence."""
_UNFINISHED = re.compile(r"[^\s.!?:;)\]]$")


def _reduce(code: int, text: str, recipient: str | None, own: tuple[str, ...]) -> tuple[str, str]:
    """Enhanced code (empty if the reply has none, or one of another class) and the masked, folded text.

    Lines end in a line feed, and a line that goes on with the sentence of the one before begins with a blank.
    """
    basic = str(code)[:1]
    codes: list[str] = []
    folded = ""
    for line in _LONG_WORD.sub("<id>", masked_text(text, recipient, own)).split("\n"):
        rest = _without_codes(line, basic, codes)
        rest = " ".join(rest.split())
        if not rest:
            continue
        if _QUOTES.search(folded):
            folded += " "
        elif folded:
            folded += "\n " if rest[0].islower() and _UNFINISHED.search(folded) else "\n"
        folded += _BRACKETED.sub(r"\1", fold(rest))
    enhanced = next((found for found in codes if not _SETTLES_NOTHING.fullmatch(found)), codes[0] if codes else "")
    # qmail and its heirs put the code at the end, in parentheses with a hash sign.
    if not enhanced and (found := _TRAILING.search(folded)) and found[1][0] == basic:
        enhanced = found[1]
    return enhanced, folded


def _without_codes(line: str, basic: str, codes: list[str]) -> str:
    """The line behind the codes it begins with; enhanced ones of the class of the basic one are appended to `codes`."""
    rest = line.lstrip(" -")
    while True:
        if (found := _BASIC.match(rest)) and found[1][0] == basic:
            pass
        elif found := _LEAD.match(rest):
            if found[1][0] == basic:
                codes.append(found[1])
        elif not (found := _RELAYED.match(rest.lower())):
            return rest
        rest = rest[found.end() :]


_reduce_cached = lru_cache(maxsize=4096)(_reduce)

"""What to do about a reason under a policy, in Python and as SQL.

A policy is one of `mailvet.vocabulary.Policy`, or one of the user's own: `[policies.NAME]` in `mailvet.toml`, based on
one of those, with a line for each reason that it treats otherwise. A policy changes recommendations, never facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Union

from mailvet.vocabulary import _TABLE, REASONS, SEND_FROM_SCORE, Policy, Reason, Recommendation

__all__ = [
    "NEVER_SENT",
    "AnyPolicy",
    "OwnPolicy",
    "OwnRule",
    "base_of",
    "own_policy",
    "possible_recommendations",
    "recommend",
    "recommendation_sql",
]

NEVER_SENT = frozenset({Reason.suppressed, Reason.missing, Reason.syntax_invalid})
"""Reasons that no policy may send to: the person objected, or there is nothing to send to."""


@dataclass(frozen=True, slots=True)
class OwnRule:
    """What a policy of the user's says of one reason: a recommendation, or `send` under conditions, all of them."""

    otherwise: Recommendation
    """What is recommended where a condition does not hold; without conditions always."""
    send_below_bounce: float | None = None
    """Send where P(hard bounce) is below this, between 0 and 1."""
    send_from_score: int | None = None
    """Send from this score on, 0 to 100."""
    send_within: timedelta | None = None
    """Send while the verdict is no older."""

    @property
    def is_conditional(self) -> bool:
        """Whether there is a condition."""
        return any(value is not None for value in (self.send_below_bounce, self.send_from_score, self.send_within))

    def recommend(self, score: int, probability: float, age: timedelta) -> Recommendation:
        """See `recommend`."""
        holds = (
            (self.send_below_bounce is None or probability < self.send_below_bounce)
            and (self.send_from_score is None or score >= self.send_from_score)
            and (self.send_within is None or age <= self.send_within)
        )
        return Recommendation.send if self.is_conditional and holds else self.otherwise


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """A policy of the user's."""

    name: str
    based_on: Policy
    """What holds for every reason without a rule."""
    rules: tuple[tuple[Reason, OwnRule], ...]

    def __str__(self) -> str:
        return self.name

    def rule(self, reason: Reason) -> OwnRule | None:
        """What it says of a reason itself."""
        return next((rule for each, rule in self.rules if each is reason), None)

    @property
    def uses_age(self) -> bool:
        """Whether a recommendation depends on how old the verdict is."""
        return any(rule.send_within is not None for _, rule in self.rules)


AnyPolicy = Union[Policy, OwnPolicy]  # noqa: UP007  (`|` of an enumeration is no type before Python 3.11)


def base_of(policy: AnyPolicy) -> Policy:
    """The policy of `mailvet.vocabulary` that it is, or is based on."""
    return policy.based_on if isinstance(policy, OwnPolicy) else policy


# -------------------------------------------------------------------- read

_CONDITIONS = ("send_below_bounce", "send_from_score", "send_within")


def own_policy(name: str, table: Mapping[str, Any]) -> OwnPolicy:
    """Read a policy as people write it.

    Args:
        name: of the policy.
        table: `based_on` (default: marketing), and for each reason a recommendation or a table of conditions.

    Raises:
        ValueError: what is wrong, and what there is.
    """
    if name in set(map(str, Policy)):
        raise ValueError(f"{name} is a policy of mailvet's; give yours another name and base it on that one")
    base = table.get("based_on", str(Policy.marketing))
    if base not in set(map(str, Policy)):
        raise ValueError(f"based_on is {base!r}; choose one of {', '.join(map(str, Policy))}")
    rules = []
    for word, value in table.items():
        if word == "based_on":
            continue
        if word not in set(map(str, Reason)):
            import difflib

            near = difflib.get_close_matches(str(word), [str(reason) for reason in Reason], 1)
            hint = f"; did you mean {near[0]}?" if near else "; docs/verdicts.md lists all of them"
            raise ValueError(f"{word} is no reason{hint}")
        reason = Reason(word)
        rule = _own_rule(reason, value)
        if reason in NEVER_SENT and rule != OwnRule(Recommendation.do_not_send):
            raise ValueError(f"{reason} is do_not_send under every policy; leave the line out")
        rules.append((reason, rule))
    return OwnPolicy(name, Policy(base), tuple(rules))


def _own_rule(reason: Reason, value: Any) -> OwnRule:
    from mailvet.setting_types import parse_duration, parse_share

    words = ", ".join(map(str, Recommendation))
    if isinstance(value, str):
        if value not in set(map(str, Recommendation)):
            raise ValueError(f"{reason} is {value!r}; write one of {words}, or conditions in braces")
        return OwnRule(Recommendation(value))
    if not isinstance(value, Mapping):
        raise ValueError(f"{reason} is {value!r}; write one of {words}, or {{send_below_bounce = 0.03}}")
    if odd := [key for key in value if key not in (*_CONDITIONS, "otherwise")]:
        raise ValueError(f"{reason}: there is no condition {odd[0]}; there are: {', '.join(_CONDITIONS)}, otherwise")
    if not any(key in value for key in _CONDITIONS):
        raise ValueError(f"{reason} has no condition; there are: {', '.join(_CONDITIONS)}")
    otherwise = value.get("otherwise", str(Recommendation.reverify))
    if otherwise not in (str(Recommendation.reverify), str(Recommendation.do_not_send)):
        raise ValueError(f"{reason}: otherwise is {otherwise!r}; write reverify or do_not_send")
    below, score, within = (value.get(key) for key in _CONDITIONS)
    try:
        if below is not None:
            if isinstance(below, bool):
                raise ValueError(f"{below!r} is no share; write for example '3%' or 0.03")
            below = parse_share(str(below))
        if within is not None:
            within = parse_duration(within)
    except ValueError as error:
        raise ValueError(f"{reason}: {error}") from None
    if score is not None and (isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 100):
        raise ValueError(f"{reason}: send_from_score is {score!r}; write a whole number from 0 to 100")
    return OwnRule(Recommendation(otherwise), below, score, within)


# -------------------------------------------------------------------- applied


def recommend(
    reason: Reason,
    policy: AnyPolicy,
    score: int,
    attempts: int,
    *,
    probability: float | None = None,
    age: timedelta = timedelta(0),
) -> Recommendation:
    """What to do with an address: a pure function.

    Args:
        reason: of the verdict.
        policy: what the mail is for.
        score: 0 to 100.
        attempts: checks alike in a row.
        probability: P(hard bounce), which policies of the user's own may look at; None: what the score tells of it.
        age: of the verdict; the same.
    """
    if isinstance(policy, OwnPolicy):
        own = policy.rule(reason)
        if own is not None:
            return own.recommend(score, 1 - score / 100 if probability is None else probability, age)
        policy = policy.based_on
    rule = REASONS[reason]
    if rule.give_up_after is not None and attempts >= rule.give_up_after:
        return Recommendation.do_not_send
    if rule.is_by_score(policy):
        return Recommendation.send if score >= SEND_FROM_SCORE[policy] else Recommendation.reverify
    return rule.recommendation(policy)


def possible_recommendations(reason: Reason, policy: AnyPolicy) -> frozenset[Recommendation]:
    """All that `recommend` may say of a reason, whatever the score, the age and the number of checks."""
    if isinstance(policy, OwnPolicy):
        own = policy.rule(reason)
        if own is not None:
            return frozenset({own.otherwise} | ({Recommendation.send} if own.is_conditional else set()))
        policy = policy.based_on
    rule = REASONS[reason]
    by_score = {Recommendation.send, Recommendation.reverify}
    found = by_score if rule.is_by_score(policy) else {rule.recommendation(policy)}
    return frozenset(found | ({Recommendation.do_not_send} if rule.give_up_after is not None else set()))


def recommendation_sql(
    policy: AnyPolicy,
    *,
    reason: str,
    score: str,
    attempts: str,
    stored: str | None = None,
    probability: str | None = None,
    is_younger: Callable[[timedelta], str] | None = None,
) -> str:
    """The same function as `recommend` as a SQL `CASE`.

    Args:
        policy: what the mail is for.
        reason: SQL expression of the reason.
        score: SQL expression of the score.
        attempts: SQL expression of the checks alike in a row.
        stored: SQL expression of the recommendation that is stored; it holds for a reason of a newer version.
        probability: SQL expression of P(hard bounce); None: what the score tells of it.
        is_younger: the SQL condition that the verdict is no older than this; None: every verdict is new.
    """
    if isinstance(policy, OwnPolicy):
        base = recommendation_sql(policy.based_on, reason=reason, score=score, attempts=attempts, stored=stored)
        chance = probability or f"((100 - {score}) / 100.0)"
        lines = [
            line for each, own in policy.rules for line in _own_lines(each, own, reason, score, chance, is_younger)
        ]
        return "\n".join(["case", *lines, f"  else ({base})", "end"]) if lines else base
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


def _own_lines(
    each: Reason, rule: OwnRule, reason: str, score: str, chance: str, is_younger: Callable[[timedelta], str] | None
) -> list[str]:
    """The lines of a `CASE` for one rule."""
    conditions = [f"{reason} = '{each}'"]
    if rule.send_below_bounce is not None:
        conditions.append(f"{chance} < {rule.send_below_bounce!r}")
    if rule.send_from_score is not None:
        conditions.append(f"{score} >= {rule.send_from_score}")
    if rule.send_within is not None and is_younger is not None:
        conditions.append(is_younger(rule.send_within))
    lines = [f"  when {' and '.join(conditions)} then 'send'"] if rule.is_conditional else []
    return [*lines, f"  when {conditions[0]} then '{rule.otherwise}'"]

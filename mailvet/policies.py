"""What to do about a reason under a policy, in Python and as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from mailvet.vocabulary import _TABLE, REASONS, SEND_FROM_SCORE, Policy, Reason, Recommendation

__all__ = ["possible_recommendations", "recommend", "recommendation_sql"]


def recommend(reason: Reason, policy: Policy, score: int, attempts: int) -> Recommendation:
    """What to do with an address.

    A pure function of reason and policy, and for the few reasons that say so of the score (0-100) and of the number of
    checks alike in a row.
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
    """The same function as `recommend` as a SQL `CASE`.

    The arguments are SQL expressions for the three inputs, and for the recommendation that is `stored`, which holds for
    a reason of a newer version.
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

"""A few cells without a network: no table engine, no event loop, nothing that takes long to import."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from mailvet.reference.own_lists import OwnLists
from mailvet.verification import scalar

if TYPE_CHECKING:
    from mailvet.verdict import Verdict
    from mailvet.verification.verdict_settings import VerdictSettings

__all__ = ["verify_few"]

_KEPT_LISTS = 8  # own lists of different settings that are kept for the next call


def verify_few(cells: Sequence[str], settings: VerdictSettings) -> list[Verdict]:
    """The verdicts of distinct cells at depth offline, in their order.

    Raises:
        SettingsError: one of the user's own lists cannot be read.
    """
    own = _own_lists(settings.allow, settings.deny, settings.suppress, settings.extra_disposable, settings.traps)
    findings = scalar.examine_all(cells, own, settings)
    return scalar.judge_all(findings, settings, own)


@lru_cache(maxsize=_KEPT_LISTS)
def _own_lists(
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    suppress: tuple[str, ...],
    extra_disposable: tuple[str, ...],
    traps: tuple[str, ...],
) -> OwnLists:
    return OwnLists.load(allow=allow, deny=deny, suppress=suppress, extra_disposable=extra_disposable, traps=traps)

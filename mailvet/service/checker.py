"""One address at a time: the stored verdict where it holds, else the layers within the deadline."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import Final

from mailvet.errors import SettingsError
from mailvet.policies import AnyPolicy, recommend
from mailvet.service.models import Checked, FormChecked
from mailvet.service.verdicts import Verdicts
from mailvet.settings import Lists, Settings
from mailvet.verdict import Verdict, email_key
from mailvet.verification.open_verifiers import OpenVerifiers
from mailvet.vocabulary import REASONS, Depth, Policy, Reason, Recommendation, rules_version
from mailvet.warehouse.due_rule import DueRule

__all__ = ["Checker", "policy_named"]

_FINISH_SECONDS: Final = 180.0
"""Within which what ran out of time is finished and saved."""
_PUBLIC_LAYERS: Final = frozenset({"syntax", "reference", "route"})
"""What they find out holds for a text or a domain, never for a person's mailbox."""
_WARM_CELL: Final = "warm.up@example.com"
_WARM_CELLS: Final = ("jane1990@gmial.con", "info@mailinator.com", "a b@@example", "")
"""Of each kind one, so that every list is loaded; no server is asked about them."""


def policy_named(settings: Settings, name: str | None) -> AnyPolicy:
    """The policy of this name, or the configured one.

    Raises:
        SettingsError: there is no such policy.
    """
    known = [*map(str, Policy), *settings.policies]
    if name is not None and name not in known:
        raise SettingsError(f"There is no such policy; there are: {', '.join(known)}.")
    return settings.with_policy(name).chosen_policy


class Checker:
    """The layers and the stored verdicts, for the event loop of the service.

    Args:
        settings: of the service.
        verdicts: what is stored.
    """

    def __init__(self, settings: Settings, verdicts: Verdicts) -> None:
        self._settings = settings
        self._verdicts = verdicts
        self._verifiers = OpenVerifiers()
        self._by_depth = {depth: settings.model_copy(update={"depth": depth}) for depth in Depth}
        # What a visitor may learn is about domains: whom the company does not write to is no business of his.
        lists = Lists(allow=settings.lists.allow, extra_disposable=settings.lists.extra_disposable)
        self._of_form = settings.model_copy(update={"depth": Depth.dns, "lists": lists, "policy": Policy.signup})
        self._finishing: dict[str, asyncio.Task[None]] = {}

    async def warm_up(self) -> None:
        """Load lists and rules, find the resolver and look whether it can be believed: before the first request."""
        for settings in (self._by_depth[Depth.dns], self._of_form):
            verifier = await self._verifiers.get(settings)
            await verifier.examine_within(_WARM_CELL, 1.0)
            await verifier.check_resolver()
            for cell in _WARM_CELLS:
                verifier.examine_unopened(cell, "")
        await self._verdicts.find(email_key(_WARM_CELL))

    @property
    def has_dns(self) -> bool:
        """Whether the resolver replies, as far as it is known."""
        return self._verifiers.responds(self._by_depth[Depth.dns])

    async def look_for_dns(self) -> bool:
        """Whether the resolver replies; one that was silent is asked again."""
        return not (await self._verifiers.get(self._by_depth[Depth.dns])).cut_off

    async def check(self, address: str, depth: Depth, policy: AnyPolicy, seconds: float) -> tuple[Verdict, Checked]:
        """The verdict for one address within so many seconds.

        Raises:
            PreflightError: this machine cannot verify to that depth.
        """
        began = time.monotonic()
        settings = self._by_depth[depth]
        before = await self._stored(email_key(address), seconds)
        if before is not None and await self._is_fresh(before, depth):
            verdict = before
        else:
            left = max(0.001, seconds - (time.monotonic() - began))
            verdict = await self._verifiers.examine_within(address, settings, left, seconds)
            if _is_complete(verdict):
                verdict = self._verdicts.save(verdict, before)
            elif verdict.domain is not None:
                self._finish(address, settings, before)
        said = recommend(
            verdict.reason,
            policy,
            verdict.score,
            verdict.attempts,
            probability=verdict.bounce_probability,
            age=timedelta(0) if verdict.checked_at is None else datetime.now(timezone.utc) - verdict.checked_at,
        )
        return verdict, Checked(
            status=verdict.status,
            reason=verdict.reason,
            recommendation=said,
            score=verdict.score,
            suggestion=verdict.suggestion,
            flags=list(verdict.flags),
            checked_at=verdict.checked_at or datetime.now(timezone.utc),
            took_ms=round(1000 * (time.monotonic() - began)),
        )

    async def _stored(self, key: str, seconds: float) -> Verdict | None:
        """The stored verdict, if the database gives it in half the time."""
        try:
            return await asyncio.wait_for(self._verdicts.find(key), seconds / 2)
        except asyncio.TimeoutError:
            return None

    async def _is_fresh(self, verdict: Verdict, depth: Depth) -> bool:
        verifier = await self._verifiers.get(self._by_depth[Depth.offline])
        rule = DueRule(
            depth_rank=depth.rank, now=datetime.now(timezone.utc), rules_version=rules_version(verifier.own.digest)
        )
        return rule.leaves(verdict)

    def _finish(self, address: str, settings: Settings, before: Verdict | None) -> None:
        """See that what ran out of time is saved when it is known."""
        if address in self._finishing:
            return

        async def finish() -> None:
            verdict = await self._verifiers.examine_within(address, settings, _FINISH_SECONDS)
            if _is_complete(verdict):
                self._verdicts.save(verdict, before)

        task = asyncio.ensure_future(finish())
        self._finishing[address] = task
        task.add_done_callback(lambda done: self._finished(address, done))

    def _finished(self, address: str, task: asyncio.Task[None]) -> None:
        self._finishing.pop(address, None)
        if not task.cancelled():
            task.exception()  # a preflight error, which the caller of the next request gets

    async def check_for_form(self, address: str, seconds: float) -> FormChecked:
        """What a form should do about an address: by its text and its domain, never by a mailbox or a person."""
        verdict = await self._verifiers.examine_within(address, self._of_form, seconds)
        said = recommend(verdict.reason, Policy.signup, verdict.score, 1)
        known = REASONS[verdict.reason].layer in _PUBLIC_LAYERS and verdict.reason is not Reason.role_account
        if verdict.suggestion is not None:
            return FormChecked(result="suggest", suggestion=verdict.suggestion)
        refused = known and said is Recommendation.do_not_send
        return FormChecked(result="reject" if refused else "accept", suggestion=None)

    async def forget(self) -> None:
        """Drop what is kept in memory about mailboxes."""
        self._verdicts.forget_all()
        self._verifiers.forget_results()

    @property
    def under_way(self) -> int:
        """Addresses that are finished beyond their deadline."""
        return len(self._finishing)

    async def close(self) -> None:
        """End what is under way, and every conversation with QUIT."""
        for task in self._finishing.values():
            task.cancel()
        await asyncio.gather(*self._finishing.values(), return_exceptions=True)
        await self._verifiers.close()


def _is_complete(verdict: Verdict) -> bool:
    """Whether every layer that was asked for had its say."""
    return all(fact.layer != "run" for fact in verdict.evidence)

"""What a verification asks through: the resolver, the routes found so far, and the conversations with mail servers.

A `Verifier` belongs to one event loop. `mailvet.verification.stream.Stream` runs tables through it, `examine_one` a
single cell, for which no table engine is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from mailvet.dns.resolver import Outcome, Resolver
from mailvet.dns.routes import KnownRoutes, Routes
from mailvet.dns.trust import Memory
from mailvet.errors import PreflightError, argument
from mailvet.probing.memory import ServerMemory
from mailvet.probing.pool import Mailboxes, MailboxResult, OperatorProgress, Recipient
from mailvet.probing.slots import connection_slots
from mailvet.reference.own_lists import OwnLists
from mailvet.settings import Settings
from mailvet.verdict import Verdict
from mailvet.verification import scalar
from mailvet.verification.deadline import Deadlines
from mailvet.verification.hello_name import hello_name_problem
from mailvet.verification.verdict_settings import VerdictSettings
from mailvet.vocabulary import Depth

__all__ = ["NO_RESOLVER", "Verifier"]

NO_RESOLVER = "no resolver answers"
"""Why nothing but syntax and lists was examined, for the evidence."""
_REMEMBERED = 200_000  # mailboxes whose result is kept for other spellings of the same cell


class Verifier:
    """The layers, ready to run. Use it as an async context manager.

    Args:
        settings: everything configurable.
        asked_today: recipients already asked today by operator, for the daily limits.
        memory: what earlier runs learnt about server addresses; used and changed.
        own: the user's own lists, where they have been read already; default: as the settings say.
        routes: routes that have been looked up already. The resolver is left alone, and whether this machine is
            fit to ask is taken for granted.
        dns_memory: what is known of the name servers already, where many verifiers share one run.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        asked_today: Mapping[str, int] | None = None,
        memory: ServerMemory | None = None,
        own: OwnLists | None = None,
        routes: KnownRoutes | None = None,
        dns_memory: Memory | None = None,
    ) -> None:
        self.settings = settings
        self._verdict_settings = VerdictSettings.of(settings)
        self.depth = Depth(settings.depth)
        self.own = own if own is not None else OwnLists.load(**settings.lists.model_dump())
        self.routes: Routes | KnownRoutes | None = routes
        self.mailboxes: Mailboxes | None = None
        self.has_dns = True
        """False once the resolver was found silent at the start."""
        self._dns_memory = dns_memory
        self._asked_today = asked_today
        self._memory = memory
        self._resolver: Resolver | None = None
        self._degraded: str | None = None
        self._results: dict[str, MailboxResult] = {}
        self._deadlines = Deadlines(self)

    async def __aenter__(self) -> Verifier:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Prepare what the depth needs and look whether this machine can do it.

        Raises:
            PreflightError: no host name to introduce ourselves with (smtp).
        """
        if self.depth is Depth.offline:
            return
        settings = self.settings
        if self.routes is not None:
            if self.depth is Depth.smtp:
                self.mailboxes = self._pool()
            return
        self._resolver = Resolver(settings.dns, memory=self._dns_memory)
        self.routes = Routes(self._resolver, settings.dns, allow_private_networks=settings.smtp.allow_private_networks)
        # Side by side: what is asked before anything else keeps everything waiting.
        is_there, problem = await asyncio.gather(self._resolver.responds(), self._hello_name_problem(self._resolver))
        if not is_there:
            self.has_dns = False
            servers = ", ".join(settings.dns.nameservers) or "the system's resolver"
            self._degraded = (
                f"No DNS answers: {servers} did not reply. Nothing but syntax and lists was checked. "
                "Check the network and [dns] nameservers, then run again; only what is due will be asked."
            )
            return
        if self.depth is Depth.smtp:
            if problem is not None:
                raise PreflightError(problem)
            self.mailboxes = self._pool()

    async def _hello_name_problem(self, resolver: Resolver) -> str | None:
        """Why mail servers would distrust our hello name, with advice; None where they would not."""
        if self.depth is not Depth.smtp:
            return None
        resolves = True

        async def is_found(name: str) -> bool:
            nonlocal resolves
            resolves = await _has_address(resolver, name)
            return resolves

        problem = await hello_name_problem(self.settings.hello_name, is_found)
        if problem is None:
            return None
        if not resolves:
            await self.check_resolver()
            if resolver.trust.degraded:
                return resolver.trust.degraded
        return (
            f"{problem} Mail servers distrust and block list hosts that introduce themselves so. Set smtp.hello_name "
            f"(MAILVET_SMTP__HELLO_NAME) to this machine's public host name, or use {argument('depth', 'dns')}."
        )

    def _pool(self) -> Mailboxes:
        settings = self.settings
        slots = connection_slots(settings.pacing, settings.smtp.port)
        return Mailboxes(settings, asked_today=self._asked_today, memory=self._memory, slots=slots)

    async def close(self) -> None:
        """End conversations and free sockets."""
        await self._deadlines.close()
        if self.mailboxes is not None:
            await self.mailboxes.close()
        if self._resolver is not None:
            await self._resolver.close()

    @property
    def degraded(self) -> str | None:
        """Why this run's verdicts say less than asked for, in a sentence with advice; None when all is well."""
        if self._degraded is None and self._resolver is not None and self._resolver.down:
            self._degraded = (
                "DNS stopped answering during the run. The rest was not checked. Check the network, then run again; "
                "only what is due will be asked."
            )
        if self._degraded is not None:
            return self._degraded
        reasons = [
            self._resolver.trust.degraded if self._resolver is not None else None,
            self.mailboxes.health.degraded if self.mailboxes is not None else None,
        ]
        return " ".join(filter(None, reasons)) or None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of this run's results should know, though nothing is wrong."""
        if self._resolver is not None and not self._resolver.trust.controls:
            return ("DNS: the resolver was believed without controls ([dns] controls = []).",)
        return ()

    @property
    def cut_off(self) -> bool:
        """Whether the resolver is silent, so that only a new verifier could find it again."""
        return not self.has_dns or (self._resolver is not None and self._resolver.down)

    @property
    def outdated(self) -> bool:
        """Whether a new verifier should take this one's place: its resolver is silent or may have become honest."""
        return self.cut_off or (self._resolver is not None and self._resolver.trust.is_outdated)

    async def check_resolver(self) -> None:
        """Do now what a run does when the first domain is said not to exist; `degraded` has the result."""
        if self._resolver is not None and not self.cut_off:
            await self._resolver.trust.examine_all()

    def progress(self) -> list[OperatorProgress]:
        """What each operator is doing."""
        return self.mailboxes.progress() if self.mailboxes is not None else []

    def result_of(self, mailbox: str) -> MailboxResult | None:
        """The result of a mailbox that was asked already."""
        return self._results.get(mailbox)

    def remember(self, mailbox: str, result: MailboxResult) -> None:
        """Keep the result of a mailbox for its other spellings."""
        if len(self._results) >= _REMEMBERED:
            self._results.clear()
        self._results[mailbox] = result

    def forget_results(self) -> None:
        """Drop what is kept about mailboxes, after an address was erased."""
        self._results.clear()
        self._deadlines.forget_results()

    async def examine_one(self, cell: str) -> Verdict:
        """The verdict for one cell, asked at once and without waiting for greylisting."""
        return (await self.examine_each([cell]))[0]

    async def examine_within(self, cell: str, seconds: float, deadline: float | None = None) -> Verdict:
        """The verdict for one cell with all that is known within so many seconds.

        What is not known then is found out in the background, for the next call.

        Args:
            cell: as it stands in the table.
            seconds: from now.
            deadline: of the whole call, where part of it is over; for the evidence.
        """
        finding = self._examine_offline(cell)
        if self.depth is not Depth.offline and not finding.settled:
            if self.has_dns:
                finding = await self._deadlines.find(finding, seconds, seconds if deadline is None else deadline)
            else:
                finding.mark_not_probed(NO_RESOLVER)
        return scalar.judge(finding, self._verdict_settings, lists_digest=self.own.digest)

    def examine_unopened(self, cell: str, why: str) -> Verdict:
        """The verdict for one cell by syntax and lists alone.

        Args:
            cell: as it stands in the table.
            why: no server was asked, for the evidence.
        """
        finding = self._examine_offline(cell)
        if not finding.settled:
            finding.mark_not_probed(why)
        return scalar.judge(finding, self._verdict_settings, lists_digest=self.own.digest)

    def _examine_offline(self, cell: str) -> scalar.Finding:
        return scalar.examine(cell, self.own, allow_special_use=self._verdict_settings.allow_special_use)

    @property
    def under_way(self) -> int:
        """Addresses that are finished in the background, beyond the deadlines of those who asked."""
        return self._deadlines.under_way

    async def examine_each(self, cells: Sequence[str]) -> list[Verdict]:
        """The verdicts for a few distinct cells, in their order, asked at once.

        Each domain is looked up once, mailboxes are asked side by side.
        """
        findings = scalar.examine_all(cells, self.own, self._verdict_settings)
        if self.depth is not Depth.offline:
            await self._ask([finding for finding in findings if not finding.settled])
        return scalar.judge_all(findings, self._verdict_settings, self.own)

    async def _ask(self, findings: Sequence[scalar.Finding]) -> None:
        if not self.has_dns:
            for finding in findings:
                finding.mark_not_probed(NO_RESOLVER)
            return
        assert self.routes is not None
        routes = await self.routes.examine({finding.domain for finding in findings if finding.domain is not None})
        asked: list[tuple[scalar.Finding, Recipient]] = []
        for finding in findings:
            assert finding.local is not None
            assert finding.domain is not None
            route = routes[finding.domain]
            finding.add_route(route)
            if self.mailboxes is not None and finding.worth_probing:
                asked.append((finding, Recipient(finding.local, finding.domain, route)))
        if self.mailboxes is not None:
            results = await asyncio.gather(*(self.mailboxes.submit(recipient) for _, recipient in asked))
            for (finding, _), result in zip(asked, results, strict=True):
                finding.add_mailbox_result(result)


async def _has_address(resolver: Resolver, name: str) -> bool:
    for kind in ("A", "AAAA"):
        if (await resolver.ask(name, kind)).outcome is Outcome.found:
            return True
    return False

"""What a run over a source would do."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import idna

from mailvet.errors import SourceError, argument
from mailvet.reference.own_lists import OwnLists
from mailvet.runs.recheck import Recheck, RecheckText, parse_recheck
from mailvet.settings import Settings
from mailvet.vocabulary import Depth, Reason, rules_version
from mailvet.warehouse.due_rule import LISTS
from mailvet.warehouse.store import Plan, PlannedSource, Warehouse

if TYPE_CHECKING:
    from mailvet.reference.own_lists import OwnList

__all__ = ["plan", "plan_source"]


def plan(
    warehouse: Warehouse,
    settings: Settings,
    *,
    among: Collection[Reason] | None = None,
    recheck: RecheckText = None,
    count_domains: bool = True,
) -> Plan:
    """What `run` would do with this source now; asks no server and changes nothing.

    Args:
        warehouse: from `open_source`.
        settings: depth, policy and the user's own lists.
        among: only addresses whose last answer was one of these.
        recheck: what is asked again although it is fresh (see `mailvet.runs.recheck`).
        count_domains: fill in `Plan.domains`, which takes its time over millions.

    Raises:
        SettingsError: `recheck` cannot be read.
        SourceError: the column holds numbers, or the condition on the rows fails.
    """
    again = parse_recheck(recheck)
    return plan_source(warehouse, settings, among=among, recheck=again, count_domains=count_domains).plan


def plan_source(
    warehouse: Warehouse,
    settings: Settings,
    *,
    among: Collection[Reason] | None,
    recheck: Recheck | None,
    count_domains: bool,
) -> PlannedSource:
    """What `run` would do with this source now, and the source as it was planned; as `plan`."""
    own = OwnLists.load(**settings.lists.model_dump())
    kinds = {name: getattr(own, name) for name in LISTS}
    planned = warehouse.plan(
        depth_rank=Depth(settings.depth).rank,
        now=datetime.now(timezone.utc),
        rules_version=rules_version(own.digest),
        listed={name: _as_written(kind) for name, kind in kinds.items()},
        among=among,
        recheck=recheck,
        count_domains=count_domains,
    )
    if planned.plan.addresses and planned.looks_numeric():
        raise SourceError(
            f"Every value of the column of addresses in {warehouse.name} is a number. Name the right column with "
            f"{argument('email_column')}. Nothing was checked."
        )
    return planned


def _as_written(entries: OwnList) -> list[str]:
    """The entries of a list as they may stand in a cell: internationalised domains in both forms."""
    forms = {*entries.addresses, *entries.domains, *entries.only_domains}
    for entry in list(forms):
        if "xn--" in entry:
            local, at, domain = entry.rpartition("@")
            with contextlib.suppress(UnicodeError):  # idna.IDNAError is one
                forms.add(f"{local}{at}{idna.decode(domain)}")
    return sorted(forms)

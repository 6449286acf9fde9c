"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mailvet.errors import SettingsError, argument
from mailvet.runs.outputs import check_results
from mailvet.runs.recheck import Recheck
from mailvet.scoring.budget import Budget
from mailvet.settings import Settings
from mailvet.verdict import STATUS_COLUMNS, verdict_schema
from mailvet.vocabulary import Reason, Recommendation, Status
from mailvet.warehouse.files import format_of
from mailvet.warehouse.sends import campaign_name
from mailvet.warehouse.store import Warehouse
from mailvet.warehouse.text_layout import AS_IT_CAME, TextLayout

__all__ = ["SPLIT_COLUMNS", "RunRequest", "known_columns"]

SPLIT_COLUMNS: dict[str, tuple[str, ...]] = {
    "recommendation": tuple(map(str, Recommendation)),
    "status": tuple(map(str, Status)),
    "reason": (),
}
"""Columns a result can be split by, and the parts that are written even when no row belongs to them."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `mailvet.run`, read."""

    batch_rows: int
    """Addresses examined together."""
    write_back: bool = True
    columns: Sequence[str] = STATUS_COLUMNS
    output: Path | None = None
    key_columns: Sequence[str] = ()
    split_by: str | None = None
    wait: timedelta = timedelta(0)
    limit: int | None = None
    among: Collection[Reason] | None = None
    recheck: Recheck | None = None
    overwrite: bool = False
    layout: TextLayout = AS_IT_CAME
    on_its_way: bool = False
    """The output is uploaded afterwards, so the store need not know where it stood."""
    budget: Budget | None = None
    campaign: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether it is about other rows than those that are due."""
        return self.among is not None or self.limit is not None or self.recheck is not None

    @property
    def parts(self) -> Sequence[str]:
        """The parts of the output that are written even when no row belongs to them."""
        return SPLIT_COLUMNS[self.split_by] if self.split_by is not None else ()

    def check(self, warehouse: Warehouse, settings: Settings) -> None:
        """Find out before anything is asked whether all of it can be done.

        Raises:
            MailvetError: it cannot.
        """
        if self.split_by is not None and self.split_by not in SPLIT_COLUMNS:
            raise SettingsError(f"{argument('split_by', self.split_by)}: choose one of {', '.join(SPLIT_COLUMNS)}.")
        if self.layout != AS_IT_CAME and (self.output is None or (format_of(self.output) or ("csv",))[0] != "csv"):
            raise SettingsError(
                f"{argument('output_encoding')} and {argument('delimiter')} are for a CSV file as {argument('output')}."
            )
        if self.budget is not None and (self.output is None or self.split_by != "recommendation"):
            raise SettingsError(
                f"{argument('max_bounce_rate')} chooses the rows of the list to send to: it needs {argument('output')} "
                f"and {argument('split_by', 'recommendation')}."
            )
        if self.campaign is not None:
            campaign_name(self.campaign)
            if self.output is None or self.split_by != "recommendation":
                raise SettingsError(
                    f"{argument('campaign')} records the rows of the list to send to: it needs {argument('output')} "
                    f"and {argument('split_by', 'recommendation')}."
                )
        if self.output is not None:
            warehouse.check_output(self.output, self.key_columns, self.columns)
            check_results(warehouse, settings, self.output, self.split_by, overwrite=self.overwrite)
        if self.write_back:
            warehouse.check_write_back(self.columns)


def known_columns(columns: Sequence[str]) -> Sequence[str]:
    """The status columns to write, each once.

    Raises:
        SettingsError: there is no such column.
    """
    known = [name for name in verdict_schema().names if name not in ("email", "email_key")]
    for name in columns:
        if name not in known:
            raise SettingsError(f"There is no status column {name!r}; there are: {', '.join(known)}.")
    return tuple(dict.fromkeys(columns))

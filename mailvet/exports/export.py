"""`mailvet.export`: a verified table as the file that a tool takes."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.exports.changes import change_queries, is_manifest, manifest_here, read_last
from mailvet.exports.destinations import Destination, ListFormat, destination, destinations
from mailvet.exports.rows import StagedRows, staged
from mailvet.exports.selection import choose, keep_to, left_out, parse_among
from mailvet.exports.writing import MANIFEST_ENDING, Names, check_output, left_out_query, list_queries, make_list
from mailvet.reports.audience import audience_words
from mailvet.runs.delivery import Delivery, delivered
from mailvet.runs.outputs import Output, check_outputs, digest, kept_files
from mailvet.scoring.budget import DEFAULT_CONFIDENCE, Budget, Chosen
from mailvet.vocabulary import RULES_VERSION, Recommendation
from mailvet.warehouse.files.writing import Query, Writer, publish
from mailvet.warehouse.sends import campaign_name

if TYPE_CHECKING:
    from mailvet.settings import Settings
    from mailvet.warehouse.store import Warehouse

__all__ = ["ExportResult", "export"]

log = logging.getLogger("mailvet")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was handed over; nothing in it is an address."""

    to: str
    kind: str
    source: str
    policy: str
    rows: int
    """Of the source."""
    written: int
    """Rows of the list."""
    left_out: Mapping[str, int]
    """Cause (`mailvet.exports.selection.CAUSES`) -> rows; with `written` they make `rows`."""
    files: Mapping[str, int]
    """Path of each file of the list -> its rows; for requests, its addresses."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """`added`, `changed` and `removed` rows, where they were asked for."""
    budget: Mapping[str, object] = field(default_factory=dict)
    """Where there is a risk budget: its limit, and the bounces expected of the list (`mailvet.scoring.budget`)."""
    manifest: str = ""
    notes: Sequence[str] = ()
    """What has to be known to use the files, a sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value if isinstance(value, (str, int)) else list(value)


def export(  # noqa: PLR0913  # what is handed over, all of it optional and named
    warehouse: Warehouse,
    settings: Settings,
    *,
    to: str,
    output: Path | str,
    kind: str = "contacts",
    among: Sequence[str] | str | None = None,
    columns: Mapping[str, str] | None = None,
    max_bounce_rate: float | str | None = None,
    confidence: float | str = DEFAULT_CONFIDENCE,
    campaign: str | None = None,
    changes_since: Path | str | None = None,
    overwrite: bool = False,
) -> ExportResult:
    """Write a verified table as the file that a tool takes, from what stands in the verdict table. Asks no server.

    Beside the list `crm.csv` stand `crm.csv.left_out.csv` (the rows that do not go, with the cause of each) and
    `crm.csv.manifest.json`. All files appear complete or none does.

    Args:
        warehouse: from `open_table` or `open_source`.
        settings: policy, own lists, and `exports`: the columns for each tool.
        to: the tool, as `mailchimp` (`mailvet.exports.destinations`).
        output: the file of the list, also `s3://`, `gs://` and `abfs://`; where the tool's limits ask for several,
            `crm.csv` becomes `crm.1.csv` and so on.
        kind: `contacts`, or `suppression`: addresses that the tool is not to send to.
        among: recommendations whose rows go; by default `send`, in a suppression list `do_not_send`.
        columns: column of the tool -> column of the source; by default those of the settings.
        max_bounce_rate: of contacts, the largest list whose hard bounces stay below this share, chosen from all rows
            that may be sent to (`mailvet.scoring.budget`); instead of `among`.
        confidence: of that bound, one-sided.
        campaign: of contacts: keep in `mailvet_sends` under this name who was handed on, and what was known of them;
            the warehouse has to be writable.
        changes_since: the manifest of the last export of this list: `crm.added.csv`, `crm.changed.csv` and
            `crm.removed.csv` are written as well.
        overwrite: files that mailvet did not write may make way.

    Raises:
        SettingsError: a tool, list, column or file name that cannot be.
        SourceError: the source or an earlier file cannot be read, or a file not be written; nothing was written.
    """
    tool = destination(to)
    form = tool.list_format(kind)
    budget = None if max_bounce_rate is None else _budget(max_bounce_rate, confidence, kind, among)
    if campaign is not None:
        campaign = _campaign(campaign, kind)
    words = parse_among(_MAY_BE_SENT_TO if budget is not None else among, kind)
    chosen = columns if columns is not None else _columns_of(settings, to, form)
    form.check_columns(to, [*chosen])
    with contextlib.ExitStack() as held:
        delivery = held.enter_context(delivered(output, warehouse, overwrite=overwrite))
        names = Names(delivery.path)
        check_output(names.output, form)
        warehouse.check_output(names.output.with_suffix(".parquet"), [warehouse.address_column, *chosen.values()])
        last = None if changes_since is None else held.enter_context(manifest_here(changes_since))
        if last is not None:
            read_last(last, to, kind, form.headers([*chosen]))
        files = _Files(warehouse, settings, names, delivery, overwrite)
        files.check([names.output, names.left_out, names.manifest])
        rows = held.enter_context(_verified(warehouse, [*chosen.values()], with_risk=budget is not None))
        choose(rows, form, kind, words)
        audience = None if budget is None else keep_to(rows, budget)
        headers, count = make_list(rows, form, chosen)
        contents, result = _Work(tool, form, kind, names, headers, count, last, audience).contents(rows, warehouse)
        files.check([*contents])
        written = publish(rows.db, contents, files.mode)
        if not delivery.is_remote:
            warehouse.note_written({path: digest(path) for path in written})
        delivery.send(written)
        if campaign is not None:
            _record(rows, warehouse, campaign)
        return replace(
            result,
            files={str(delivery.target(Path(path))): number for path, number in result.files.items()},
            manifest=str(delivery.target(Path(result.manifest))),
        )


_MAY_BE_SENT_TO = (str(Recommendation.send), str(Recommendation.reverify))


def _budget(rate: float | str, confidence: float | str, kind: str, among: Sequence[str] | str | None) -> Budget:
    if kind != "contacts" or among:
        raise SettingsError(
            f"{argument('max_bounce_rate')} chooses contacts from all rows that may be sent to: leave out "
            f"{argument('among')}, and {argument('kind', 'suppression')}."
        )
    return Budget.of(rate, confidence)


def _campaign(name: str, kind: str) -> str:
    if kind != "contacts":
        raise SettingsError(f"{argument('campaign')} is for contacts, which are sent to.")
    return campaign_name(name)


def _record(rows: StagedRows, warehouse: Warehouse, campaign: str) -> None:
    keys = [key for (key,) in rows.db.execute("select sha256(cell) from chosen where left_out is null").fetchall()]
    sent = warehouse.record_sends(campaign, datetime.now(timezone.utc), keys=keys)
    log.info("%s recipients recorded for the campaign %s", f"{sent:,}", campaign)


@contextlib.contextmanager
def _verified(warehouse: Warehouse, columns: Sequence[str], *, with_risk: bool) -> Iterator[StagedRows]:
    """The staged rows; of a table that cannot be read because it was never verified it is said that this is why."""
    with contextlib.ExitStack() as held:
        try:
            rows = held.enter_context(staged(warehouse, columns, with_risk=with_risk))
        except Exception:
            if any(group.status is not None for group in warehouse.verdict_counts()):
                raise
            raise SourceError(f"No address of {warehouse.name} has a verdict. Verify it first.") from None
        yield rows


def _columns_of(settings: Settings, to: str, form: ListFormat) -> Mapping[str, str]:
    if odd := sorted(settings.exports.keys() - destinations().keys()):
        raise SettingsError(f"exports.{odd[0]}: no such destination is known; these are: {', '.join(destinations())}.")
    section = settings.exports.get(to)
    # One table of columns stands for both lists; a suppression list takes addresses alone.
    return {} if section is None or form.columns == () else section.columns


class _Files:
    """Whether files may be written.

    Args:
        warehouse: of the source.
        settings: which files they name.
        names: of the export.
        delivery: where they go.
        overwrite: files that mailvet did not write may make way.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, names: Names, delivery: Delivery, overwrite: bool
    ) -> None:
        self._warehouse, self._inputs = warehouse, kept_files(warehouse, settings)
        self._delivery, self._overwrite = delivery, overwrite
        self._listed: Mapping[str, str] = {}
        self._replaces_manifest = False
        with contextlib.suppress(SourceError), manifest_here(delivery.target(names.manifest), alone=True) as found:
            self._listed, self._replaces_manifest = _listed(found), is_manifest(found)
        source = warehouse.files.get("the source")
        of_source = source.stat().st_mode & 0o777 if source is not None and source.is_file() else 0o600
        self.mode = of_source if settings.output.permissions is None else settings.output.permissions

    def check(self, paths: Sequence[Path]) -> None:
        """See that each may be written.

        Raises:
            SettingsError, SourceError: as `mailvet.runs.outputs.check_outputs`.
        """
        outputs = [Output("--output", path, self._is_ours) for path in paths]
        check_outputs(outputs, self._inputs, overwrite=self._overwrite, digest_of=self._warehouse.written_digest)
        others = [path for path in paths if not (self._replaces_manifest and path.name.endswith(MANIFEST_ENDING))]
        self._delivery.check(others, self._listed)

    def _is_ours(self, path: Path) -> bool:
        """Where the store may not be written to, the manifest says what was written."""
        return is_manifest(path) or self._listed.get(path.name) == digest(path)


def _listed(manifest: Path) -> Mapping[str, str]:
    if not is_manifest(manifest):
        return {}
    found = json.loads(manifest.read_text("utf-8"))
    return {entry["name"]: entry["sha256"] for entry in (*found.get("files", ()), *found.get("beside", ()))}


@dataclass(frozen=True, slots=True)
class _Work:
    """One export whose rows are chosen."""

    tool: Destination
    form: ListFormat
    kind: str
    names: Names
    headers: Sequence[str]
    files: int
    changes_since: Path | None
    audience: Chosen | None

    def contents(self, rows: StagedRows, warehouse: Warehouse) -> tuple[dict[Path, Query | Writer], ExportResult]:
        """What is written to each file, the manifest last, and what the caller is told."""
        db, form, names = rows.db, self.form, self.names
        lists = list_queries(names.output, form, self.headers, self.files)
        counted = dict(db.execute("select file, count(*) from list group by 1").fetchall())
        by_file = {path: counted.get(number, 0) for number, path in enumerate(lists, 1)}
        changes: dict[Path, Query] = {}
        counts: dict[str, int] = {}
        if self.changes_since is not None:
            last = read_last(self.changes_since, self.tool.name, self.kind, self.headers)
            changes, counts = change_queries(db, last, form, names)
        (total,) = db.execute("select count(*) from chosen").fetchall()[0]
        result = ExportResult(
            to=self.tool.name,
            kind=self.kind,
            source=warehouse.name,
            policy=str(warehouse.policy),
            rows=int(total),
            written=sum(by_file.values()),
            left_out=left_out(rows),
            files={str(path): number for path, number in by_file.items()},
            changes=counts,
            budget={} if self.audience is None else self.audience.as_dict(),
            manifest=str(names.manifest),
            notes=self._notes(sum(by_file.values())),
        )
        contents: dict[Path, Query | Writer] = {**lists, **changes, names.left_out: left_out_query(rows, names)}
        contents[names.manifest] = _manifest_writer(result, form, self.headers, by_file)
        return contents, result

    def _notes(self, written: int) -> list[str]:
        notes = [f"{self.tool.label}: {self.form.advice}."] if self.form.advice else []
        if self.audience is not None:
            notes += audience_words(self.audience)
        if written < self.form.min_rows:
            notes.append(
                f"{self.tool.label} wants a list of at least {self.form.min_rows:,} rows; this one has {written:,}."
            )
        return notes


def _manifest_writer(
    result: ExportResult, form: ListFormat, headers: Sequence[str], by_file: Mapping[Path, int]
) -> Writer:
    def write(partial: Path, written: Mapping[Path, Path]) -> None:
        def entry(path: Path) -> dict[str, Any]:
            return {"name": path.name, "bytes": written[path].stat().st_size, "sha256": digest(written[path])}

        document = {
            "mailvet_version": version("mailvet"),
            "rules_version": RULES_VERSION,
            "exported_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "to": result.to,
            "kind": result.kind,
            "format": {"page": form.page, "date": form.date, "address": form.written, "hashed": form.hashed},
            "source": result.source,
            "policy": result.policy,
            "rows": result.rows,
            "written": result.written,
            "left_out": dict(result.left_out),
            "changes": dict(result.changes),
            "budget": dict(result.budget),
            "columns": [*headers],
            "files": [{**entry(path), "rows": rows} for path, rows in by_file.items()],
            "beside": [entry(path) for path in written if path not in by_file],
            "notes": [*result.notes],
        }
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    return write

"""Write the send list, the re-verify list and the suppression list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_provider_mailvet.arguments import drop_unset, given, listed
from airflow_provider_mailvet.sources import database_hook, opened, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["MailvetExportOperator"]

_LISTS = ("send", "reverify", "do_not_send")
_MISSING = "missing"
"""The list of rows without an address."""


class MailvetExportOperator(BaseSQLOperator):
    """Write a table's rows as one list for each recommendation, or as the file that a tool takes.

    Lists are files, or tables in the same database. A file appears complete or not at all, and none unless all could be
    written. Returns names and numbers of rows; with `to` what was written and left out (`mailvet.ExportResult`).

    :param conn_id: connection of the database.
    :param table: name, also `schema.table`.
    :param email_column: the column of addresses.
    :param where: SQL condition on the rows to export.
    :param output_path: a file on the worker; `/lists/contacts.parquet` becomes `/lists/contacts.send.parquet` and so
        on. CSV, TSV, Parquet or JSON Lines, also with `.gz` or `.zst`.
    :param to: hand the table over to this tool instead: mailchimp, brevo, hubspot, ... (`mailvet export`). Then
        `output_path` is the one file, and `kind`, `among`, `tool_columns` and `changes_since` say what is in it, while
        `lists`, `columns` and `key_columns` are not used.
    :param kind: contacts, or suppression.
    :param among: recommendations whose rows go; default: send, in a suppression list do_not_send.
    :param max_bounce_rate: instead of `among`: the largest list of contacts whose hard bounces stay below this share.
    :param confidence: of that bound, one-sided.
    :param campaign: keep under this name in `mailvet_sends` who was handed on.
    :param tool_columns: column of the tool -> column of the table; default: as the settings file says.
    :param changes_since: manifest of the last export of this list: also write what was added, changed and removed.
    :param output_table: or the beginning of the names of tables, also `schema.audience`; `audience` becomes
        `audience_send` and so on.
    :param if_exists: what to do with lists of these names that are there already: fail, or replace them.
    :param overwrite: also replace files and tables that mailvet did not write.
    :param lists: which lists: send, reverify and do_not_send (for your suppression list); missing has the rows without
        an address. By default the first three, and missing where there are such rows.
    :param columns: status columns to add; default: status, reason, recommendation, score, suggestion, checked_at.
    :param key_columns: keep only these of the table's own columns; default: all of them.
    :param policy: a name, also of a policy of the settings; default: as the mailvet connection says.
    """

    template_fields: Sequence[str] = (
        *BaseSQLOperator.template_fields,
        "table",
        "email_column",
        "where",
        "output_path",
        "to",
        "kind",
        "among",
        "max_bounce_rate",
        "confidence",
        "campaign",
        "tool_columns",
        "changes_since",
        "output_table",
        "lists",
        "columns",
        "key_columns",
        "policy",
        "mailvet_conn_id",
    )
    template_fields_renderers = {  # noqa: RUF012  (as Airflow declares it)
        "where": "sql",
        "among": "json",
        "tool_columns": "json",
        "columns": "json",
        "key_columns": "json",
        "lists": "json",
        "hook_params": "json",
    }
    ui_color = "#e3ecf8"

    def __init__(
        self,
        *,
        table: str,
        conn_id: str,
        email_column: str = "email",
        where: str | None = None,
        output_path: str | None = None,
        to: str | None = None,
        kind: str = "contacts",
        among: Sequence[str] | str | None = None,
        max_bounce_rate: float | str | None = None,
        confidence: float | str = 0.9,
        campaign: str | None = None,
        tool_columns: Mapping[str, str] | None = None,
        changes_since: str | None = None,
        output_table: str | None = None,
        if_exists: Literal["fail", "replace"] = "fail",
        overwrite: bool = False,
        lists: Sequence[str] = _LISTS,
        columns: Sequence[str] | None = None,
        key_columns: Sequence[str] | None = None,
        policy: str | None = None,
        mailvet_conn_id: str = "mailvet_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.table = table
        self.email_column = email_column
        self.where = where
        self.output_path = output_path
        self.to = to
        self.kind = kind
        self.among = among
        self.max_bounce_rate = max_bounce_rate
        self.confidence = confidence
        self.campaign = campaign
        self.tool_columns = tool_columns
        self.changes_since = changes_since
        self.output_table = output_table
        self.if_exists = if_exists
        self.overwrite = overwrite
        self.lists = lists
        self.columns = columns
        self.key_columns = key_columns
        self.policy = policy
        self.mailvet_conn_id = mailvet_conn_id
        if "{{" not in f"{output_path}{output_table}" and (problem := self._places()):
            raise ValueError(problem)
        if if_exists not in ("fail", "replace"):
            raise ValueError(f"if_exists={if_exists!r}: choose 'fail' or 'replace'.")

    def _places(self) -> str | None:
        """What is wrong with where the lists go."""
        if (self.output_path is None) == (self.output_table is None):
            return "Give either output_path (a file) or output_table (the beginning of the names of tables)."
        if self.to is not None and self.output_path is None:
            return "A tool takes a file: give output_path with to."
        return None

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the lists."""
        if given(self.to) is not None:
            return self._hand_over()
        return self._write_lists()

    def _hand_over(self) -> dict[str, Any]:
        with translated("Nothing was written."):
            from airflow_provider_mailvet.hooks.mailvet import MailvetHook
            from mailvet import SettingsError, export

            drop_unset(self)
            if problem := self._places():
                raise SettingsError(problem)
            settings = MailvetHook(self.mailvet_conn_id).settings(policy=self.policy, depth="offline")
            with opened(
                database_hook(self.get_db_hook, self.conn_id),
                settings,
                table=self.table,
                column=self.email_column,
                where=self.where,
                writable=self.campaign is not None,
                updatable=False,
            ) as warehouse:
                result = export(
                    warehouse,
                    settings,
                    to=str(self.to),
                    output=str(self.output_path),
                    kind=self.kind,
                    among=listed(self.among),
                    max_bounce_rate=self.max_bounce_rate,
                    confidence=self.confidence,
                    campaign=self.campaign,
                    columns=self.tool_columns,
                    changes_since=self.changes_since,
                    overwrite=self.overwrite,
                )
        self.log.info("%s: %s of %s rows to %s", result.kind, f"{result.written:,}", f"{result.rows:,}", result.to)
        for cause, count in result.left_out.items():
            self.log.info("left out, %s: %s rows", cause, f"{count:,}")
        for note in result.notes:
            self.log.info("%s", note)
        return result.as_dict()

    def _write_lists(self) -> dict[str, int]:
        with translated("None of the lists was written."):
            from airflow_provider_mailvet.hooks.mailvet import MailvetHook
            from mailvet import SettingsError, plan
            from mailvet.sdk import STATUS_COLUMNS, check_results

            drop_unset(self)
            if problem := self._places():
                raise SettingsError(problem)
            wanted = list(dict.fromkeys(listed(self.lists)))
            odd = [name for name in wanted if name not in (*_LISTS, _MISSING)]
            if odd or not wanted:
                raise SettingsError(f"lists={listed(self.lists)!r}: choose from {', '.join((*_LISTS, _MISSING))}.")
            settings = MailvetHook(self.mailvet_conn_id).settings(policy=self.policy, depth="offline")
            with opened(
                database_hook(self.get_db_hook, self.conn_id),
                settings,
                table=self.table,
                column=self.email_column,
                where=self.where,
                writable=self.output_table is not None,
                updatable=False,
            ) as warehouse:
                plan(warehouse, settings)
                columns, keys = listed(self.columns) or STATUS_COLUMNS, listed(self.key_columns)
                groups = warehouse.verdict_counts()
                if set(wanted) == set(_LISTS) and any(group.missing for group in groups):
                    wanted.append(_MISSING)
                counts = dict.fromkeys(wanted, 0)
                for group in groups:
                    name = _MISSING if group.missing else group.recommendation
                    if name in counts:
                        counts[name] += group.rows
                if self.output_path is not None:
                    check_results(
                        warehouse,
                        settings,
                        Path(self.output_path),
                        "recommendation",
                        overwrite=self.overwrite,
                        option="output_path",
                    )
                    written = warehouse.export(
                        Path(self.output_path),
                        columns,
                        key_columns=keys,
                        split_by="recommendation",
                        parts=wanted,
                        others=False,
                        mode=settings.output.permissions,
                    )
                    names = [str(path) for path in written]
                else:
                    names = _tables(str(self.output_table), wanted)
                    warehouse.export_tables(
                        dict(zip(wanted, names, strict=True)),
                        columns,
                        key_columns=keys,
                        replace=self.if_exists == "replace",
                        overwrite=self.overwrite,
                    )
        result = dict(zip(names, counts.values(), strict=True))
        for name, rows in result.items():
            self.log.info("%s: %s rows", name, f"{rows:,}")
        return result

    def get_openlineage_facets_on_start(self) -> Any:
        """The table and its verdicts as inputs."""
        return self._lineage([])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The same with the tables written."""
        written = self.output_table is not None and self.to is None
        return self._lineage(_tables(str(self.output_table), listed(self.lists)) if written else [])

    def _lineage(self, outputs: Sequence[str]) -> Any:
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table, "mailvet_verdicts"], outputs=outputs)


def _tables(beginning: str, lists: Sequence[str]) -> list[str]:
    """The name of each list's table."""
    from mailvet.sdk import parse_table

    return [str(parse_table(beginning).with_suffix(f"_{name}")) for name in lists]

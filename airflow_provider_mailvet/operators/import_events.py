"""Read what a sender says happened to the mail, into the table of events beside the contacts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_provider_mailvet.arguments import drop_unset
from airflow_provider_mailvet.sources import database_hook, opened_events, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["MailvetImportEventsOperator"]


class MailvetImportEventsOperator(BaseSQLOperator):
    """Import a sender's export, webhook dump or bounce mail into `mailvet_events`, each event once.

    Of a file that has grown since the last import, only what was added is read, so the task may run as often as you
    like. Returns counts, without addresses.

    :param conn_id: connection of the database of the contacts, where `mailvet_events` lies.
    :param source: file or folder on the worker: CSV, JSON, JSON Lines, Parquet, a zip of these, mbox, maildir, .eml.
    :param sender: whose words they are: ses, sendgrid, mailgun, postmark, ...; auto tells each record by its fields.
    :param allow_unknown: import the others although more than 1 % of the words are not known.
    :param from_start: read all of the source again, not only what was added.
    :param mailvet_conn_id: connection of the type mailvet. The default one need not exist.
    """

    template_fields: Sequence[str] = (*BaseSQLOperator.template_fields, "source", "sender", "mailvet_conn_id")
    ui_color = "#e3ecf8"

    def __init__(
        self,
        *,
        source: str,
        sender: str,
        conn_id: str,
        allow_unknown: bool = False,
        from_start: bool = False,
        mailvet_conn_id: str = "mailvet_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.source = source
        self.sender = sender
        self.allow_unknown = allow_unknown
        self.from_start = from_start
        self.mailvet_conn_id = mailvet_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Import what is new."""
        with translated("Nothing was written."):
            from airflow_provider_mailvet.hooks.mailvet import MailvetHook
            from mailvet.sdk import import_events

            drop_unset(self)
            keep = MailvetHook(self.mailvet_conn_id).settings(depth="offline").history.keep_days
            with opened_events(database_hook(self.get_db_hook, self.conn_id)) as store:
                found = import_events(
                    Path(self.source),
                    store,
                    self.sender,
                    allow_unknown=self.allow_unknown,
                    from_start=self.from_start,
                )
                old = store.forget_engagement_before(datetime.now(timezone.utc) - timedelta(days=keep)) if keep else 0
        self.log.info("%s records, %s events, %s new", f"{found.records:,}", f"{found.events.total():,}", found.added)
        return {
            "records": found.records,
            "events": dict(found.events),
            "added": found.added,
            "echoes": found.echoes,
            "unusable": dict(found.unusable),
            "unknown_words": len(found.unknown),
            "deleted": old,
        }

"""Verify the addresses of a table and write the answers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_provider_mailvet.arguments import (
    NOT_GIVEN,
    argument_words,
    count,
    drop_unset,
    duration,
    listed,
    renamed,
)
from airflow_provider_mailvet.assets import verified_table
from airflow_provider_mailvet.compat import AirflowException, AirflowFailException, Asset, SQLCheckResult, conf
from airflow_provider_mailvet.links import VerificationReportLink, tell_page
from airflow_provider_mailvet.sources import database_hook, opened, translated
from airflow_provider_mailvet.summary import Attempts, summarise

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mailvet import GateResult, RunResult, Settings
    from mailvet.sdk import Recheck

__all__ = ["MailvetVerifyOperator"]

_MOST_ATTEMPTS = 8
"""So many times a task comes back to greylisting servers; what is left then has its time in the verdict table."""

_KEPT = "What was found so far is saved; the next try goes on from there and asks no address twice."


class _TaskStopped(AirflowException):
    """Airflow asked the task to stop."""


class MailvetVerifyOperator(BaseSQLOperator):
    """Verify the e-mail addresses of a table where it lies, and write status columns back beside them.

    Only what is due is verified: new and changed addresses, and verdicts whose time has come. Verdicts are saved in
    the table `mailvet_verdicts` beside the source as they come, so a task that was killed, timed out or retried goes on
    where it stopped. Returns counts (less than 2 KB, no addresses); every outlet that is an asset gets them too.

    :param conn_id: connection of the database: DuckDB, PostgreSQL, or any other whose hook gives an SQLAlchemy engine.
    :param table: name, also `schema.table`.
    :param email_column: the column of addresses.
    :param key_columns: columns that identify a row. Nothing needs them, for answers are matched by the address; where
        they are given, it is checked beforehand that they are there and unique.
    :param where: SQL condition on the rows to verify and to write. It is stored with the DAG, so it should not name
        an address.
    :param depth: offline, dns or smtp; default: as the mailvet connection says.
    :param policy: a name, also of a policy of the settings; default: as the mailvet connection says.
    :param mailvet_conn_id: connection of the type mailvet. The default one need not exist.
    :param write_back: put status columns on the table; otherwise the answers stand in `mailvet_verdicts` only.
    :param columns: which status columns; default: status, reason, recommendation, score, suggestion, checked_at.
    :param recheck: ask again what is fresh: "all", "reason=mailbox_not_found", "older-than=30d", several by comma or as
        a list. What this DAG run has asked already is not asked again by a retry.
    :param max_addresses: verify at most so many addresses in this task; the rest stays due.
    :param max_undeliverable_rate: fail when a larger share of the addresses with a verdict is undeliverable ("2%" or
        0.02), or when none has a verdict: the figure and the limit of `MailvetCheckOperator`.
    :param on_degraded: what to do when the machine or its network kept the answers from being full (no DNS, port 25
        closed, block-listed): fail this try or only warn.
    :param wait_for_greylisting: how long to stay for servers that ask strangers to come back ("45m", a timedelta);
        None: what they keep back is unknown until the next run.
    :param deferrable: give the worker back while waiting for them; default: `[operators] default_deferrable`.
    :param shard: one element of what `plan_shards` returns, when the task is mapped.
    """

    template_fields: Sequence[str] = (
        *BaseSQLOperator.template_fields,
        "table",
        "email_column",
        "key_columns",
        "where",
        "depth",
        "policy",
        "mailvet_conn_id",
        "columns",
        "recheck",
        "max_addresses",
        "max_undeliverable_rate",
        "wait_for_greylisting",
        "shard",
    )
    template_fields_renderers = {  # noqa: RUF012  (as Airflow declares it)
        "where": "sql",
        "columns": "json",
        "key_columns": "json",
        "hook_params": "json",
        "shard": "json",
    }
    operator_extra_links = (VerificationReportLink(),)
    ui_color = "#e8f4ec"

    def __init__(
        self,
        *,
        table: str,
        conn_id: str,
        email_column: str = "email",
        key_columns: str | Sequence[str] | None = None,
        where: str | None = None,
        depth: str | None = None,
        policy: str | None = None,
        mailvet_conn_id: str = "mailvet_default",
        write_back: bool = True,
        columns: Sequence[str] | None = None,
        recheck: str | Sequence[str] | None = None,
        max_addresses: int | None = None,
        max_undeliverable_rate: float | str | None = None,
        on_degraded: Literal["fail", "warn"] = "fail",
        wait_for_greylisting: timedelta | str | float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        shard: dict[str, Any] | None = None,
        max_undeliverable: float | str | None = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        if "outlets" not in kwargs and "{{" not in f"{conn_id}{table}":
            kwargs["outlets"] = [verified_table(conn_id, table)]
        super().__init__(conn_id=conn_id, **kwargs)
        self.table = table
        self.email_column = email_column
        self.key_columns = key_columns
        self.where = where
        self.depth = depth
        self.policy = policy
        self.mailvet_conn_id = mailvet_conn_id
        self.write_back = write_back
        self.columns = columns
        self.recheck = recheck
        self.max_addresses = max_addresses
        self.max_undeliverable_rate = max_undeliverable_rate
        if max_undeliverable is not NOT_GIVEN:
            self.max_undeliverable_rate = renamed("max_undeliverable", "max_undeliverable_rate", max_undeliverable)
        self.on_degraded = on_degraded
        self.wait_for_greylisting = wait_for_greylisting
        self.deferrable = deferrable
        self.shard = shard
        self._at_work = False
        if on_degraded not in ("fail", "warn"):
            raise ValueError(f"on_degraded={on_degraded!r}: choose 'fail' or 'warn'.")

    # ---------------------------------------------------------------- the task

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify what is due."""
        now = datetime.now(timezone.utc)
        return self._attempt(context, Attempts(started_at=now.isoformat(timespec="seconds")))

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Ask those again whom greylisting servers kept back, as the same sender as before."""
        return self._attempt(context, Attempts.from_dict(event["attempts"]))

    def _attempt(self, context: Context, attempts: Attempts) -> dict[str, Any]:
        self._at_work = True
        try:
            return self._verify(context, attempts)
        finally:
            self._at_work = False

    def _verify(self, context: Context, attempts: Attempts) -> dict[str, Any]:
        with translated(_KEPT):
            from mailvet.sdk import Limits, judged

            drop_unset(self)
            settings = self._settings(attempts)
            limits = Limits.of(max_undeliverable_rate=self.max_undeliverable_rate)
            patience = duration(self.wait_for_greylisting, "wait_for_greylisting")
            recheck = None if attempts.count else self._recheck(context)
            end = datetime.fromisoformat(attempts.started_at) + patience
            now = datetime.now(timezone.utc)
            with opened(
                database_hook(self.get_db_hook, self.conn_id),
                settings,
                table=self.table,
                column=self.email_column,
                where=self.where,
                updatable=self.write_back,
            ) as warehouse:
                if self.shard is not None:
                    warehouse.keep_shard(*_shard(self.shard))
                warehouse.check_keys(listed(self.key_columns))
                stay = timedelta(0) if self.deferrable else max(end - now, timedelta(0))
                result = self._run(warehouse, settings, stay, again=attempts.count > 0, recheck=recheck)
                attempts.add(result)
                pending, next_check_at = warehouse.pending()
                gate = judged(warehouse, limits) if limits.applied else None
        attempts.hello_name = settings.hello_name
        if self.deferrable and pending and next_check_at and next_check_at <= end and attempts.count < _MOST_ATTEMPTS:
            self._wait(attempts, pending, next_check_at)
        return self._finish(context, result, attempts, gate, pending, next_check_at)

    def _recheck(self, context: Context) -> Recheck | None:
        """What is asked again although it is fresh; of that, nothing twice in one DAG run, whatever is retried."""
        from mailvet.sdk import parse_recheck

        recheck, dag_run = parse_recheck(self.recheck), context.get("dag_run")
        started = getattr(dag_run, "start_date", None)
        return recheck.not_since(started) if recheck is not None and started is not None else recheck

    def _run(
        self, warehouse: Any, settings: Settings, stay: timedelta, *, again: bool, recheck: Recheck | None
    ) -> RunResult:
        from mailvet import Progress, Reason, SourceError, UnavailableError, run
        from mailvet.sdk import STATUS_COLUMNS, InHand, LogWatcher

        class Watcher(LogWatcher):
            asking = False

            def progressed(self, progress: Progress) -> None:
                self.asking = True
                super().progressed(progress)

        watcher, limit = Watcher(), count(self.max_addresses, "max_addresses")
        in_hand = InHand()
        try:
            return run(
                warehouse,
                settings,
                write_back=self.write_back,
                columns=listed(self.columns) or STATUS_COLUMNS,
                wait=stay,
                watcher=watcher,
                limit=limit,
                among=(Reason.greylisted,) if again else None,
                recheck=recheck,
                in_hand=in_hand,
            )
        except _TaskStopped:
            raise AirflowException(f"The task was stopped. {in_hand.sentences(_KEPT)}") from None
        except UnavailableError:
            raise
        except SourceError as error:
            if not watcher.asking:
                raise
            # The database failed in the middle: the next try may find it well again.
            raise AirflowException(f"{error.worded(argument_words)} {in_hand.sentences(_KEPT)}") from None

    def _wait(self, attempts: Attempts, pending: int, moment: datetime) -> None:
        from airflow_provider_mailvet.triggers.greylisting import GreylistingTrigger

        self.log.info(
            "%s addresses are kept back by greylisting servers; the task waits without a worker until %s",
            f"{pending:,}",
            f"{moment:%H:%M:%S} UTC",
        )
        self.defer(trigger=GreylistingTrigger(moment.isoformat(), attempts.as_dict()), method_name="resume")

    def _finish(
        self,
        context: Context,
        result: RunResult,
        attempts: Attempts,
        gate: GateResult | None,
        pending: int,
        next_check_at: datetime | None,
    ) -> dict[str, Any]:
        assert self.conn_id is not None
        summary = summarise(
            result, attempts, conn_id=self.conn_id, table=self.table, pending=pending, next_check_at=next_check_at
        )
        for outlet in self.outlets or ():
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra = {
                    name: summary[name]
                    for name in ("run_id", "rows", "checked", "pending", "by_recommendation", "undeliverable_rate")
                }
        self._log(summary)
        tell_page(context, self.log)
        self._assert(summary, gate)
        failure: AirflowException | None = None
        if result.degraded and self.on_degraded == "fail":
            failure = AirflowException(f"{result.degraded} {_KEPT}")
        elif gate is not None and not gate.passed:
            (limit,) = gate.failed
            failure = AirflowFailException(
                f"Of the addresses of {result.source} {limit.text}; {limit.name} allows {limit.limit:.2%}. Most of "
                f"them: {_worst(summary)}. Do not send before they are taken out; the verdicts are written."
            )
        if result.degraded:
            self.log.warning("%s", result.degraded)
        if failure is not None:
            context["ti"].xcom_push(key="return_value", value=summary)  # what failed can be seen on the page too
            raise failure
        return summary

    def _log(self, summary: dict[str, Any]) -> None:
        advice = ", ".join(f"{name} {rows:,}" for name, rows in summary["by_recommendation"].items())
        updates = "" if summary["updates"] is None else f"; {summary['updates']:,} updates of rows in the table"
        self.log.info(
            "%s: %s addresses verified in %.1f s, %s; of %s rows: %s%s",
            summary["source"],
            f"{summary['checked']:,}",
            summary["seconds"],
            f"{summary['lookups']:,} domains looked up and {summary['probes']:,} recipients named to mail servers",
            f"{summary['rows']:,}",
            advice or "none verified",
            updates,
        )
        if summary["bounce_before"] is not None:
            after = [
                "nothing to send" if rate is None else f"{100 * rate:.1f} %"
                for rate in (summary["bounce_without_do_not_send"], summary["bounce_after"])
            ]
            self.log.info(
                "expected hard bounces: %.1f %% if everything were sent, %s if all but do_not_send, %s if only what is "
                "recommended",
                100 * summary["bounce_before"],
                *after,
            )

    def on_kill(self) -> None:
        """Stop asking.

        What the servers have said is saved before the process ends, which takes a second or two; where the database
        does not reply, it is in the journal by then. A task that is deferred has nothing in hand.

        Airflow calls this from the handler of the signal, so the exception ends the run that is going on.
        """
        if self._at_work:
            self._at_work = False
            raise _TaskStopped(f"The task was stopped. {_KEPT}")

    # ---------------------------------------------------------------- its parts

    def _settings(self, attempts: Attempts) -> Settings:
        from airflow_provider_mailvet.hooks.mailvet import MailvetHook

        hook = MailvetHook(self.mailvet_conn_id)
        smtp = {"hello_name": attempts.hello_name} if attempts.count and attempts.hello_name else None
        return hook.settings(depth=self.depth, policy=self.policy, smtp=smtp)

    def _assert(self, summary: dict[str, Any], gate: GateResult | None) -> None:
        """What OpenLineage tells of the quality of the table."""
        verified = max(sum(summary["by_status"].values()), 1)
        unknown = summary["by_status"].get("unknown", 0) / verified
        limit = gate.limits[0] if gate is not None else None
        self.check_results = [
            SQLCheckResult(
                name="rate of undeliverable addresses",
                check_type="email_undeliverable_rate",
                success=limit is None or limit.passed,
                severity="info" if limit is None else "error",
                column=self.email_column,
                table=_bare(self.table),
                expected=None if limit is None else f"<= {limit.limit}",
                actual=str(summary["undeliverable_rate"]),
                params={"depth": summary["depth"], "run_id": summary["run_id"]},
            ),
            SQLCheckResult(
                name="rate of unknown addresses",
                check_type="email_unknown_rate",
                success=True,
                severity="info",
                column=self.email_column,
                table=_bare(self.table),
                actual=str(round(unknown, 5)),
                params={"depth": summary["depth"]},
            ),
        ]

    def get_openlineage_facets_on_start(self) -> Any:
        """The table as input; without a connection to the database."""
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table], outputs=[])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The table as input, the verdicts (and the table, where it was written to) as output, and the assertions."""
        from airflow_provider_mailvet.lineage import datasets_of

        outputs = ["mailvet_verdicts", *([self.table] if self.write_back else [])]
        return datasets_of(self, inputs=[self.table], outputs=outputs, assertions=True)


def _shard(given: Any) -> tuple[str, int]:
    from mailvet import SettingsError

    try:
        return str(given["plan_id"]), int(given["shard"])
    except (KeyError, TypeError, ValueError):
        raise SettingsError(f"shard={given!r}: map the task over what plan_shards() returns.") from None


def _worst(summary: dict[str, Any]) -> str:
    from mailvet import Reason, Status
    from mailvet.sdk import REASONS

    bad = [
        (rows, word)
        for word, rows in summary["by_reason"].items()
        if word in Reason.__members__ and REASONS[Reason(word)].status is Status.undeliverable
    ]
    return ", ".join(f"{word} ({rows:,})" for rows, word in sorted(bad, reverse=True)[:3])


def _bare(table: str) -> str:
    from mailvet.sdk import unquoted_parts

    return ".".join(unquoted_parts(table))

"""Hold a table against limits: no server is asked, only what stands in `mailvet_verdicts` is counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_provider_mailvet.arguments import NOT_GIVEN, drop_unset, renamed
from airflow_provider_mailvet.compat import AirflowFailException, AirflowSkipException, SQLCheckResult
from airflow_provider_mailvet.links import GateReportLink, tell_page
from airflow_provider_mailvet.sources import database_hook, opened, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mailvet import GateResult
    from mailvet.sdk import Limits

__all__ = ["MailvetCheckOperator"]

_NONE_UNVERIFIED = 0.0
"""What `max_unverified_rate` is unless said otherwise, since this operator is the last one before a send."""

_RATES = (
    "max_undeliverable_rate",
    "max_bounce_rate",
    "max_unknown_rate",
    "max_do_not_send_rate",
    "max_unverified_rate",
    "max_unprobed_rate",
    "max_stale_rate",
    "max_missing_rate",
)


class MailvetCheckOperator(BaseSQLOperator):
    """Let the DAG go on only when a table is fit to be sent to.

    The figures and limits are those of every mailvet gate (`mailvet gate`, `mailvet.gate`, dbt, Great Expectations).
    A limit is a share ("2%" or 0.02); one that is not given is not applied, what equals it passes, and one that is
    given fails where nothing is verified. Returns every count and figure, the limits and the warnings.

    :param conn_id: connection of the database.
    :param table: name, also `schema.table`.
    :param email_column: the column of addresses.
    :param where: SQL condition on the rows to count.
    :param among: the audience, by recommendation: ["send"]; default: all addresses.
    :param max_undeliverable_rate: undeliverable, of the verified addresses in the audience.
    :param max_bounce_rate: hard bounces expected, of the audience.
    :param judge_by: what `max_bounce_rate` bounds: the estimate, or the upper end of its interval.
    :param confidence: of the interval.
    :param max_unknown_rate: unknown, of the verified addresses in the audience.
    :param max_do_not_send_rate: recommended not to be sent to, of the verified addresses in the audience.
    :param max_unverified_rate: without a verdict, of all addresses. Unlike the others it is 0 unless you say otherwise:
        a table that was never verified must not pass. None takes it away.
    :param max_unprobed_rate: not probed, of all addresses.
    :param max_age: verdicts older than this ("30d", a timedelta) are stale; alone it means `max_stale_rate` 0.
    :param max_stale_rate: stale, of all addresses; needs `max_age`.
    :param max_missing_rate: null or blank, of all rows.
    :param policy: a name, also of a policy of the settings; default: as the mailvet connection says.
    :param on_failure: fail the task, only warn, or skip what comes after it ("skip" short-circuits the DAG).
    """

    template_fields: Sequence[str] = (
        *BaseSQLOperator.template_fields,
        "table",
        "email_column",
        "where",
        "among",
        "policy",
        "mailvet_conn_id",
        "max_age",
        *_RATES,
    )
    template_fields_renderers = {"where": "sql", "hook_params": "json"}  # noqa: RUF012  (as Airflow declares it)
    operator_extra_links = (GateReportLink(),)
    ui_color = "#fdf3dc"

    def __init__(
        self,
        *,
        table: str,
        conn_id: str,
        email_column: str = "email",
        where: str | None = None,
        among: Sequence[str] | str | None = None,
        max_undeliverable_rate: float | str | None = None,
        max_bounce_rate: float | str | None = None,
        judge_by: Literal["estimate", "upper"] = "estimate",
        confidence: float = 0.95,
        max_unknown_rate: float | str | None = None,
        max_do_not_send_rate: float | str | None = None,
        max_unverified_rate: float | str | None = _NONE_UNVERIFIED,
        max_unprobed_rate: float | str | None = None,
        max_age: timedelta | str | float | None = None,
        max_stale_rate: float | str | None = None,
        max_missing_rate: float | str | None = None,
        policy: str | None = None,
        mailvet_conn_id: str = "mailvet_default",
        on_failure: Literal["fail", "warn", "skip"] = "fail",
        max_undeliverable: float | str | None = NOT_GIVEN,
        max_unknown: float | str | None = NOT_GIVEN,
        max_unverified: float | str | None = NOT_GIVEN,
        max_stale: float | str | None = NOT_GIVEN,
        forbid_do_not_send: bool = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.table = table
        self.email_column = email_column
        self.where = where
        self.among = among
        self.max_undeliverable_rate = max_undeliverable_rate
        self.max_bounce_rate = max_bounce_rate
        self.judge_by = judge_by
        self.confidence = confidence
        self.max_unknown_rate = max_unknown_rate
        self.max_do_not_send_rate = max_do_not_send_rate
        self.max_unverified_rate = max_unverified_rate
        self.max_unprobed_rate = max_unprobed_rate
        self.max_age = max_age
        self.max_stale_rate = max_stale_rate
        self.max_missing_rate = max_missing_rate
        self.policy = policy
        self.mailvet_conn_id = mailvet_conn_id
        self.on_failure = on_failure
        for old, new, value in (
            ("max_undeliverable", "max_undeliverable_rate", max_undeliverable),
            ("max_unknown", "max_unknown_rate", max_unknown),
            ("max_unverified", "max_unverified_rate", max_unverified),
            ("max_stale", "max_stale_rate", max_stale),
            ("forbid_do_not_send", "max_do_not_send_rate", forbid_do_not_send),
        ):
            if value is not NOT_GIVEN:
                setattr(self, new, renamed(old, new, value))
        # A template that renders nothing is not given, and then the default holds; None in the DAG takes it away.
        self._may_be_unverified = self.max_unverified_rate is None
        if on_failure not in ("fail", "warn", "skip"):
            raise ValueError(f"on_failure={on_failure!r}: choose 'fail', 'warn' or 'skip'.")
        if judge_by not in ("estimate", "upper"):
            raise ValueError(f"judge_by={judge_by!r}: choose 'estimate' or 'upper'.")
        if not 0 < confidence < 1:
            raise ValueError(f"confidence={confidence!r}: give a number between 0 and 1, such as 0.95.")
        if self.max_stale_rate is not None and max_age is None:
            raise ValueError("max_stale_rate needs max_age: how old a verdict may be before it is stale.")

    def execute(self, context: Context) -> dict[str, Any]:
        """Count, and look at every limit, so that the log names all that fail."""
        with translated():
            from mailvet.sdk import held_against

            unverified = self.max_unverified_rate
            drop_unset(self)
            if unverified is None and self._may_be_unverified:
                self.max_unverified_rate = None
            limits, settings = self._limits(), self._settings()
            with opened(
                database_hook(self.get_db_hook, self.conn_id),
                settings,
                table=self.table,
                column=self.email_column,
                where=self.where,
                writable=False,
                updatable=False,
            ) as warehouse:
                result = held_against(warehouse, settings, limits)
        self._record(result)
        tell_page(context, self.log)
        found = {"mailvet_gate": 1, "conn_id": self.conn_id, "table": self.table, **result.as_dict()}
        if not result.passed:
            if self.on_failure != "warn" and "ti" in context:
                context["ti"].xcom_push(key="return_value", value=found)  # what failed can be seen on the page too
            self._refuse(result)
        return found

    def _limits(self) -> Limits:
        from mailvet.sdk import Limits

        rates = {name: getattr(self, name) for name in _RATES}
        return Limits.of(
            **rates, max_age=self.max_age, among=self.among, judge_by=self.judge_by, confidence=self.confidence
        )

    def _settings(self) -> Any:
        from airflow_provider_mailvet.hooks.mailvet import MailvetHook

        return MailvetHook(self.mailvet_conn_id).settings(policy=self.policy, depth="offline")

    def _record(self, result: GateResult) -> None:
        """For the log, and for OpenLineage: each limit is an assertion on the column."""
        from mailvet.sdk import unquoted_parts

        severity = {"fail": "error", "warn": "warn", "skip": "info"}[self.on_failure]
        self.check_results = [
            SQLCheckResult(
                name=limit.name,
                check_type=f"email_{limit.name.removeprefix('max_')}",
                success=limit.passed,
                severity=severity,
                column=self.email_column,
                table=".".join(unquoted_parts(self.table)),
                expected=f"<= {limit.limit}",
                actual=str(limit.figure),
            )
            for limit in result.limits
        ]
        for limit in result.limits:
            allowed = f"{limit.name} allows {limit.limit:.2%}"
            self.log.info("%s: %s (%s)", "passed" if limit.passed else "FAILED", limit.text, allowed)

    def _refuse(self, result: GateResult) -> None:
        reasons = "; ".join(f"{limit.text}, where {limit.name} allows {limit.limit:.2%}" for limit in result.failed)
        verifying_helps = {"max_unverified_rate", "max_unprobed_rate", "max_stale_rate"}
        advice = (
            "Verify it first (MailvetVerifyOperator)."
            if any(limit.name in verifying_helps for limit in result.failed)
            else "Send to the rows recommended to send only, or correct the addresses."
        )
        message = (
            f"{result.source} is not fit to be sent to: of {result.counts.addresses:,} addresses {reasons}. {advice}"
        )
        if self.on_failure == "fail":
            raise AirflowFailException(message)
        if self.on_failure == "skip":
            # Skipping goes on to the tasks after this one, by their trigger rules.
            raise AirflowSkipException(message)
        self.log.warning("%s", message)

    def get_openlineage_facets_on_start(self) -> Any:
        """The table and its verdicts as inputs."""
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table, "mailvet_verdicts"], outputs=[])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The same with every limit as a data quality assertion."""
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table, "mailvet_verdicts"], outputs=[], assertions=True)

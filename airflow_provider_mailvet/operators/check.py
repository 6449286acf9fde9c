"""Gate a table on its verdicts: nobody is asked, only what stands in `mailvet_verdicts` is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.common.sql.operators.sql import BaseSQLOperator, SQLCheckResult

from airflow_provider_mailvet.arguments import duration, share
from airflow_provider_mailvet.sources import opened, translated

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mailvet.warehouse.base import Standing

__all__ = ["MailvetCheckOperator"]


class MailvetCheckOperator(BaseSQLOperator):
    """
    Let the DAG go on only when a table is fit to be sent to.

    Shares are of the rows with an address. A rule that is None is not looked at. Returns the counts and what each rule
    found.

    :param conn_id: connection of the database.
    :param table: name, also `schema.table`.
    :param email_column: the column of addresses.
    :param where: SQL condition on the rows that will be sent to: the audience.
    :param max_undeliverable: largest share of undeliverable addresses ("2%" or 0.02).
    :param max_unknown: largest share of addresses of which nothing is known.
    :param max_unverified: largest share of addresses without any verdict. Unlike the others it is 0 unless said
        otherwise: a table that nobody verified must not pass.
    :param max_age: verdicts older than this ("30d", a timedelta) are stale.
    :param max_stale: largest share of stale verdicts; needs `max_age`.
    :param max_bounce_rate: the share of hard bounces to expect has to stay below it.
    :param judge_by: compare the expected share with that limit, or the upper end of its interval.
    :param confidence: of the interval.
    :param forbid_do_not_send: no row of the audience may be recommended not to be sent to.
    :param policy: marketing, transactional or signup; default: as the mailvet connection says.
    :param on_failure: fail the task, only warn, or skip what comes after it ("skip" short-circuits the DAG).
    """

    template_fields: Sequence[str] = (
        *BaseSQLOperator.template_fields,
        "table", "email_column", "where", "policy", "mailvet_conn_id", "max_undeliverable", "max_unknown",
        "max_unverified", "max_age", "max_stale", "max_bounce_rate",
    )  # fmt: skip
    template_fields_renderers = {"where": "sql", "hook_params": "json"}  # noqa: RUF012  (as Airflow declares it)
    ui_color = "#fdf3dc"

    def __init__(
        self,
        *,
        table: str,
        conn_id: str,
        email_column: str = "email",
        where: str | None = None,
        max_undeliverable: float | str | None = None,
        max_unknown: float | str | None = None,
        max_unverified: float | str | None = 0.0,
        max_age: timedelta | str | float | None = None,
        max_stale: float | str | None = None,
        max_bounce_rate: float | str | None = None,
        judge_by: Literal["estimate", "upper"] = "estimate",
        confidence: float = 0.95,
        forbid_do_not_send: bool = False,
        policy: str | None = None,
        mailvet_conn_id: str = "mailvet_default",
        on_failure: Literal["fail", "warn", "skip"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.table = table
        self.email_column = email_column
        self.where = where
        self.max_undeliverable = max_undeliverable
        self.max_unknown = max_unknown
        self.max_unverified = max_unverified
        self.max_age = max_age
        self.max_stale = max_stale
        self.max_bounce_rate = max_bounce_rate
        self.judge_by = judge_by
        self.confidence = confidence
        self.forbid_do_not_send = forbid_do_not_send
        self.policy = policy
        self.mailvet_conn_id = mailvet_conn_id
        self.on_failure = on_failure
        if on_failure not in ("fail", "warn", "skip"):
            raise ValueError(f"on_failure={on_failure!r}: choose 'fail', 'warn' or 'skip'.")
        if judge_by not in ("estimate", "upper"):
            raise ValueError(f"judge_by={judge_by!r}: choose 'estimate' or 'upper'.")
        if not 0 < confidence < 1:
            raise ValueError(f"confidence={confidence!r}: give a number between 0 and 1, such as 0.95.")
        if max_stale is not None and max_age is None:
            raise ValueError("max_stale needs max_age: how old a verdict may be before it is stale.")

    def execute(self, context: Context) -> dict[str, Any]:
        """Count, and judge every rule, so that the log names all that fail."""
        with translated():
            from mailvet.run import plan

            limits = {
                name: share(getattr(self, name), name)
                for name in ("max_undeliverable", "max_unknown", "max_unverified", "max_stale", "max_bounce_rate")
            }
            age = duration(self.max_age, "max_age") if self.max_age is not None else None
            if age is not None and limits["max_stale"] is None:
                limits["max_stale"] = 0.0
            settings = self._settings()
            now = datetime.now(timezone.utc)
            with opened(
                self.get_db_hook(), settings, table=self.table, column=self.email_column, where=self.where,
                writable=False, updatable=False,
            ) as warehouse:  # fmt: skip
                plan(warehouse, settings)
                standing = warehouse.standing(stale_before=now - age if age is not None else None)
                source = warehouse.name
        return self._judge(source, standing, limits)

    def _settings(self) -> Any:
        from airflow_provider_mailvet.hooks.mailvet import MailvetHook

        return MailvetHook(self.mailvet_conn_id).settings(policy=self.policy, depth="offline")

    def _judge(self, source: str, standing: Sequence[Standing], limits: Mapping[str, float | None]) -> dict[str, Any]:
        counts = _counted(standing)
        rows = counts["addresses"]
        found: dict[str, float] = {
            f"max_{name}": counts[name] / rows if rows else 0.0
            for name in ("undeliverable", "unknown", "unverified", "stale")
        }
        rules = [(name, limit, found[name], f"{found[name]:.2%} {_WORDS[name]}")
                 for name, limit in limits.items() if limit is not None and name in found]  # fmt: skip
        limit = limits["max_bounce_rate"]
        estimate = self._bounces(standing)
        if estimate is not None:
            rate, low, high = estimate
            counts |= {"bounce_rate": round(rate, 5), "bounce_low": round(low, 5), "bounce_high": round(high, 5)}
            if limit is not None:
                said = f"{rate:.2%} hard bounces to expect ({low:.2%} to {high:.2%} at {self.confidence:.0%})"
                rules.append(("max_bounce_rate", limit, rate if self.judge_by == "estimate" else high, said))
        verdicts = [(name, limit, value, said, value <= limit) for name, limit, value, said in rules]
        if self.forbid_do_not_send:
            bad = counts["do_not_send"]
            verdicts.append(("forbid_do_not_send", 0.0, float(bad), f"{bad:,} rows not to be sent to", bad == 0))
        self.check_results = [
            SQLCheckResult(
                name=name, check_type=f"email_{name.removeprefix('max_')}", success=passed,
                severity="error" if self.on_failure == "fail" else "warn" if self.on_failure == "warn" else "info",
                column=self.email_column, table=self.table.replace('"', ""), expected=f"<= {limit}",
                actual=str(round(value, 5)),
            )
            for name, limit, value, _, passed in verdicts
        ]  # fmt: skip
        for name, limit, _, said, passed in verdicts:
            self.log.info("%s: %s (%s %s)", "passed" if passed else "FAILED", said, name, _limit(name, limit))
        failed = [(name, limit, said) for name, limit, _, said, passed in verdicts if not passed]
        result = {
            "source": source,
            "passed": not failed,
            **counts,
            "rules": {name: {"limit": limit, "found": round(value, 5), "passed": passed}
                      for name, limit, value, _, passed in verdicts},
        }  # fmt: skip
        if failed:
            self._refuse(source, failed, counts)
        return result

    def _refuse(self, source: str, failed: Sequence[tuple[str, float, str]], counts: Mapping[str, Any]) -> None:
        reasons = "; ".join(f"{said}, where {name} {_limit(name, limit)}" for name, limit, said in failed)
        advice = (
            "Verify it first (MailvetVerifyOperator)."
            if any(name in ("max_unverified", "max_stale") for name, _, _ in failed)
            else "Send to the rows recommended to send only, or correct the addresses."
        )
        message = f"{source} is not fit to be sent to: of {counts['addresses']:,} addresses {reasons}. {advice}"
        if self.on_failure == "fail":
            raise AirflowFailException(message)
        if self.on_failure == "skip":
            # Skipping goes on to the tasks after this one, by their trigger rules.
            raise AirflowSkipException(message)
        self.log.warning("%s", message)

    def _bounces(self, standing: Sequence[Standing]) -> tuple[float, float, float] | None:
        """Share of hard bounces to expect, with its interval; None without addresses."""
        from mailvet.bounces import estimate_bounces
        from mailvet.scoring import bounce_probability
        from mailvet.verdict import Reason

        usual = bounce_probability(Reason.not_probed)
        groups = (
            (usual if group.score is None else 1 - group.score / 100, group.rows)
            for group in standing
            if not group.blank
        )
        found = estimate_bounces(groups, self.confidence)
        return None if found is None else (found.rate, found.low, found.high)

    def get_openlineage_facets_on_start(self) -> Any:
        """The table and its verdicts as inputs."""
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table, "mailvet_verdicts"], outputs=[])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The same with every rule as a data quality assertion."""
        from airflow_provider_mailvet.lineage import datasets_of

        return datasets_of(self, inputs=[self.table, "mailvet_verdicts"], outputs=[], assertions=True)


_WORDS = {
    "max_undeliverable": "undeliverable",
    "max_unknown": "unknown",
    "max_unverified": "without a verdict",
    "max_stale": "with a verdict that is too old",
}


def _limit(name: str, limit: float) -> str:
    return "allows none" if name == "forbid_do_not_send" else f"allows {limit:.2%}"


def _counted(standing: Sequence[Standing]) -> dict[str, Any]:
    """Rows, and rows with an address by what is known of it."""
    filled = [group for group in standing if not group.blank]

    def rows(wanted: Any) -> int:
        return sum(group.rows for group in filled if wanted(group))

    return {
        "rows": sum(group.rows for group in standing),
        "addresses": sum(group.rows for group in filled),
        "undeliverable": rows(lambda group: group.status == "undeliverable"),
        "unknown": rows(lambda group: group.status == "unknown"),
        "unverified": rows(lambda group: group.status is None),
        "stale": rows(lambda group: group.stale),
        "do_not_send": rows(lambda group: group.recommendation == "do_not_send"),
    }

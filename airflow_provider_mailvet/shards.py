"""One table verified by several mapped tasks, each of which owns whole mail operators."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

__all__ = ["plan_shards"]

log = logging.getLogger(__name__)


def plan_shards(
    *,
    conn_id: str,
    table: str,
    shards: int,
    email_column: str = "email",
    where: str | None = None,
    depth: str | None = None,
    policy: str | None = None,
    mailvet_conn_id: str = "mailvet_default",
    write_back: bool = True,
    columns: Sequence[str] | None = None,
    recheck: str | Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Divide a table among mapped tasks; call it in a task of its own and map the verification over what it returns.

        @task
        def shards():
            return plan_shards(conn_id="crm", table="contacts", shards=4)

        MailvetVerifyOperator.partial(task_id="verify", conn_id="crm", table="contacts").expand(shard=shards())

    All customers of one mail operator fall to one task, so no operator is asked faster than by a single task, without
    the tasks knowing of each other. The division itself stays in the database (`mailvet_shards`, for a week); XCom
    carries its name and numbers only. The arguments are those of `MailvetVerifyOperator` and should be the same.

    :param shards: at most so many tasks; fewer where there are fewer operators. At least one comes back, which has
        nothing to do on a day without anything due, so that the tasks behind the verification run all the same.

    Raises:
        AirflowFailException: a DuckDB file, which has one writer at a time, and whatever does not fit.
    """
    from airflow.providers.common.sql.operators.sql import BaseSQLOperator

    from airflow_provider_mailvet.arguments import given, listed
    from airflow_provider_mailvet.hooks.mailvet import MailvetHook
    from airflow_provider_mailvet.sources import database_hook, opened, translated

    with translated():
        from mailvet.sdk import STATUS_COLUMNS
        from mailvet.sdk import plan_shards as divide

        hook = database_hook(lambda: BaseSQLOperator.get_hook(conn_id), conn_id)
        settings = MailvetHook(given(mailvet_conn_id) or MailvetHook.default_conn_name).settings(
            depth=given(depth), policy=given(policy)
        )
        with opened(
            hook,
            settings,
            table=table,
            column=given(email_column) or "email",
            where=given(where),
            updatable=write_back,
        ) as warehouse:
            planned = divide(
                warehouse,
                settings,
                shards,
                columns=listed(given(columns)) or STATUS_COLUMNS,
                write_back=write_back,
                recheck=given(recheck),
            )
    for number, (seconds, addresses) in enumerate(zip(planned.seconds, planned.addresses, strict=True)):
        log.info("shard %d: %s addresses due, about %.0f s at the current pace", number, f"{addresses:,}", seconds)
    return [{"plan_id": planned.plan_id, "shard": number} for number in range(len(planned.seconds))]

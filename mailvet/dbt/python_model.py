"""The body of a Python model on DuckDB (dbt-duckdb runs Python models in dbt's own process).

    def model(dbt, session):
        dbt.config(materialized="incremental", unique_key="email_key", alias="mailvet_verdicts", full_refresh=False)
        return mailvet.dbt.verdicts(dbt, session, dbt.ref("contacts"), column="email")

It verifies what is due and gives dbt the rows that changed. The work is done in a database in memory, because a model
must not write to dbt's own connection; what is known already is read from the model's table as it was.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet import MailvetError, SettingsError, SourceError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mailvet import Settings

__all__ = ["verdicts"]

log = logging.getLogger(__name__)


def verdicts(
    dbt: Any,
    session: Any,
    relation: Any,
    *,
    column: str = "email",
    where: str | None = None,
    depth: str | None = None,
    policy: str | None = None,
    settings: Settings | str | Path | None = None,
    wait: str | timedelta = timedelta(0),
    on_degraded: str = "fail",
) -> pa.Table:
    """Verify the addresses of a relation that are due, for a model that is the verdict table.

    Args:
        dbt: what dbt passes to `model`.
        session: what dbt passes to `model`.
        relation: `dbt.ref(...)` or `dbt.source(...)`, whose names dbt wants literally in the model.
        column: the column of addresses.
        where: SQL condition on the relation's rows.
        depth: as in the settings, over which it has precedence.
        policy: as in the settings, over which it has precedence.
        settings: or the path of a mailvet.toml; default: mailvet.toml where dbt runs, if there is one, and the
            environment.
        wait: how long to stay for servers that ask to come back later, as "10m".
        on_degraded: what to do when the machine or its network kept the answers from being full (no DNS, port 25
            closed, blocked): "fail" ends the model with an error, and its table stays as it was; "warn" saves what was
            found out, the rest as unknown and due again.

    Returns:
        Rows of the verdict table: those that are new or changed, for dbt to merge by `email_key`; every row, the
        known ones carried over, where dbt is about to make the table anew. So nothing is asked twice, whichever way
        the model is materialised.

    Raises:
        SourceError: no such column, a condition that fails, a model's table that is no verdict table.
        SettingsError, PreflightError: before anything is asked.
        MailvetError: the run was degraded; nothing of it is saved, unless `on_degraded` is "warn".
    """
    import duckdb

    from mailvet import open_table, run
    from mailvet.sdk import parse_duration

    if on_degraded not in ("fail", "warn"):
        raise SettingsError(f"on_degraded={on_degraded!r}: choose 'fail' or 'warn'.")
    chosen = _settings(settings, depth, policy)
    patience = parse_duration(wait) if isinstance(wait, str) else wait
    cells = _cells(relation, column, where)
    known = _known(session, dbt)
    with duckdb.connect(":memory:") as memory:
        memory.register("cells_read", cells)
        memory.execute("create table contacts as select * from cells_read")
        warehouse = open_table(memory, "contacts", "email", policy=chosen.chosen_policy, updatable=False)
        warehouse.name = f"the input of {dbt.this.identifier}"
        try:
            warehouse.open_for_writing()
            if known is not None:
                _bring(memory, known, whole=not dbt.is_incremental, table=str(dbt.this))
            memory.execute("create table verdicts_before as from mailvet_verdicts")
            result = run(warehouse, chosen, write_back=False, wait=patience)
        finally:
            warehouse.close()
        log.info(
            "%s: %d of %d addresses were due; %d verified, %d domains looked up, %d recipients asked",
            result.source,
            result.plan.due,
            result.plan.addresses,
            result.checked,
            result.lookups,
            result.probes,
        )
        if result.degraded and on_degraded == "fail":
            raise MailvetError(
                f"{result.degraded} The table of {dbt.this.identifier} stays as it was; on_degraded='warn' saves what "
                "such a run found out."
            )
        if result.degraded:
            log.warning("%s: %s", result.source, result.degraded)
        changed = "" if known is None or not dbt.is_incremental else " except from verdicts_before"
        return memory.sql(f"from mailvet_verdicts{changed}").to_arrow_table()


def _settings(settings: Settings | str | Path | None, depth: str | None, policy: str | None) -> Settings:
    from mailvet import Settings

    if isinstance(settings, Settings):
        chosen = settings.with_policy(policy)
        if depth is None:
            return chosen
        return Settings.model_validate(chosen.model_copy(update={"depth": depth}).model_dump())
    if settings is None and Path("mailvet.toml").is_file():
        settings = "mailvet.toml"
    return Settings.load(settings, depth=depth, policy=policy)


def _cells(relation: Any, column: str, where: str | None) -> pa.Table:
    """The distinct texts of the column."""
    import duckdb

    names = {str(name).lower(): str(name) for name in relation.columns}
    if column.lower() not in names:
        raise SourceError(
            f"There is no column {column} in this model's input; there are: {', '.join(names.values())}. Name the "
            "column of addresses with column=."
        )
    from mailvet.sdk import forms, parse_duckdb, quoted

    condition = ""
    if where:
        parse_duckdb(where, "this model's input")
        condition = f" where {forms(where)[1]}"
    try:
        found = relation.query(
            "contacts_of_model",
            f"select distinct {quoted(names[column.lower()])}::varchar as email from contacts_of_model{condition}",
        )
        return found.to_arrow_table()
    except duckdb.Error as error:
        raise SourceError(f"The input cannot be read: {str(error).splitlines()[0]}.") from None


def _known(session: Any, dbt: Any) -> pa.Table | None:
    """The verdicts of the model's table as it is; None before there is one."""
    from mailvet.sdk import verdict_schema

    this = dbt.this
    found = session.execute(
        "select column_name from duckdb_columns() where lower(database_name) = lower(?) and lower(schema_name) = "
        "lower(?) and lower(table_name) = lower(?)",
        [this.database, this.schema, this.identifier],
    ).fetchall()
    if not found:
        return None
    present = {name for (name,) in found}
    needed = [field.name for field in verdict_schema() if not field.nullable]
    missing = [name for name in needed if name not in present]
    if missing:
        raise SourceError(
            f"{this} is there already and is no verdict table: it has no column {', '.join(missing)}. Give this model "
            "another name or alias."
        )
    columns = ", ".join(name for name in verdict_schema().names if name in present)
    return session.sql(f"select {columns} from {this}").to_arrow_table()


def _bring(memory: duckdb.DuckDBPyConnection, known: pa.Table, *, whole: bool, table: str) -> None:
    """The known verdicts into the working database: those of the input, or all of them."""
    memory.register("known_verdicts", known)
    (rows,), (keys,) = memory.execute(
        "select count(*) from known_verdicts union all select count(distinct email_key) from known_verdicts"
    ).fetchall()
    if rows != keys:
        raise SettingsError(
            f"{table} holds {rows - keys} keys more than once, because dbt appended to it. Configure the model with "
            "unique_key='email_key' and drop the duplicates."
        )
    only = "" if whole else " where email_key in (select sha256(coalesce(email, '')) from contacts)"
    memory.execute(f"insert into mailvet_verdicts by name select * from known_verdicts{only}")
    memory.unregister("known_verdicts")

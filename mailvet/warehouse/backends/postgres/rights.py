"""Whether a user of PostgreSQL may do what a run will do: asked before it begins, each missing right by its GRANT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailvet.errors import SourceError, argument
from mailvet.verdict import verdict_schema
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.own_tables import (
    ADDED_LATER,
    LEASES,
    OUTPUTS,
    RUN_COLUMNS,
    RUNS,
    SERVER_COLUMNS,
    SERVERS,
    SHARDS,
    VERDICTS,
    verdict_kinds,
)

if TYPE_CHECKING:
    from mailvet.warehouse.backends.postgres.driver import PsycopgDriver
    from mailvet.warehouse.backends.sql.source import ContactTable

__all__ = ["check_may_write", "check_rights"]

_OWN_RIGHTS = ("select", "insert", "update", "delete")
_NEEDED = (VERDICTS, RUNS)
"""A user who may make no table goes on without the others."""


def check_rights(driver: PsycopgDriver, source: ContactTable, *, writable: bool) -> None:
    """See `Driver.check_rights`."""
    relation = literal(source.relation)
    user, reading, schema, temporary, recovering, read_only = driver.rows(
        f"select current_user, has_column_privilege({relation}, {literal(source.column)}, 'select'), "
        "current_schema(), has_database_privilege(current_database(), 'temporary'), pg_is_in_recovery(), "
        "current_setting('transaction_read_only')::boolean"
    )[0]
    if recovering:
        raise SourceError(
            f"{source.name} is on a standby server, where not even temporary tables can be made. Name the primary "
            "server in the URL. Nothing was changed."
        )
    if read_only:
        raise SourceError(
            f"The sessions of the user {user} are read-only (default_transaction_read_only), so not even temporary "
            "tables can be made. Add ?options=-cdefault_transaction_read_only%3Doff to the URL, or name another "
            "user. Nothing was changed."
        )
    for table in (VERDICTS, RUNS, SERVERS):
        if driver.has(table):
            _check_own_table(driver, table, schema)
    missing = []
    if not reading:
        missing.append(f"grant select on {source.relation} to {user}")
    if not temporary:
        missing.append(f"grant temporary on database {driver.quote(driver.connection.info.dbname)} to {user}")
    if writable:
        missing += _missing_on_own_tables(driver, user, schema)
    if missing:
        raise SourceError(
            f"The user {user} lacks rights for {source.name}: {'; '.join(dict.fromkeys(missing))}. Nothing was changed."
        )


def _missing_on_own_tables(driver: PsycopgDriver, user: str, schema: str | None) -> list[str]:
    """The GRANTs that are missing to keep verdicts."""
    if schema is None:
        raise SourceError(
            "There is no schema to keep mailvet_verdicts in: the search_path names none that exists. Set it "
            "for this user (alter role ... set search_path) or in the URL (?options=-csearch_path%3Dmailvet)."
        )
    (creating,) = driver.rows("select has_schema_privilege(current_schema(), 'create')")[0]
    missing = []
    for name in (VERDICTS, RUNS, SERVERS, LEASES, OUTPUTS, SHARDS):
        if not driver.has(name):
            if not creating and name in _NEEDED:
                missing.append(f"grant create on schema {driver.quote(schema)} to {user}")
            continue
        relation = f"quote_ident(current_schema()) || '.{name}'"
        rights = ", ".join(f"has_table_privilege({relation}, '{right}')" for right in _OWN_RIGHTS)
        held = driver.rows(f"select {rights}")[0]
        lacking = [right for right, has in zip(_OWN_RIGHTS, held, strict=True) if not has]
        if lacking:
            missing.append(f"grant {', '.join(lacking)} on {driver.quote(schema)}.{name} to {user}")
    return missing


def _check_own_table(driver: PsycopgDriver, table: str, schema: str) -> None:
    """Whether a table that is called like one of ours is ours."""
    relation = f"to_regclass(quote_ident(current_schema()) || '.{table}')"
    has = [name for (name,) in driver.rows(f"select attname from pg_attribute where attrelid = {relation}")]
    ours = {
        VERDICTS: [name for name in verdict_schema().names if name not in ADDED_LATER],
        SERVERS: list(SERVER_COLUMNS),
        RUNS: list(RUN_COLUMNS),
    }
    lacking = [name for name in ours[table] if name not in has]
    if lacking:
        raise SourceError(
            f"The table {driver.quote(schema)}.{table} is not as mailvet makes it: it has no column {lacking[0]}. "
            "Rename it, or set another schema for mailvet's tables (?options=-csearch_path%3Dmailvet,public). "
            "Nothing was changed."
        )


def check_may_write(driver: PsycopgDriver, source: ContactTable, columns: Sequence[str]) -> None:
    """See `Driver.check_may_write`."""
    relation = literal(source.relation)
    present = {column.name.lower(): column.name for column in source.described()}
    user, owner = driver.rows(
        f"select current_user, pg_has_role(relowner, 'usage') from pg_class where oid = {relation}::regclass"
    )[0]
    new = [column for column in columns if (source.prefix + column).lower() not in present]
    if new and not owner:
        kinds = verdict_kinds()
        names = [source.status_column(column) for column in new]
        adds = ", ".join(
            f"add column {name} {driver.say.types[kinds[column]]}" for name, column in zip(names, new, strict=True)
        )
        raise SourceError(
            f"The user {user} does not own {source.name}, so it cannot add the status columns. Its owner can: alter "
            f"table {source.relation} {adds}; grant update ({', '.join(names)}) on {source.relation} "
            f"to {user}. Or use {argument('write_back', False)} and join mailvet_verdicts on email_key. "
            "Nothing was checked."
        )
    old = {column: present[(source.prefix + column).lower()] for column in columns if column not in new}
    refused = _refused(driver, relation, list(old.values()))
    if refused:
        grants = ", ".join(f"{right} ({', '.join(names)})" for right, names in refused.items())
        raise SourceError(
            f"The user {user} may not read and write the status columns of {source.name}: grant {grants} on "
            f"{source.relation} to {user}. Nothing was checked."
        )
    may_be_null = [name for column, name in old.items() if verdict_schema().field(column).nullable]
    for (name,) in driver.rows(
        f"select attname from pg_attribute where attrelid = {relation}::regclass and attnotnull "
        f"and attname in ({', '.join(map(literal, may_be_null)) or 'null'})"
    ):
        raise SourceError(
            f"The column {name} of {source.name} must not be null, but not every address has one: alter table "
            f"{source.relation} alter column {driver.quote(name)} drop not null. Nothing was checked."
        )


def _refused(driver: PsycopgDriver, relation: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns that may not be read or written, by the right that is missing."""
    refused: dict[str, list[str]] = {}
    for right in ("select", "update"):
        for name in names:
            if not driver.rows(f"select has_column_privilege({relation}, {literal(name)}, '{right}')")[0][0]:
                refused.setdefault(right, []).append(driver.quote(name))
    return refused

"""The warehouse of the service: verdicts, events and the tables of batches, in a DuckDB file or in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mailvet.errors import SettingsError
from mailvet.runs.forgetting import Forgotten, forget
from mailvet.runs.sources import default_store
from mailvet.settings import History, Settings
from mailvet.syntax.mailbox_key import key_of
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.erasure import Wanted
from mailvet.warehouse.opening import duckdb_path, is_url, open_events, open_table

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.policies import AnyPolicy
    from mailvet.warehouse.store import VerdictStore, Warehouse

__all__ = ["Database", "ServiceStore", "batch_table"]

BATCH = "mailvet_batch_"
_COLUMNS = ("position", "email", "email_key")


def batch_table(job_id: str) -> str:
    """The name of the table of a batch's addresses."""
    return f"{BATCH}{job_id}"


class ServiceStore(Protocol):
    """What the service needs of a store of verdicts."""

    def open_for_writing(self) -> None:
        """See `VerdictStore.open_for_writing`."""
        ...

    def save(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.save`."""
        ...

    def verdicts(self, keys: Sequence[str]) -> pa.Table:
        """The verdicts of these keys, as far as there are any."""
        ...

    def reconnect(self) -> bool:
        """See `VerdictStore.reconnect`."""
        ...

    def close(self) -> None:
        """See `VerdictStore.close`."""
        ...


class Database:
    """Where the service keeps what it learns.

    Args:
        settings: `service.database`, or the store of verdicts on files.

    Raises:
        SettingsError: it is neither a DuckDB file nor PostgreSQL.
    """

    def __init__(self, settings: Settings) -> None:
        named = settings.service.database
        self._settings = settings
        self.is_duckdb = named is None or not is_url(named) or named.startswith("duckdb:")
        self.place: str | Path
        if named is None:
            self.place = Path(settings.store.path or default_store())
        elif not is_url(named):
            self.place = Path(named).expanduser()
        elif self.is_duckdb or named.startswith(("postgresql:", "postgres:", "postgresql+", "postgres+")):
            self.place = named
        else:
            raise SettingsError(
                "The service keeps verdicts in a DuckDB file or in PostgreSQL. Write one of these in service.database."
            )
        self.erased = False
        self._lock = threading.RLock()

    def check_workers(self, workers: int) -> None:
        """Whether so many processes can write to it.

        Raises:
            SettingsError: a DuckDB file has one writer.
        """
        if workers > 1 and self.is_duckdb:
            raise SettingsError(
                "A DuckDB file has one writer, so it serves one worker. Use --workers 1, or name a PostgreSQL database "
                "in service.database."
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While one thread writes to a DuckDB file, others wait: DuckDB ends one of two writers with an error."""
        with self._lock if self.is_duckdb else nullcontext():
            yield

    def open_store(self) -> ServiceStore:
        """A connection of one's own to the verdicts, which are made where they are missing.

        Raises:
            SourceError: there is none.
        """
        store: Any = open_events(self.place)
        try:
            with self.writing():
                store.open_for_writing()
        except BaseException:
            store.close()
            raise
        return cast("ServiceStore", store)

    def open_batch(self, job_id: str, policy: AnyPolicy) -> Warehouse:
        """A connection of one's own to the table of a batch."""
        found = open_table(
            self.place,
            batch_table(job_id),
            "email",
            policy=policy,
            prefix=self._settings.store.prefix,
            events=self.events(),
            updatable=False,
        )
        return cast("Warehouse", _InTurn(found, self)) if self.is_duckdb else found

    def events(self) -> History | None:
        """The table of events that verdicts take into account: that of the settings, else `mailvet_events`."""
        named = History.of(self._settings.history)
        if named is not None:
            return named
        with self._session() as session:
            return History(events="mailvet_events") if session.has("mailvet_events") else None

    # ---------------------------------------------------------------- batches

    def create_batch(self, job_id: str, rows: pa.Table) -> None:
        """Make the table of a batch.

        Args:
            job_id: of the batch.
            rows: with the columns position, email and email_key.
        """
        table = batch_table(job_id)
        with self.writing(), self._session() as session:
            session.create(table)
            session.append(table, rows)

    def drop_batch(self, job_id: str) -> None:
        """Drop the table of a batch, if it is there."""
        with self.writing(), self._session() as session:
            session.execute(f"drop table if exists {batch_table(job_id)}")

    def results(self, job_id: str, first: int, count: int) -> list[dict[str, Any]]:
        """Rows of a batch with their verdicts, by position.

        Args:
            job_id: of the batch.
            first: position of the first, from 0.
            count: how many positions.
        """
        names = ("reason", "score", "suggestion", "flags", "checked_at", "attempts", "bounce_probability")
        verdict = ", ".join(f"v.{name}" for name in names)
        query = (
            f"select b.position, b.email, {verdict} from {batch_table(job_id)} b left join mailvet_verdicts v on "
            f"v.email_key = b.email_key where b.position >= {int(first)} and b.position < {int(first) + int(count)} "
            "order by b.position"
        )
        with self._session() as session:
            rows = session.rows(query)
        return [dict(zip(("position", "email", *names), row, strict=True)) for row in rows]

    def erase_from_batches(self, wanted: Wanted) -> int:
        """Take an address or a domain out of the tables of batches, before its verdicts are erased.

        Returns:
            How many rows held it.
        """
        of_verdicts = (
            f"domain = {literal(wanted.domain)}"
            if wanted.domain is not None
            else f"mailbox_key = {literal(key_of(wanted.mailbox))}"
            if wanted.mailbox is not None
            else "1 = 0"
        )
        keys = ", ".join(map(literal, sorted(wanted.keys))) or "''"
        erased = 0
        with self.writing(), self._session() as session:
            for job_id in session.batches():
                table = batch_table(job_id)
                verified = f"select email_key from mailvet_verdicts where {of_verdicts}"
                same = f"email_key in ({keys}) or email_key in ({verified})"
                # Those that have no verdict yet are known by their texts alone.
                unverified = session.rows(
                    f"select b.position, b.email from {table} b where b.email is not null and not exists "
                    "(select 1 from mailvet_verdicts v where v.email_key = b.email_key)"
                )
                named = [str(position) for position, text in unverified if wanted.names(text)]
                for start in range(0, len(named), 500):
                    same += f" or position in ({', '.join(named[start : start + 500])})"
                erased += int(session.rows(f"select count(*) from {table} where {same}")[0][0])
                session.execute(f"update {table} set email = null, email_key = '' where {same}")
        return erased

    def forget(self, address: str, *, domain: bool) -> Forgotten:
        """Erase a mailbox or a domain from the tables of ours; see `mailvet.runs.forgetting.forget`.

        Raises:
            SettingsError: it is not clear who is meant.
        """
        with self.writing(), self._session() as session:
            found = forget(session.store, address, domain=domain, journal=self._settings.store.journal)
        self.erased = True
        return found

    def rewrite(self) -> None:
        """When all connections are closed: free the blocks of a DuckDB store of ours that erased rows stand in."""
        if not (self.erased and self.is_duckdb):
            return
        from mailvet.warehouse.backends.duckdb.connection import open_database
        from mailvet.warehouse.backends.duckdb.rewriting import is_our_own, rewrite

        path = duckdb_path(self.place)
        with closing(open_database(path, read_only=True)) as db:
            ours = is_our_own(db)
        if ours:
            rewrite(path)

    def batches(self) -> list[str]:
        """The ids of the batches that have a table."""
        with self._session() as session:
            return session.batches()

    @contextmanager
    def _session(self) -> Iterator[_DuckDBSession | _PostgresSession]:
        session = _DuckDBSession(self.place) if self.is_duckdb else _PostgresSession(str(self.place))
        try:
            yield session
        finally:
            session.close()


class _InTurn:
    """A warehouse whose writes take turns with those of other connections of this process."""

    _WRITES = frozenset(
        {"save", "revise", "save_run", "save_servers", "open_for_writing", "apply_policy", "forget_before"}
    )

    def __init__(self, warehouse: Warehouse, database: Database) -> None:
        object.__setattr__(self, "_warehouse", warehouse)
        object.__setattr__(self, "_database", database)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._warehouse, name)
        if name not in self._WRITES:
            return found
        database: Database = self._database

        def in_turn(*arguments: Any, **named: Any) -> Any:
            with database.writing():
                return found(*arguments, **named)

        return in_turn

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._warehouse, name, value)


class _DuckDBSession:
    def __init__(self, place: str | Path) -> None:
        from mailvet.warehouse.backends.duckdb.connection import opened
        from mailvet.warehouse.backends.duckdb.session import Session
        from mailvet.warehouse.backends.duckdb.verdicts import DuckDBVerdicts

        path = duckdb_path(place)
        with opened(path, read_only=False) as (self._db, self._access):
            # Without the access, which is closed here: the store is written anew when the service ends, since other
            # connections are open now.
            session = Session(self._db, path=path)
            self.store: VerdictStore = DuckDBVerdicts(session)
            self.has, self.rows = session.has, session.rows

    def execute(self, statement: str) -> None:
        self._db.execute(statement)

    def create(self, table: str) -> None:
        self._db.execute(f"create table {table} (position bigint, email varchar, email_key varchar)")

    def append(self, table: str, rows: pa.Table) -> None:
        self._db.register("mailvet_new_batch", rows)
        try:
            self._db.execute(f"insert into {table} select {', '.join(_COLUMNS)} from mailvet_new_batch")
        finally:
            self._db.unregister("mailvet_new_batch")

    def batches(self) -> list[str]:
        found = self.rows(
            f"select table_name from duckdb_tables() where starts_with(table_name, '{BATCH}') and "
            "database_name = current_database() and schema_name = current_schema()"
        )
        return [name.removeprefix(BATCH) for (name,) in found]

    def close(self) -> None:
        self._db.close()
        self._access.close()


class _PostgresSession:
    def __init__(self, place: str) -> None:
        from mailvet.warehouse.backends.postgres.driver import PsycopgDriver, connect
        from mailvet.warehouse.backends.sql.session import Session
        from mailvet.warehouse.backends.sql.warehouse import SQLStore

        self._session = Session(PsycopgDriver(connect(f"postgresql://{place.partition('://')[2]}")))
        session = self._session
        self.store: VerdictStore = SQLStore(session)
        self.has, self.rows, self._execute, self.append = session.has, session.rows, session.execute, session.append

    def execute(self, statement: str) -> None:
        self._execute(statement)

    def create(self, table: str) -> None:
        self._execute(f"create table {table} (position bigint primary key, email text, email_key varchar(64))")

    def batches(self) -> list[str]:
        found = self.rows(
            f"select tablename from pg_tables where schemaname = current_schema() and tablename like '{BATCH}%'"
        )
        return [str(name).removeprefix(BATCH) for (name,) in found]

    def close(self) -> None:
        self._session.close()

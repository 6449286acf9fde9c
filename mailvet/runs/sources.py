"""From a SOURCE, as the command line takes it, to the warehouse behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.settings import History, Settings
from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse
from mailvet.warehouse.binding import Binding
from mailvet.warehouse.files import FORMATS, Reading, format_of, is_database
from mailvet.warehouse.files.remote import fetch, is_remote, name_of
from mailvet.warehouse.opening import is_url, open_table

if TYPE_CHECKING:
    from mailvet.warehouse.store import Warehouse

__all__ = ["default_store", "open_source"]

_NO_DATABASES = ("http", "https", "ftp", "hdfs", "file")


def default_store() -> Path:
    """Where verdicts on files are kept unless `store.path` says otherwise."""
    import platformdirs

    return Path(platformdirs.user_data_dir("mailvet", appauthor=False)) / "mailvet.duckdb"


def open_source(  # noqa: PLR0913  # what a source is, and how it is read
    source: str,
    settings: Settings,
    *,
    table: str | None = None,
    column: str | None = None,
    where: str | None = None,
    reading: Reading | None = None,
    writable: bool = True,
    updatable: bool = True,
) -> Warehouse:
    """Open the warehouse behind a SOURCE.

    Args:
        source: a data file, also in an object store (`s3://`, `gs://`, `abfs://`); or, together with `table`, a
            DuckDB database or a database URL
            (`postgresql://user@host/database`, in SQLAlchemy's form for all others).
        settings: policy, prefix of the status columns, events and the store of verdicts on files.
        table: of the database.
        column: of addresses; default: found by its name.
        where: SQL condition on the rows.
        reading: how a file is to be read.
        writable: verdicts are to be saved.
        updatable: status columns are to be put on the table.

    Raises:
        SourceError: it cannot be read; SettingsError: its kind is not known, or its driver not installed.
    """
    common: dict[str, Any] = {
        "where": where or None,
        "policy": settings.chosen_policy,
        "prefix": settings.store.prefix,
        "events": History.of(settings.history),
    }
    if is_remote(source):
        if table is not None:
            raise SettingsError(f"{argument('table')} goes with a database; {name_of(source)} is a file of rows.")
        return _open_remote(source, settings, column, Binding(writable=writable, **common), reading)
    if is_url(source):
        scheme = source.partition("://")[0].lower()
        if scheme in _NO_DATABASES:
            raise SourceError(
                f"{scheme}:// is no database. Files are read from this machine: fetch the file first, then give its "
                "path."
            )
        if table is None:
            raise SettingsError(f"A database URL goes with {argument('table')}: name the table to verify.")
        return open_table(source, table, column, writable=writable, updatable=updatable, **common)
    path = Path(source).expanduser()
    if "@" in source and not path.exists():
        raise SourceError("There is no file of that name. To verify single addresses use: mailvet check ADDRESS")
    if format_of(path) is not None:
        if table is not None:
            raise SettingsError(
                f"{argument('table')} goes with a database; {path.name} is a file of rows. Leave it out."
            )
        store = settings.store.path or default_store()
        return DuckDBWarehouse.of_file(path, column, store, Binding(writable=writable, **common), reading)
    if table is None:
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if not is_database(path):
            raise SourceError(
                f"{path.name} is neither a DuckDB database nor a file of a known kind ({', '.join(FORMATS)}, also with "
                ".gz or .zst). Rename or convert it."
            )
        raise SettingsError(
            f"{path.name} is taken for a DuckDB database: name the table to verify with {argument('table')}."
        )
    return open_table(path, table, column, writable=writable, updatable=updatable, **common)


def _open_remote(
    url: str, settings: Settings, column: str | None, binding: Binding, reading: Reading | None
) -> DuckDBWarehouse:
    """A file in an object store, by a copy in a private folder that goes with the warehouse."""
    folder = PrivateFolder()
    try:
        store = settings.store.path or default_store()
        warehouse = DuckDBWarehouse.of_file(fetch(url, folder), column, store, binding, reading)
    except BaseException:
        folder.close()
        raise
    warehouse.fetched = folder
    return warehouse

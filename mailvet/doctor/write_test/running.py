"""The contract over one schema, and its result as others may see it."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from mailvet.doctor.write_test.contract import CHECKS, BrokenRuleError, ContractCheck
from mailvet.doctor.write_test.notes import public_note
from mailvet.doctor.write_test.outcome import CheckOutcome, WriteTest
from mailvet.doctor.write_test.places import PREFIX, Place
from mailvet.errors import SourceError
from mailvet.settings import Settings

__all__ = ["write_test"]

_DRIVERS: Mapping[str, Sequence[str]] = {
    "duckdb": ("duckdb",),
    "postgresql": ("psycopg", "sqlalchemy"),
    "mysql": ("pymysql", "sqlalchemy"),
    "mariadb": ("pymysql", "sqlalchemy"),
    "sqlite": ("sqlalchemy",),
    "snowflake": ("snowflake-sqlalchemy", "snowflake-connector-python", "sqlalchemy"),
    "bigquery": ("sqlalchemy-bigquery", "google-cloud-bigquery", "sqlalchemy"),
    "databricks": ("databricks-sqlalchemy", "databricks-sql-connector", "sqlalchemy"),
    "redshift": ("sqlalchemy-redshift", "redshift-connector", "sqlalchemy"),
    "mssql": ("pyodbc", "sqlalchemy"),
    "trino": ("trino", "sqlalchemy"),
}
"""The distributions that reach a database."""


def write_test(
    place: Place,
    settings: Settings,
    *,
    checks: Sequence[ContractCheck] = CHECKS,
    on_outcome: Callable[[CheckOutcome, str | None], None] | None = None,
) -> WriteTest:
    """Hold a database to the contract. Whatever ends it, tables that it made are dropped.

    Args:
        place: the schema to write in.
        settings: of the runs; no server is asked.
        checks: which.
        on_outcome: called after each check, and for the cost, with its outcome, and for one that failed with the full
            error, which is for the user's eyes only.

    Raises:
        SourceError: the schema holds tables of mailvet's, so that the test could not tell its own from them.
    """
    before = place.tables()
    if own := sorted(name for name in before if name.lower().startswith(PREFIX)):
        drops = "; ".join(f"drop table {place.quote(name)}" for name in own)
        raise SourceError(
            f"The schema {place.schema} holds tables of mailvet's already: {', '.join(own)}. Name a schema without "
            f"them, or one that is not there and may be made. If a write test that was killed has left them: {drops}. "
            "Nothing was changed."
        )
    outcomes: list[CheckOutcome] = []
    left: Sequence[str] = ()
    try:
        since = datetime.now(timezone.utc)
        for check in checks:
            outcome, error = _outcome(check, place, settings)
            outcomes.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome, error)
        outcomes.append(_cost(place, since))
        if on_outcome is not None:
            on_outcome(outcomes[-1], None)
    finally:
        left = place.clean(before)
    return WriteTest(place.backend, _versions(place), outcomes, left)


def _outcome(check: ContractCheck, place: Place, settings: Settings) -> tuple[CheckOutcome, str | None]:
    began = time.monotonic()
    passed, error = False, None
    try:
        note = check.run(place, settings) or ""
        passed = True
    except BrokenRuleError as broken:
        note = error = str(broken)
    except Exception as fault:  # whatever a database of an unknown kind may raise is a result
        note, error = public_note(fault), f"{type(fault).__name__}: {fault}"
    seconds = round(time.monotonic() - began, 3)
    return CheckOutcome(check.name, passed, seconds, _without(place.known_words(), note)), error


def _without(words: Sequence[str], text: str) -> str:
    """The text without names of the user's, as far as they are longer than chance."""
    for word in sorted(words, key=len, reverse=True):
        if len(word) > 3 and not word.lower().startswith(PREFIX):
            text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
    return text


def _cost(place: Place, since: datetime) -> CheckOutcome:
    """What the statements of the test read and cost, where the engine tells."""
    began = time.monotonic()
    try:
        found = place.cost(since)
        note = "this engine does not tell what statements cost" if found is None else _cost_words(*found)
    except Exception as error:  # often a right of its own, without which the rest is worth as much
        note = f"the cost could not be read: {public_note(error)}"
    return CheckOutcome("cost", True, round(time.monotonic() - began, 3), _without(place.known_words(), note))


def _cost_words(read: int, credits: float | None) -> str:
    paid = "" if credits is None else f", {credits:.6f} credits"
    return f"{read:,} bytes read by this user's statements during the test{paid}"


def _versions(place: Place) -> dict[str, str]:
    found = {"mailvet": _version("mailvet"), "python": platform.python_version(), "system": platform.system()}
    for name in _DRIVERS.get(place.backend, ()):
        found[name] = _version(name)
    server = place.server_version()
    if server is not None:
        # Of `PostgreSQL 8.0.2 on i686, Redshift 1.0.12103` the last; never what else a server says of itself.
        numbers = re.findall(r"\d+(?:\.\d+)+", server)
        found["server"] = numbers[-1 if "redshift" in server.lower() else 0] if numbers else "unknown"
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"

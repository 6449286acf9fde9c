"""What Great Expectations cannot work with, said before it fails in words of its own."""

from __future__ import annotations

from typing import Any

from great_expectations.execution_engine import (  # type: ignore[attr-defined]
    PandasExecutionEngine,
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_value
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from mailvet import SourceError

__all__ = ["BatchUsable", "check_batch", "why_unusable"]

USABLE = "table.mailvet_usable"


def check_batch(engine: Any) -> None:
    """Look at the batch of an execution engine.

    Raises:
        SourceError: a dataframe whose column labels are not text, or DuckDB without the dialect of this package.
    """
    if isinstance(engine, PandasExecutionEngine):
        _check_labels(engine)
    elif isinstance(engine, SqlAlchemyExecutionEngine):
        _check_dialect(engine.engine.dialect)


def why_unusable(engine: Any) -> ValidationDependencies | None:
    """The metric that raises what is wrong with the batch; None where nothing is.

    The expectation has that error alone, and the others of the suite go on.
    """
    try:
        check_batch(engine)
    except SourceError:
        dependencies = ValidationDependencies()
        dependencies.set_metric_configuration(USABLE, MetricConfiguration(USABLE, {}, None))
        return dependencies
    return None


class BatchUsable(MetricProvider):
    """Raises what `check_batch` raises."""

    metric_name = USABLE
    domain_keys = ("batch_id", "table")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(cls, execution_engine, **_):  # type: ignore[no-untyped-def]
        check_batch(execution_engine)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, execution_engine, **_):  # type: ignore[no-untyped-def]
        check_batch(execution_engine)


def _check_labels(engine: Any) -> None:
    batch = engine.batch_manager.active_batch_data
    if batch is None:
        return
    labels = batch.dataframe.columns
    odd = next((label for label in labels if not isinstance(label, str)), None)
    if odd is not None:
        raise SourceError(
            f"The dataframe has a column label that is no text ({odd!r}, of type {type(odd).__name__}), and Great "
            "Expectations takes names only. Name its columns: frame.columns = ['id', 'email'], or "
            "frame.columns.map(str)."
        )


def _check_dialect(dialect: Any) -> None:
    if dialect.name != "duckdb":
        return
    from ge_expectations.duckdb import BufferedDialect

    if not isinstance(dialect, BufferedDialect):
        raise SourceError(
            "Great Expectations cannot read DuckDB through a URL that begins with duckdb://, since it closes a "
            "connection before it fetches the rows. Write duckdb+mailvet:///path/of/the/file.duckdb in the data source."
        )

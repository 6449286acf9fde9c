"""The metrics behind the expectations.

`column.mailvet_verdicts` comes by the verdicts of a column once; everything else depends on it, so that however many
expectations and result formats ask, the core runs once per column and source of verdicts.

All on Pandas, SQLAlchemy (PostgreSQL, SQLite, DuckDB) and Spark.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import (  # type: ignore[attr-defined]
    PandasExecutionEngine,
    SparkDFExecutionEngine,
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.metrics.map_metric_provider import (  # type: ignore[attr-defined]
    ColumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_value
from great_expectations.expectations.metrics.util import get_dbms_compatible_metric_domain_kwargs
from great_expectations.validator.metric_configuration import MetricConfiguration

from ge_expectations import acquire
from ge_expectations.tally import TALLY, Tally
from ge_expectations.verification import NOT_TEXT, Acceptance, Recency, VerdictSource
from ge_expectations.worker import is_among
from mailvet import MailvetError, Reason, email_key

__all__ = [
    "SOURCE_KEYS",
    "SYNTAX",
    "TALLY",
    "UNDELIVERABLE_ROWS",
    "VERDICTS",
    "ColumnEmailVerdictTally",
    "ColumnEmailVerdicts",
    "ColumnUndeliverableRows",
    "ColumnValuesDeliverableEmail",
    "ColumnValuesEmailSyntax",
    "ColumnValuesVerifiedRecently",
]

VERDICTS = "column.mailvet_verdicts"
UNDELIVERABLE_ROWS = "column.mailvet_undeliverable_rows"
SOURCE_KEYS = ("depth", "config", "verdict_table", "verify")
"""Settings that decide which verdicts there are; `mailvet_only` is ours alone."""
SYNTAX = "syntax"
"""Value of `mailvet_only`: only whether the cell can be an address matters."""

_DOMAIN_KEYS = ("batch_id", "table", "column", "row_condition", "condition_parser")


def _source(values: dict[str, Any]) -> VerdictSource:
    return VerdictSource(
        depth=values.get("depth"),
        config=values.get("config"),
        verdict_table=values.get("verdict_table"),
        verify=values.get("verify") or "missing",
    )


def _usable(verdicts: Any) -> Any:
    """The verdicts, unless an outage left them incomplete."""
    if verdicts.failure is not None:
        failure: MailvetError = verdicts.failure
        raise failure
    return verdicts


def verdicts_metric(metric: MetricConfiguration, values: dict[str, Any]) -> MetricConfiguration:
    """The verdicts that a metric over the same rows depends on."""
    return MetricConfiguration(VERDICTS, metric_domain_kwargs=metric.metric_domain_kwargs, metric_value_kwargs=values)


def _table_columns(metric: MetricConfiguration) -> MetricConfiguration:
    domain = {key: value for key, value in metric.metric_domain_kwargs.items() if key != "column"}
    return MetricConfiguration("table.columns", metric_domain_kwargs=domain, metric_value_kwargs=None)


def _source_values(metric: MetricConfiguration) -> dict[str, Any]:
    values = metric.metric_value_kwargs
    return {key: values.get(key) for key in (*SOURCE_KEYS, "mailvet_only")}


def _domain(engine: Any, domain_kwargs: dict[str, Any], metrics: dict[str, Any]) -> tuple[Any, str]:
    """Rows and column to look at; complains of a column that is not there as Great Expectations does."""
    domain_kwargs = get_dbms_compatible_metric_domain_kwargs(
        metric_domain_kwargs=domain_kwargs, batch_columns_list=metrics["table.columns"]
    )
    rows, _, accessor = engine.get_compute_domain(domain_kwargs=domain_kwargs, domain_type=MetricDomainTypes.COLUMN)
    return rows, accessor["column"]


class ColumnEmailVerdicts(MetricProvider):
    """The verdicts of a column's distinct values: `LocalVerdicts` or `SqlVerdicts`."""

    metric_name = VERDICTS
    domain_keys = _DOMAIN_KEYS
    value_keys = (*SOURCE_KEYS, "mailvet_only")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        frame, column = _domain(execution_engine, metric_domain_kwargs, metrics)
        return acquire.pandas_verdicts(frame[column], column, _source(metric_value_kwargs))

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        domain, column = _domain(execution_engine, metric_domain_kwargs, metrics)
        only = Reason.syntax_invalid if metric_value_kwargs.get("mailvet_only") == SYNTAX else None
        return acquire.sql_verdicts(execution_engine, domain, column, _source(metric_value_kwargs), only=only)

    @metric_value(engine=SparkDFExecutionEngine)
    def _spark(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        frame, column = _domain(execution_engine, metric_domain_kwargs, metrics)
        return acquire.spark_verdicts(frame, column, _source(metric_value_kwargs))

    @classmethod
    def _get_evaluation_dependencies(  # type: ignore[no-untyped-def]
        cls, metric, configuration=None, execution_engine=None, runtime_configuration=None
    ):
        return {"table.columns": _table_columns(metric)}


class ColumnEmailVerdictTally(MetricProvider):
    """How many rows have which verdict, a `Tally`: what is shown in results, and what bounce rates come from."""

    metric_name = TALLY
    domain_keys = _DOMAIN_KEYS
    value_keys = (*SOURCE_KEYS, "mailvet_only")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(cls, execution_engine, metrics, **_):  # type: ignore[no-untyped-def]
        return _tally(metrics)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, execution_engine, metrics, **_):  # type: ignore[no-untyped-def]
        return _tally(metrics)

    @metric_value(engine=SparkDFExecutionEngine)
    def _spark(cls, execution_engine, metrics, **_):  # type: ignore[no-untyped-def]
        return _tally(metrics)

    @classmethod
    def _get_evaluation_dependencies(  # type: ignore[no-untyped-def]
        cls, metric, configuration=None, execution_engine=None, runtime_configuration=None
    ):
        return {VERDICTS: verdicts_metric(metric, _source_values(metric))}


def _tally(metrics: dict[str, Any]) -> Tally:
    tally: Tally = _usable(metrics[VERDICTS]).tally()
    return tally


class _OverVerdicts(ColumnMapMetricProvider):
    """A condition on each row's verdict."""

    condition_metric_name: ClassVar[str]

    @classmethod
    def _get_evaluation_dependencies(  # type: ignore[no-untyped-def]
        cls, metric, configuration=None, execution_engine=None, runtime_configuration=None
    ):
        dependencies = super()._get_evaluation_dependencies(
            metric=metric,
            configuration=configuration,
            execution_engine=execution_engine,
            runtime_configuration=runtime_configuration,
        )
        if metric.metric_name == f"{cls.condition_metric_name}.condition":
            dependencies[VERDICTS] = verdicts_metric(metric, cls._verdicts_asked(metric))
        return dependencies

    @classmethod
    def _verdicts_asked(cls, metric: MetricConfiguration) -> dict[str, Any]:
        return _source_values(metric)


def _spark_condition(table: Any, column: Any, failing: set[str]) -> Any:
    from pyspark.sql import functions as F

    return ~is_among(table.sparkSession, failing, F.sha2(column.cast("string"), 256))


class ColumnValuesDeliverableEmail(_OverVerdicts):
    """Whether the verdict of the row's address is one that the user allows."""

    condition_metric_name = "column_values.mailvet_deliverable"
    condition_value_keys = (*SOURCE_KEYS, "policy", "allow", "unknown")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, *, policy, allow, unknown, _metrics, **values):  # type: ignore[no-untyped-def]
        failing = _usable(_metrics[VERDICTS]).failing(Acceptance.of(_source(values), policy, allow, unknown).passes)
        return ~acquire.texts_of(column, str(column.name)).isin(failing)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column, *, policy, allow, unknown, _metrics, **values):  # type: ignore[no-untyped-def]
        return _usable(_metrics[VERDICTS]).acceptance(Acceptance.of(_source(values), policy, allow, unknown))

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column, *, policy, allow, unknown, _metrics, _table, **values):  # type: ignore[no-untyped-def]
        acceptance = Acceptance.of(_source(values), policy, allow, unknown)
        return _spark_condition(_table, column, _usable(_metrics[VERDICTS]).failing(acceptance.passes))


class ColumnValuesVerifiedRecently(_OverVerdicts):
    """Whether the stored verdict of the row's address is recent."""

    condition_metric_name = "column_values.mailvet_verified_recently"
    condition_value_keys = ("max_age", "depth", "config", "verdict_table")

    @classmethod
    def _verdicts_asked(cls, metric: MetricConfiguration) -> dict[str, Any]:
        return recently_source(metric.metric_value_kwargs)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, *, max_age, depth, _metrics, **_):  # type: ignore[no-untyped-def]
        failing = _usable(_metrics[VERDICTS]).failing(Recency.of(max_age, depth).accepts)
        return ~acquire.texts_of(column, str(column.name)).isin(failing)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column, *, max_age, depth, _metrics, **_):  # type: ignore[no-untyped-def]
        return _usable(_metrics[VERDICTS]).recent(Recency.of(max_age, depth))

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column, *, max_age, depth, _metrics, _table, **_):  # type: ignore[no-untyped-def]
        failing = _usable(_metrics[VERDICTS]).failing(Recency.of(max_age, depth).accepts)
        return _spark_condition(_table, column, failing)


def recently_source(values: Any) -> dict[str, Any]:
    """Where the recency of verdicts is read: the verdict table alone."""
    return {
        "depth": None,
        "config": values.get("config"),
        "verdict_table": values.get("verdict_table"),
        "verify": "never",
        "mailvet_only": None,
    }


def syntax_source(values: Any) -> dict[str, Any]:
    """Where syntax is judged: here, without network or verdict table."""
    return {
        "depth": "offline",
        "config": values.get("config"),
        "verdict_table": None,
        "verify": "always",
        "mailvet_only": SYNTAX,
    }


class ColumnValuesEmailSyntax(_OverVerdicts):
    """Whether the row's text can be an e-mail address."""

    condition_metric_name = "column_values.mailvet_email_syntax"
    condition_value_keys = ("international", "config")
    details: ClassVar[tuple[str, ...]] = ("eai",)

    @classmethod
    def _verdicts_asked(cls, metric: MetricConfiguration) -> dict[str, Any]:
        return syntax_source(metric.metric_value_kwargs)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, *, international, _metrics, **_):  # type: ignore[no-untyped-def]
        failing = _usable(_metrics[VERDICTS]).failing(_can_be_address(international))
        return ~acquire.texts_of(column, str(column.name)).isin(failing)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column, *, international, _metrics, **_):  # type: ignore[no-untyped-def]
        refused = () if international else ("eai",)
        return _usable(_metrics[VERDICTS]).without(str(Reason.syntax_invalid), refused)

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column, *, international, _metrics, _table, **_):  # type: ignore[no-untyped-def]
        failing = _usable(_metrics[VERDICTS]).failing(_can_be_address(international))
        return _spark_condition(_table, column, failing)


def _can_be_address(international: bool) -> Any:
    def passes(known: Any) -> bool:
        return known is None or (known.reason != Reason.syntax_invalid and (international or known.detail != "eai"))

    return passes


class ColumnUndeliverableRows(MetricProvider):
    """The rows that a dataframe should not have, as dictionaries; for Pandas only, which has no SQL to ask."""

    metric_name = UNDELIVERABLE_ROWS
    domain_keys = _DOMAIN_KEYS
    value_keys = ("config", "verdict_table", "policy", "forbid", "id_columns")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        frame, column = _domain(execution_engine, metric_domain_kwargs, metrics)
        source = _source(recently_source(metric_value_kwargs))
        acceptance = Acceptance.of(source, metric_value_kwargs["policy"], metric_value_kwargs["forbid"], "fail")
        forbidden = {
            text: cell.known
            for text, cell in _usable(metrics[VERDICTS]).cells.items()
            if acceptance.allows(cell.known) and not cell.missing
        }
        texts = acquire.texts_of(frame[column], column)
        bad = frame[texts.isin(list(forbidden))]
        ids = [bad[name].tolist() for name in metric_value_kwargs["id_columns"]]
        return [
            {
                **dict(zip(metric_value_kwargs["id_columns"], values, strict=True)),
                "email_key": None if forbidden[text].detail == NOT_TEXT else email_key(text),
                "status": forbidden[text].status,
                "reason": forbidden[text].reason,
                "recommendation": str(acceptance.advice(forbidden[text])),
                "checked_at": forbidden[text].checked_at.isoformat(),
            }
            for text, *values in zip(texts[texts.isin(list(forbidden))].tolist(), *ids, strict=True)
        ]

    @classmethod
    def _get_evaluation_dependencies(  # type: ignore[no-untyped-def]
        cls,
        metric: MetricConfiguration,
        configuration: Any = None,
        execution_engine: Any = None,
        runtime_configuration: Any = None,
    ):
        return {
            "table.columns": _table_columns(metric),
            VERDICTS: verdicts_metric(metric, recently_source(metric.metric_value_kwargs)),
        }

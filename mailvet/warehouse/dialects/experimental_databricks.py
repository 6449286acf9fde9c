"""The dialect of Databricks SQL: only a parser of the dialect has read its statements; no server has run them."""

from __future__ import annotations

from mailvet.warehouse.dialects.spark import SparkSQL

__all__ = ["ExperimentalDatabricks"]


class ExperimentalDatabricks(SparkSQL):
    """Databricks SQL and Delta tables. Every statement holds by itself."""

    name = "databricks"
    unproven = "a parser"
    kept_after_delete = (
        "Delta keeps deleted rows in the files of older versions until VACUUM has run after the retention.",
    )
    primary_key = ""
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    update = "merge"
    cost_query = (
        "select sum(read_bytes), null from system.query.history "
        "where executed_by = current_user() and start_time >= {since}"
    )
    version_query = "select current_version().dbsql_version"
    session = ("set time zone 'UTC'",)
    executes_many = False
    rows_a_statement = 10
    parameters_a_statement = 250  # at most 255 (Databricks: parameter markers)

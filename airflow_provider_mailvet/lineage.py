"""OpenLineage: which tables a task read and wrote, named as the database's own hook names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_mailvet.compat import AirflowOptionalProviderFeatureException, with_check_facets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.sql.operators.sql import BaseSQLOperator

__all__ = ["datasets_of"]


def datasets_of(
    operator: BaseSQLOperator, *, inputs: Sequence[str], outputs: Sequence[str], assertions: bool = False
) -> Any:
    """The lineage of a task: tables by name, and the checks of `operator.check_results` as data quality assertions.

    No row is read and no SQL is told. None where OpenLineage is not installed.
    """
    try:
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage
    except (ImportError, AirflowOptionalProviderFeatureException):
        return None
    namespace, prefix = _place(operator)

    def named(tables: Sequence[str]) -> list[Any]:
        return [Dataset(namespace=namespace, name=_named(prefix, table)) for table in tables]

    lineage: OperatorLineage[Any, Any] = OperatorLineage(inputs=named(inputs), outputs=named(outputs))
    return with_check_facets(operator, lineage) if assertions else lineage


def _place(operator: BaseSQLOperator) -> tuple[str, list[str]]:
    """Namespace of the database, and what stands before the name of a table in it: database, schema."""
    from airflow.providers.openlineage.sqlparser import SQLParser

    hook: Any = operator.get_db_hook()
    connection = hook.get_connection(hook.get_conn_id())
    try:
        info = hook.get_openlineage_database_info(connection)
    except AttributeError:
        info = None
    if info is None:
        return f"{connection.conn_type}://{connection.host or hook.get_conn_id()}", []
    try:
        schema = hook.get_openlineage_default_schema()
    except AttributeError:
        schema = None
    database = info.database or operator.database
    return SQLParser.create_namespace(info), [part for part in (database, schema) if part]


def _named(prefix: list[str], table: str) -> str:
    from mailvet.sdk import unquoted_parts

    parts = unquoted_parts(table)
    return ".".join([*prefix[: max(0, 3 - len(parts)) if len(prefix) == 2 else len(prefix)], *parts])

"""The names of Airflow and its providers that moved or came between Airflow 3.1 and today, from one place.

`common.compat.sdk` came after Airflow 3.1.0; `SQLCheckResult` with common-sql 2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowOptionalProviderFeatureException,
        AirflowSkipException,
        Asset,
        BaseHook,
        BaseOperatorLink,
        conf,
    )
    from airflow.providers.common.sql.operators.sql import SQLCheckResult
else:
    try:
        from airflow.providers.common.compat.sdk import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowOptionalProviderFeatureException,
            AirflowSkipException,
            Asset,
            BaseHook,
            BaseOperatorLink,
            conf,
        )
    except ImportError:
        from airflow.configuration import conf
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowOptionalProviderFeatureException,
            AirflowSkipException,
        )
        from airflow.sdk import Asset, BaseHook, BaseOperatorLink

    try:
        from airflow.providers.common.sql.operators.sql import SQLCheckResult
    except ImportError:
        from types import SimpleNamespace as SQLCheckResult

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowOptionalProviderFeatureException",
    "AirflowSkipException",
    "Asset",
    "BaseHook",
    "BaseOperatorLink",
    "SQLCheckResult",
    "conf",
    "with_check_facets",
]


def with_check_facets(operator: Any, lineage: Any) -> Any:
    """The lineage with the checks of `operator.check_results` as assertions, where common-sql knows of them (2.0)."""
    attach = getattr(operator, "_attach_check_facets", None)
    if attach is None or not getattr(operator, "check_results", None):
        return lineage
    try:
        return attach(lineage)
    except AirflowOptionalProviderFeatureException:
        return lineage

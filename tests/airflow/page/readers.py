"""Users of Airflow who may read some DAGs only."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

ONLY_NEWSLETTER = "nora"


class DagReaders(SimpleAuthManager):
    """Airflow's simple auth manager, but one user may read the DAG `newsletter` only."""

    def is_authorized_dag(self, *, user: Any, details: DagDetails | None = None, **named: Any) -> bool:
        if user.username == ONLY_NEWSLETTER and details is not None and details.id not in (None, "newsletter"):
            return False
        return super().is_authorized_dag(user=user, details=details, **named)

"""The link from a task to its page in Airflow's own UI."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["URL_PREFIX", "VerificationReportLink", "page_path"]

URL_PREFIX = "/mailvet"


def page_path(path: str) -> str:
    """
    Where a part of the page is found on the API server. Airflow's UI takes an address as it stands, so the path that a
    reverse proxy serves Airflow under (`[api] base_url`) belongs to it.
    """
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + URL_PREFIX + path


class VerificationReportLink(BaseOperatorLink):
    """The page of one verification: what was found, by status, reason and operator."""

    name = "Verification report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """A path on the API server; it holds names of DAG, run and task only."""
        parts = (ti_key.dag_id, ti_key.run_id, ti_key.task_id, str(ti_key.map_index))
        return page_path("/runs/" + "/".join(quote(part, safe="") for part in parts))

"""The link from a task to its page in Airflow's own UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from airflow_provider_mailvet.compat import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["URL_PREFIX", "GateReportLink", "VerificationReportLink", "instance_path", "page_path", "tell_page"]

URL_PREFIX = "/mailvet"


def page_path(path: str) -> str:
    """Where a part of the page is found on the API server.

    Airflow's UI takes an address as it stands, so the path that a reverse proxy serves Airflow under (`[api] base_url`)
    belongs to it.
    """
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + URL_PREFIX + path


def instance_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """The page of one task instance: a path on the API server that holds names of DAG, run and task only."""
    return page_path("/runs/" + "/".join(quote(part, safe="") for part in (dag_id, run_id, task_id, str(map_index))))


def tell_page(context: Any, log: Any) -> None:
    """Write the address of a task's page to its log, which Airflow opens first and where it makes a link of it."""
    ti = context.get("ti")
    if ti is not None:
        base = conf.get("api", "base_url", fallback="") or ""
        path = instance_path(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        log.info("Report: %s", urljoin(base, path) if base else path)


class VerificationReportLink(BaseOperatorLink):
    """The page of one verification: what was found, by status, reason and operator.

    Airflow 3 shows the links of a task in the tab "Details" of the task instance, once the task has ended.
    """

    name = "Verification report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """See `instance_path`."""
        return instance_path(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)


class GateReportLink(VerificationReportLink):
    """The page of one gate: every limit with what was found."""

    name = "Gate report"

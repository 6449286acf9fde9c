"""The page in Airflow's own UI: what the runs of `MailvetVerifyOperator` found, and a box that checks one address.

Every Airflow process loads its plug-ins, only the API server serves pages. So nothing of the page is imported here: it
is built when the first request comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_mailvet.links import URL_PREFIX, page_path

__all__ = ["URL_PREFIX", "MailvetPlugin", "Page"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class Page:
    """The page as an ASGI application, built when it is first asked for."""

    def __init__(self) -> None:
        self._app: Callable[[_Message, _Receive, _Send], Awaitable[None]] | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass the request on."""
        if self._app is None:
            from airflow_provider_mailvet.plugin.app import build_app

            self._app = build_app()
        await self._app(scope, receive, send)


class MailvetPlugin(AirflowPlugin):
    """Found by Airflow through the entry point group `airflow.plugins`."""

    name = "mailvet"
    fastapi_apps = [{"app": Page(), "url_prefix": URL_PREFIX, "name": "mailvet"}]  # noqa: RUF012  (as Airflow declares it)
    external_views = [  # noqa: RUF012
        {
            "name": "E-mail verification",
            "destination": "nav",
            "category": "browse",
            "url_route": "mailvet",
            "href": page_path("/"),
        },
        {
            "name": "E-mail verification",
            "destination": "dag",
            "url_route": "mailvet-dag",
            "href": page_path("/dags/{DAG_ID}"),
        },
        {
            "name": "E-mail verification",
            "destination": "task",
            "url_route": "mailvet-task",
            "href": page_path("/dags/{DAG_ID}?task_id={TASK_ID}"),
        },
        {
            "name": "E-mail verification",
            "destination": "task_instance",
            "url_route": "mailvet-run",
            "href": page_path("/runs/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"),
        },
    ]

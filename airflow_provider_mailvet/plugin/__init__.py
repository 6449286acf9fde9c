"""
The page in Airflow's own UI: what the runs of `MailvetVerifyOperator` found, and a box that checks one address.

Every Airflow process loads its plug-ins, only the API server serves pages. So nothing of the page is imported here: it
is built when the first request comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

__all__ = ["URL_PREFIX", "MailvetPlugin", "Page"]

URL_PREFIX = "/mailvet"

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


def _href(path: str) -> str:
    # Airflow's UI takes an address as it stands, so the path that a reverse proxy serves Airflow under belongs to it.
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + URL_PREFIX + path


class MailvetPlugin(AirflowPlugin):
    """Found by Airflow through the entry point group `airflow.plugins`."""

    name = "mailvet"
    fastapi_apps = [{"app": Page(), "url_prefix": URL_PREFIX, "name": "mailvet"}]  # noqa: RUF012  (as Airflow declares it)
    external_views = [  # noqa: RUF012
        {
            "name": "E-mail verification", "destination": "nav", "category": "browse", "url_route": "mailvet",
            "href": _href("/"),
        },
        {
            "name": "E-mail verification", "destination": "dag", "url_route": "mailvet-dag",
            "href": _href("/dags/{DAG_ID}"),
        },
        {
            "name": "E-mail verification", "destination": "task", "url_route": "mailvet-task",
            "href": _href("/dags/{DAG_ID}?task_id={TASK_ID}"),
        },
        {
            "name": "E-mail verification", "destination": "task_instance", "url_route": "mailvet-run",
            "href": _href("/runs/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"),
        },
    ]  # fmt: skip

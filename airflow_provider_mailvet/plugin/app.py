"""The FastAPI application behind the page. It is imported in the API server only.

Airflow does not protect what a plug-in mounts, so every route asks for a user and for the right to read XComs, as
Airflow's own XCom endpoint does; a DAG that the user may not read is not mentioned. There are no routes for
documentation.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.exceptions import HTTPException as StarletteHTTPException

from airflow_provider_mailvet.plugin import URL_PREFIX, checking, pages
from airflow_provider_mailvet.plugin.stored import (
    GATE_OPERATOR,
    find_failures,
    find_gate,
    find_gates,
    find_instance,
    find_runs,
)
from airflow_provider_mailvet.plugin.summaries import Instance, in_series

__all__ = ["build_app"]

_LARGEST_BODY = 8_192  # octets; a form with one address
_FORM_SECONDS = 12 * 3600  # as long as an opened page may be used


def build_app() -> FastAPI:
    """The application, to be mounted under `/mailvet`."""
    # Where a path names a DAG, the second dependency asks for the right to read that one.
    access = [Depends(get_user), Depends(requires_access_dag("GET", DagAccessEntity.XCOM))]
    app = FastAPI(title="mailvet", dependencies=access, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.rate_limiter = checking.RateLimiter()
    app.add_api_route("/", overview, methods=["GET"])
    app.add_api_route("/dags/{dag_id}", of_dag, methods=["GET"])
    app.add_api_route("/runs/{dag_id}/{run_id}/{task_id}/{map_index}", of_run, methods=["GET"])
    app.add_api_route("/check", check_form, methods=["GET"])
    app.add_api_route("/check", check, methods=["POST"])
    app.add_exception_handler(StarletteHTTPException, _refused)
    return app


# -------------------------------------------------------------------- the pages


def overview(request: Request, user: GetUserDep, session: SessionDep, table: str = "") -> HTMLResponse:
    """The last runs over every table that the user may read, one table in detail."""
    dags = _readable(user, session)
    return _page(
        request,
        "overview.html",
        **_found(session, dags, None, table),
        form=_form(request, user, session),
        dag_id=None,
        task_id="",
    )


def of_dag(
    request: Request, user: GetUserDep, session: SessionDep, dag_id: str, task_id: str = "", table: str = ""
) -> HTMLResponse:
    """The runs of one DAG, or of one of its tasks."""
    return _page(
        request,
        "overview.html",
        **_found(session, {dag_id}, task_id or None, table),
        form=_form(request, user, session),
        dag_id=dag_id,
        task_id=task_id,
    )


def of_run(
    request: Request, session: SessionDep, dag_id: str, run_id: str, task_id: str, map_index: str
) -> HTMLResponse:
    """One run: what was found, why, and what to do."""
    # Airflow's UI leaves the placeholder in place for a task instance that is not mapped.
    mapped = int(map_index) if map_index.isdecimal() and len(map_index) < 8 else -1
    instance, run = find_instance(session, dag_id, run_id, task_id, mapped)
    if instance is not None and instance.operator == GATE_OPERATOR:
        gate = find_gate(session, dag_id, run_id, task_id, mapped)
        if gate is not None:
            return _page(request, "gate.html", gate=gate)
    if run is None:
        instance = instance or Instance(dag_id, run_id, task_id, mapped, None)
        return _page(request, "no_run.html", status_code=404, instance=instance)
    series = in_series(find_runs(session, {dag_id}, task_id=task_id).runs)
    same = [each for each in series if (each.last.table, each.last.conn_id) == (run.table, run.conn_id)]
    earlier = [other for other in (same[0].runs if same else ()) if other.at < run.at]
    before = next((other for other in earlier if other.instance.run_id != run_id), None)
    return _page(request, "run.html", run=run, before=before)


def check_form(request: Request, user: GetUserDep, session: SessionDep) -> HTMLResponse:
    """The box that checks one address, on a page of its own."""
    return _page(request, "check.html", form=_form(request, user, session), result=None, refusal=None)


async def check(request: Request, user: GetUserDep) -> HTMLResponse:
    """Check the address in the body of the request."""
    fields = await _fields(request)
    # A page of another origin cannot read the token, and a browser says where a request comes from.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form can be sent from the page itself only.")
    _require_token(fields.get("token", ""), user)
    options = checking.CheckOptions.of(fields.get("how", "dns"))
    address = fields.get("address", "")
    if options is None:
        raise HTTPException(400, "Choose one of the depths in the form.")
    if len(address) > checking.LONGEST_ADDRESS:
        raise HTTPException(400, f"Enter a single address; it has at most {checking.LONGEST_ADDRESS} characters.")
    if not request.app.state.rate_limiter.admits(user.get_id()):
        raise HTTPException(429, "Many checks at once. Wait a few seconds; a whole table is verified by a DAG.")
    if options.conn_id is not None and options.conn_id not in await run_in_threadpool(_usable, user):
        raise HTTPException(403, "You may not use this connection, or it does not exist.")
    found = await checking.check(address, options) if address.strip() else "Enter an address."
    form = await run_in_threadpool(_form_of_its_own, request, user)
    refusal, result = (found, None) if isinstance(found, str) else (None, found)
    return _page(request, "check.html", form=form | {"how": fields.get("how")}, result=result, refusal=refusal)


# ------------------------------------------------------------------- in common


def _readable(user: Any, session: Any) -> set[str]:
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)


def _found(session: Any, dags: set[str], task_id: str | None, table: str) -> dict[str, Any]:
    """What there is to show of some DAGs, or of one task of theirs."""
    runs = find_runs(session, dags, task_id=task_id)
    failures = find_failures(session, dags, task_id=task_id)
    series = in_series(runs.runs)
    late = {each.key: each.later_failure(failures) for each in series}
    return {
        "runs": runs,
        "series": series,
        "chosen": next((each for each in series if each.key == table), None),
        "late": late,
        "entries": sorted([*runs.runs, *failures], key=lambda entry: entry.at, reverse=True),
        "gates": find_gates(session, dags, task_id=task_id),
    }


def _form(request: Request, user: Any, session: Any) -> dict[str, Any]:
    return {
        "action": f"{_base(request)}/check",
        "token": _tokens().dumps(user.get_id()),
        "how": "dns",
        "connections": _connections(user, session),
    }


def _form_of_its_own(request: Request, user: Any) -> dict[str, Any]:
    from airflow.utils.session import create_session

    with create_session() as session:
        return _form(request, user, session)


def _usable(user: Any) -> list[str]:
    from airflow.utils.session import create_session

    with create_session() as session:
        return _connections(user, session)


def _connections(user: Any, session: Any) -> list[str]:
    """The mailvet connections that the user may read: to ask mail servers is to use the connection."""
    if not checking.hook_installed():
        return []
    manager = get_auth_manager()
    return [
        conn_id
        for conn_id in checking.connection_ids(session)
        if manager.is_authorized_connection(method="GET", details=ConnectionDetails(conn_id=conn_id), user=user)
    ]


def _tokens() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="mailvet-check")


def _require_token(token: str, user: Any) -> None:
    try:
        holder = _tokens().loads(token, max_age=_FORM_SECONDS)
    except BadData:
        holder = None
    if holder != user.get_id():
        raise HTTPException(403, "The form is too old or not from this page. Reload the page and send it again.")


async def _fields(request: Request) -> Mapping[str, str]:
    """The form of a request, read by hand: a validation error of the framework would repeat the address."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Send the form as application/x-www-form-urlencoded.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise HTTPException(413, "Enter a single address.")
    try:
        fields = parse_qs(bytes(body).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=8)
    except ValueError:
        raise HTTPException(400, "The form cannot be read. Reload the page and send it again.") from None
    return {name: values[0] for name, values in fields.items()}


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _page(request: Request, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    base = _base(request)
    text = pages.render(
        template,
        nonce=nonce,
        base=base,
        airflow=base.removesuffix(URL_PREFIX),
        now=datetime.now(timezone.utc),
        **values,
    )
    return HTMLResponse(text, status_code, headers=_headers(nonce))


def _headers(nonce: str) -> dict[str, str]:
    policy = (
        "default-src 'none'",
        f"style-src 'nonce-{nonce}'",
        f"script-src 'nonce-{nonce}'",
        "form-action 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


async def _refused(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, StarletteHTTPException)
    page = _page(
        request, "refused.html", status_code=error.status_code, code=error.status_code, detail=str(error.detail)
    )
    page.headers.update(error.headers or {})
    return page

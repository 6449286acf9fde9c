"""The application: what each route does. `mailvet.service.serving` runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.middleware.cors import CORSMiddleware

import mailvet
from mailvet.service.access import Access, take_of_day
from mailvet.service.batches import batch_routes
from mailvet.service.checker import Checker, policy_named
from mailvet.service.database import Database
from mailvet.service.documents import refusals
from mailvet.service.erasure import erase
from mailvet.service.events import Events, event_routes
from mailvet.service.form_page import form_routes
from mailvet.service.guard import Guard
from mailvet.service.jobs import Jobs
from mailvet.service.keys import FORM, Key, Keys
from mailvet.service.limits import Limits
from mailvet.service.metrics import Metrics
from mailvet.service.models import (
    Check,
    Checked,
    Erased,
    Erasure,
    FormCheck,
    FormChecked,
    Health,
    Problem,
    Readiness,
)
from mailvet.service.problems import add_handlers
from mailvet.service.state import State, default_state
from mailvet.service.verdicts import Verdicts
from mailvet.settings import Settings
from mailvet.vocabulary import Depth

__all__ = ["Service", "create_app"]

_ABOUT = """Is this address worth writing to? Checks of one address within a deadline, and batches.

Errors are problem details (RFC 9457). Neither logs nor metrics hold an address."""


class Service:
    """The parts of one process of the service.

    Args:
        settings: of the service.
        workers: processes that serve together.
    """

    def __init__(self, settings: Settings, *, workers: int = 1) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.database.check_workers(workers)
        self.state = State(settings.service.state or default_state())
        self.access = Access(Keys(self.state), Limits(self.state, shared=workers > 1))
        self.verdicts = Verdicts(self.database)
        self.checker = Checker(settings, self.verdicts)
        self.jobs = Jobs(settings, self.database, self.state)
        self.metrics = Metrics()
        self.events = Events(settings, self.database, self.state, self.metrics)
        self._erasures = self._last_erasure()

    async def open(self) -> None:
        """Open the database and warm up.

        Raises:
            MailvetError: it cannot be used.
        """
        await self.verdicts.open()
        await self.checker.warm_up()
        self.access.limits.forget_old()
        self.jobs.start()

    async def notice_erasures(self) -> None:
        """Drop what is in memory where another process has erased an address."""
        last = self._last_erasure()
        if last != self._erasures:
            self._erasures = last
            await self.checker.forget()

    def _last_erasure(self) -> int:
        row = self.state.row("select coalesce(max(number), 0) from erasures")
        return int(row[0]) if row is not None else 0

    async def close(self) -> None:
        """End what is under way and save what is known."""
        await run_in_threadpool(self.jobs.stop)
        await self.events.close()
        await self.checker.close()
        await self.verdicts.close()
        self.state.close()
        await run_in_threadpool(self.database.rewrite)


def create_app(settings: Settings, *, workers: int = 1) -> FastAPI:
    """The application of one process.

    Raises:
        MailvetError: settings that do not go together, or a state that cannot be kept.
    """
    service = Service(settings, workers=workers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="mailvet",
        version=mailvet.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    add_handlers(app)
    app.include_router(_checks(service))
    app.include_router(batch_routes(service))
    app.include_router(_addresses(service))
    app.include_router(event_routes(service.events))
    app.include_router(_operation(service))
    app.include_router(form_routes())
    # Problem stands in no signature; OpenAPI learns of it here.
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document["components"].setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.service.origins,
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=3600,
    )
    app.add_middleware(Guard, metrics=service.metrics, largest_batch=settings.service.largest_body)
    app.state.service = service
    return app


def _checks(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["checks"])
    settings, metrics = service.settings, service.metrics
    deadline = settings.service.deadline.total_seconds()
    may_verify = Depends(service.access.key_for("verify"))
    may_ask_for_form = Depends(service.access.key_for(FORM, "verify"))

    @router.post(
        "/verify", response_model=Checked, responses=refusals(401, 403, 408, 413, 422, 429, 503), summary="Check one"
    )
    async def verify(check: Check, key: Key = may_verify) -> Checked:
        """The verdict for one address, in time."""
        policy = policy_named(settings, check.policy)
        depth = check.depth or Depth(settings.service.depth)
        take_of_day(service.access.limits, key, 1)
        await service.notice_erasures()
        seconds = deadline if check.deadline_ms is None else check.deadline_ms / 1000
        verdict, found = await service.checker.check(check.address, depth, policy, seconds)
        metrics.checks.labels(str(found.reason), str(depth)).inc()
        if any(fact.layer == "run" for fact in verdict.evidence):
            metrics.late.inc()
        return found

    @router.post(
        "/form",
        response_model=FormChecked,
        responses=refusals(401, 403, 408, 413, 422, 429),
        summary="Check one for a form",
    )
    async def form(check: FormCheck, key: Key = may_ask_for_form) -> FormChecked:
        """What a form should do about an address: by its text and its domain, never by a mailbox or a person."""
        take_of_day(service.access.limits, key, 1)
        return await service.checker.check_for_form(check.address, deadline)

    return router


def _addresses(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["addresses"])

    @router.delete(
        "/addresses",
        response_model=Erased,
        responses=refusals(401, 403, 408, 413, 422, 429, 503),
        summary="Erase an address",
        dependencies=[Depends(service.access.key_for("erase"))],
    )
    async def erase_address(who: Erasure) -> Erased:
        """Erase an address in all its spellings, or a domain: verdicts, events and rows of batches."""
        await service.verdicts.flush()
        found = await run_in_threadpool(erase, service.database, service.state, who)
        await service.notice_erasures()
        return found

    return router


def _operation(service: Service) -> APIRouter:
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", response_model=Health, summary="Is the process alive?")
    async def healthz() -> Health:
        """Whether the process is alive."""
        return Health(status="ok")

    @router.get(
        "/readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "The database or DNS does not reply."}},
        summary="Can it work?",
    )
    async def readyz() -> Response:
        """Whether the database and DNS reply."""
        database = await service.verdicts.check()
        dns = service.checker.has_dns or await service.checker.look_for_dns()
        found = Readiness(ready=database and dns, database=database, dns=dns)
        return JSONResponse(found.model_dump(), 200 if found.ready else 503)

    @router.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    async def metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        service.metrics.under_way.set(service.checker.under_way)
        return Response(service.metrics.text(), media_type=service.metrics.media_type)

    return router

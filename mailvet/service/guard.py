"""Before and after every request: limits of size and time, headers, metrics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from mailvet.service.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mailvet.service.metrics import Metrics

__all__ = ["BATCH_PATH", "SMALL_BODY", "Guard"]

BATCH_PATH: Final = "/v1/batches"
SMALL_BODY: Final = 65_536
"""Octets of a request that brings no batch and no events."""
_EVENT_BODY: Final = 5_000_000
_CHUNK_SECONDS: Final = 10.0
"""For the next part of a body."""
_BODY_SECONDS: Final = 300.0
_SMALL_BODY_SECONDS: Final = 20.0
_CLOSE: Final = {"Connection": "close"}
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """An ASGI application around another.

    Args:
        app: the other.
        metrics: count every request.
        largest_batch: octets of the body of a batch.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, largest_batch: int) -> None:
        self._app, self._metrics, self._largest_batch = app, metrics, largest_batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        path: str = scope["path"]
        is_batch = path == BATCH_PATH
        most = self._largest_batch if is_batch else _EVENT_BODY if path.startswith("/v1/events/") else SMALL_BODY
        seconds = _BODY_SECONDS if most > SMALL_BODY else _SMALL_BODY_SECONDS

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                present = {name for name, _ in headers}
                headers.extend(pair for pair in _HEADERS if pair[0] not in present)
            await send(message)

        try:
            length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
            if not length.isdigit() or int(length) > most:
                # What is still to come of the body is not read.
                await problem_response(413, _too_large(most), _CLOSE)(scope, receive, guarded_send)
            else:
                await self._app(scope, _limited(receive, most, seconds), guarded_send)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)


def _too_large(most: int) -> str:
    return f"The body may have {most:,} octets at most."


def _limited(receive: Receive, most: int, seconds: float) -> Receive:
    """The receiver of a body of at most so many octets, which comes without long pauses."""
    had, complete = 0, False
    until: float | None = None

    async def limited() -> Message:
        nonlocal had, until, complete
        if complete:
            return await receive()
        now = time.monotonic()
        until = now + seconds if until is None else until
        try:
            message = await asyncio.wait_for(receive(), max(0.001, min(_CHUNK_SECONDS, until - now)))
        except asyncio.TimeoutError:
            raise HTTPException(408, "The body came too slowly.", _CLOSE) from None
        if message["type"] == "http.request":
            had += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if had > most:
                raise HTTPException(413, _too_large(most), _CLOSE)
        return message

    return limited

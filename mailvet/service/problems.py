"""Errors as problem details (RFC 9457). None of them repeats what was sent, which may be an address."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mailvet.errors import MailvetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["MEDIA_TYPE", "ProblemError", "add_handlers", "problem_response"]

log = logging.getLogger("mailvet")

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        detail: a sentence for people, without anything of what was sent.
        retry_after: seconds until the same may work.
        headers: more of the response.
    """

    def __init__(
        self, status: int, detail: str, *, retry_after: float | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response that says what is wrong."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Let every error of an application be told as a problem."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return problem_response(error.status, error.detail, error.headers)

    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(error.status_code, str(error.detail), error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(422, _told(error.errors()))

    async def of_mailvet(_: Request, error: Exception) -> Response:
        assert isinstance(error, MailvetError)
        if isinstance(error, SettingsError):
            return problem_response(422, str(error))
        log.error("a request failed: %s", error)
        if isinstance(error, UnavailableError):
            return problem_response(
                503, "The database cannot be used at the moment. Try again later.", {"Retry-After": "5"}
            )
        return problem_response(500, "The service cannot do this at the moment. Its log says why.")

    async def own_fault(_: Request, error: Exception) -> Response:
        return problem_response(500, "A fault of the service. Its log says more.")

    app.add_exception_handler(ProblemError, refused)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(MailvetError, of_mailvet)
    app.add_exception_handler(Exception, own_fault)


def _told(errors: Any) -> str:
    """What does not fit, by field; never the value."""
    parts = []
    for error in errors:
        names = [str(part) for part in error["loc"][1:] if isinstance(part, str)]
        message = "it is not valid JSON" if error["type"] == "json_invalid" else error["msg"]
        if error["type"] == "extra_forbidden":
            parts.append("a field is not known")  # its name is the caller's text
        else:
            parts.append(f"{'.'.join(names) or 'the body'}: {message}")
    return f"The request does not fit: {'; '.join(dict.fromkeys(parts))[:500]}."

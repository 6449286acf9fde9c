"""What OpenAPI says of problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailvet.service.problems import MEDIA_TYPE

__all__ = ["refusals"]

_WHY = {
    401: "No key, or a wrong one.",
    403: "The key may not do that.",
    404: "There is no such batch of this key.",
    408: "The body came too slowly.",
    409: "The batch is not in a state for that.",
    413: "The body is too large.",
    415: "The body is of a type that is not known.",
    422: "The request does not fit.",
    429: "Over a limit; Retry-After says when to come back.",
    503: "The service cannot do it at the moment.",
}


def refusals(*statuses: int, why: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may respond with, for OpenAPI.

    Args:
        statuses: of HTTP.
        why: what they mean where a route means something else.
    """
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return {
        status: {
            "description": (why or {}).get(status, _WHY[status]),
            "content": {MEDIA_TYPE: schema},
            **({"headers": headers} if status in (429, 503) else {}),
        }
        for status in sorted(statuses)
    }

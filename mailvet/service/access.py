"""Who asks, what that key may do, and how often."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from mailvet.service.keys import Key, Keys
from mailvet.service.limits import Limits
from mailvet.service.problems import ProblemError

__all__ = ["Access", "take_of_day"]

_BEARER = HTTPBearer(auto_error=False, description="An API key, made by `mailvet keys create`.")
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class Access:
    """The keys of a service and what they have used.

    Args:
        keys: of the service.
        limits: what has been used.
    """

    def __init__(self, keys: Keys, limits: Limits) -> None:
        self.keys, self.limits = keys, limits

    def key_for(self, *scopes: str) -> Callable[..., Awaitable[Key]]:
        """The dependency of a route that a key with one of these scopes may use."""

        async def found(
            request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
        ) -> Key:
            key = self.keys.find(sent.credentials) if sent is not None else None
            if key is None:
                raise ProblemError(401, "A valid API key is needed: Authorization: Bearer KEY.", headers=_CHALLENGE)
            if key.scopes.isdisjoint(scopes):
                raise ProblemError(403, "This key may not do that.")
            wait = self.limits.take(f"{key.owner}/s", key.per_second, 1.0)
            if not wait and key.per_minute_and_client is not None:
                wait = self.limits.take(f"{key.owner}/{_client(request)}", key.per_minute_and_client, 60.0)
            if wait:
                raise ProblemError(429, "Too many requests.", retry_after=wait)
            return key

        return found


def take_of_day(limits: Limits, key: Key, addresses: int) -> None:
    """Count addresses against the day of a key.

    Raises:
        ProblemError: there is no room for all of them.
    """
    if key.per_day is None:
        return
    wait = limits.take_of_day(key.owner, addresses, key.per_day)
    if wait:
        raise ProblemError(429, "The addresses of the day are used up, or too few are left.", retry_after=wait)


def _client(request: Request) -> str:
    """The address that asks; of IPv6 the network of 64 bits that one client has."""
    host = request.client.host if request.client is not None else "none"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

"""What the service gets from Amazon SNS: certificates of signatures, and the confirmation of a subscription."""

from __future__ import annotations

import http.client
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi.concurrency import run_in_threadpool

from mailvet.service.problems import ProblemError

__all__ = ["Amazon", "fetch"]

log = logging.getLogger("mailvet")

_SECONDS: Final = 4.0
"""For each step of a request, and for all parts of the response; SNS waits for 15 seconds."""
_MOST_OCTETS: Final = 65_536
_MOST_KEPT: Final = 32
_MOST_FETCHES: Final = 20
_SPAN: Final = 60.0
"""So many requests in so many seconds: a forged message may name a certificate that is not there."""


def fetch(url: str) -> bytes:
    """What stands at a URL: over TLS, at most 64 KiB, without redirects.

    Raises:
        OSError: it cannot be had.
    """
    parts = urlsplit(url)
    until = time.monotonic() + 2 * _SECONDS
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=_SECONDS, context=ssl.create_default_context()
    )
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"status {response.status}")
        found = b""
        while part := response.read1(_MOST_OCTETS):
            found += part
            if len(found) > _MOST_OCTETS or time.monotonic() > until:
                raise OSError("too much, or too slow")
        return found
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(type(error).__name__) from None
    finally:
        connection.close()


class Amazon:
    """Fetches what `mailvet.service.signatures.amazon_url` allows, and keeps certificates.

    Attributes:
        fetch: gets what stands at a URL, in a thread; raises OSError.
    """

    def __init__(self, fetch: Callable[[str], bytes] = fetch) -> None:
        self.fetch = fetch
        self._kept: dict[str, bytes] = {}
        self._fetched: deque[float] = deque()

    async def certificate(self, url: str) -> bytes:
        """The certificate at a URL.

        Raises:
            ProblemError: it cannot be had at the moment.
        """
        found = self._kept.get(url)
        return found if found is not None else await self._get(url)

    def keep(self, url: str, certificate: bytes) -> None:
        """Keep a certificate that a signature was checked with."""
        if url not in self._kept and len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[url] = certificate

    async def confirm(self, url: str) -> None:
        """Confirm a subscription.

        Raises:
            ProblemError: Amazon cannot be reached at the moment.
        """
        await self._get(url)

    async def _get(self, url: str) -> bytes:
        now = time.monotonic()
        while self._fetched and self._fetched[0] < now - _SPAN:
            self._fetched.popleft()
        if len(self._fetched) >= _MOST_FETCHES:
            raise ProblemError(503, "Too many certificates are asked for.", retry_after=_SPAN)
        self._fetched.append(now)
        try:
            return await run_in_threadpool(self.fetch, url)
        except OSError as error:
            # Without the URL, which may hold the token of a subscription.
            log.warning("Amazon SNS cannot be asked: %s", type(error).__name__)
            raise ProblemError(503, "Amazon SNS cannot be reached at the moment.", retry_after=20) from None

"""Telling a server of the customer's that a batch has ended: signed, never to private addresses, without redirects."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import socket
import sqlite3
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from mailvet.dns.targets import may_be_contacted
from mailvet.service.problems import ProblemError
from mailvet.service.state import State
from mailvet.settings import Settings

__all__ = ["SIGNATURE", "Webhooks", "check_webhook", "signature"]

log = logging.getLogger("mailvet")

SIGNATURE: Final = "Mailvet-Signature"
_SECONDS: Final = 10.0
_AGAIN: Final = (10.0, 60.0, 600.0, 3600.0, 21_600.0)
"""Seconds between two tries."""


def signature(secret: str, body: bytes, at: int) -> str:
    """The header by which the receiver knows that a webhook is ours, and when it was sent."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def check_webhook(url: str, settings: Settings) -> str:
    """An URL that a webhook may be sent to, as far as its text says.

    Raises:
        ProblemError: it is none.
    """
    try:
        parts = urlsplit(url)
        fits = parts.hostname is not None and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    schemes = ("https", "http") if settings.service.webhook_networks else ("https",)
    if not fits or parts.scheme not in schemes or len(url) > 2000 or not url.isascii() or not url.isprintable():
        raise ProblemError(422, "The webhook is no https:// URL without a user name.")
    return url


class _PinnedConnection(http.client.HTTPConnection):
    """A connection to an address that was looked at, whatever the name leads to the next moment."""

    def __init__(self, host: str, port: int, address: str, *, secure: bool) -> None:
        super().__init__(host, port, timeout=_SECONDS)
        self._address, self._secure = address, secure

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), _SECONDS)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class Webhooks:
    """The webhooks that are to be sent.

    Args:
        settings: of the service.
        state: where jobs are written down.
    """

    def __init__(self, settings: Settings, state: State) -> None:
        self._settings, self._state = settings, state

    def send_one(self) -> bool:
        """Send the one that is due first; whether there was any."""
        now = time.time()
        row = self._state.row(
            "update jobs set webhook_at = ?, webhook_tries = webhook_tries + 1 where id = (select id from jobs where "
            "webhook_state = 'waiting' and webhook_at <= ? and finished_at is not null order by webhook_at limit 1) "
            "returning *",
            now + 3 * _SECONDS,  # while it is under way, no other process takes it
            now,
        )
        if row is None:
            return False
        if self._send(row):
            self._state.rows("update jobs set webhook_state = 'delivered' where id = ?", row["id"])
        elif row["webhook_tries"] > len(_AGAIN):
            self._state.rows("update jobs set webhook_state = 'failed' where id = ?", row["id"])
        else:
            again = time.time() + _AGAIN[row["webhook_tries"] - 1]
            self._state.rows("update jobs set webhook_at = ? where id = ?", again, row["id"])
        return True

    def _send(self, row: sqlite3.Row) -> bool:
        key = self._state.row("select webhook_secret from keys where id = ?", row["key_id"])
        body = json.dumps({"id": row["id"], "state": row["state"], "rows": row["rows"], "done": row["done"]}).encode()
        try:
            parts = urlsplit(row["webhook"])
            secure, host = parts.scheme == "https", parts.hostname or ""
            port = parts.port or (443 if secure else 80)
            found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
            networks = self._settings.service.webhook_networks
            # All of them: a name that leads here and there is not trusted to lead there.
            if not found or not all(may_be_contacted(address, networks) for address in found):
                log.warning("the webhook of batch %s leads to an address that is not contacted", row["id"])
                return False
            connection = _PinnedConnection(host, port, found[0], secure=secure)
            at = int(time.time())
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "mailvet",
                SIGNATURE: signature(key[0] if key is not None else "", body, at),
            }
            try:
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", target, body, headers)
                return 200 <= connection.getresponse().status < 300
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.info("the webhook of batch %s failed: %s", row["id"], type(error).__name__)
            return False

"""API keys: what they may do and how often; kept as hashes.

A key has 256 random bits, so a plain SHA-256 of it cannot be turned back, and needs no salt and no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from mailvet.errors import SettingsError, argument
from mailvet.service.state import State

__all__ = ["FORM", "SCOPES", "SECRET_SCOPES", "Key", "Keys", "shown_time", "webhook_secret_of"]

FORM: Final = "form"
"""The scope of a publishable key, which stands in the source of a page for everyone to read."""
SECRET_SCOPES: Final = ("verify", "batches", "erase")
"""The scopes of a secret key."""
SCOPES: Final = (*SECRET_SCOPES, FORM)

_PER_SECOND: Final = 50
_PER_MINUTE_AND_CLIENT: Final = 10
_PER_DAY_PUBLISHED: Final = 1000
_TEXT = re.compile(r"mv[sp]_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; not the key itself. Times are seconds since 1970."""

    id: str
    owner: str
    """What jobs and days belong to: the id of the first key of those that replaced one another."""
    name: str
    scopes: frozenset[str]
    per_second: int
    """Requests a second."""
    per_minute_and_client: int | None
    """Requests a minute of one client address."""
    per_day: int | None
    """Addresses a day (UTC)."""
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    digest: bytes
    webhook_secret: str

    @classmethod
    def of(cls, row: sqlite3.Row) -> Key:
        """From a row of the table."""
        values: dict[str, Any] = dict(row)
        return cls(**{**values, "scopes": frozenset(values["scopes"].split())})

    def problem(self, now: float) -> str | None:
        """Why it opens nothing; None where it does."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return None


def webhook_secret_of(text: str) -> str:
    """The secret by which webhooks to the owner of a key are signed.

    The owner computes it from the key; the key cannot be computed from it.
    """
    return hmac.new(text.encode(), b"mailvet webhook", hashlib.sha256).hexdigest()


class Keys:
    """The keys of a service.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[str, Key | None] = {}
        self._version = -1

    def create(  # what a key is, each by name
        self,
        *,
        name: str = "",
        scopes: Collection[str] = SECRET_SCOPES,
        per_second: int = _PER_SECOND,
        per_minute_and_client: int | None = None,
        per_day: int | None = None,
        lifetime: float | None = None,
        owner: str | None = None,
    ) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: for people.
            scopes: what it may do, of `SCOPES`; a publishable key has `form` and nothing else.
            per_second: requests a second.
            per_minute_and_client: requests a minute of one client address; of a publishable key 10 unless given.
            per_day: addresses a day; of a publishable key 1,000 unless given.
            lifetime: seconds until it expires.
            owner: of the key that it replaces.

        Returns:
            What is kept, and the key as text, which is kept nowhere.

        Raises:
            SettingsError: scopes that are unknown or do not go together.
        """
        wanted = frozenset(scopes)
        if unknown := sorted(wanted - set(SCOPES)):
            raise SettingsError(f"{argument('scope', unknown[0])}: there is no such scope; write {', '.join(SCOPES)}.")
        if not wanted or (FORM in wanted and len(wanted) > 1):
            raise SettingsError("A publishable key can have no other scope: everyone can read it. Make two keys.")
        published = FORM in wanted
        if published:
            per_minute_and_client = per_minute_and_client or _PER_MINUTE_AND_CLIENT
            per_day = per_day or _PER_DAY_PUBLISHED
        key_id = base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10]
        # A dash at the end would be lost where the key is selected by a double click.
        secret = secrets.token_urlsafe(32)
        while secret[-1] in "-_":
            secret = secrets.token_urlsafe(32)
        text = f"mv{'p' if published else 's'}_{key_id}_{secret}"
        now = time.time()
        values = {
            "id": key_id,
            "owner": owner or key_id,
            "name": name,
            "digest": _digest(text),
            "webhook_secret": webhook_secret_of(text),
            "scopes": " ".join(sorted(wanted)),
            "per_second": per_second,
            "per_minute_and_client": per_minute_and_client,
            "per_day": per_day,
            "created_at": now,
            "expires_at": None if lifetime is None else now + lifetime,
            "revoked_at": None,
        }
        places = ", ".join("?" * len(values))
        self._state.rows(f"insert into keys ({', '.join(values)}) values ({places})", *values.values())
        self._known.clear()
        return self.named(key_id), text

    def rotate(self, key_id: str, *, overlap: float) -> tuple[Key, str]:
        """Make a key like another, which ends after `overlap` seconds; until then both read the same jobs.

        Raises:
            SettingsError: there is no such key, or it is revoked.
        """
        old = self.named(key_id)
        if old.revoked_at is not None:
            raise SettingsError(f"The key {key_id} is revoked. Create one without {argument('replaces')}.")
        found = self.create(
            name=old.name,
            scopes=old.scopes,
            per_second=old.per_second,
            per_minute_and_client=old.per_minute_and_client,
            per_day=old.per_day,
            owner=old.owner,
        )
        self._state.rows("update keys set revoked_at = ? where id = ?", time.time() + overlap, key_id)
        self._known.clear()
        return found

    def revoke(self, key_id: str) -> Key:
        """End a key now.

        Raises:
            SettingsError: there is no such key.
        """
        self.named(key_id)
        now = time.time()
        self._state.rows("update keys set revoked_at = min(?, coalesce(revoked_at, ?)) where id = ?", now, now, key_id)
        self._known.clear()
        return self.named(key_id)

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        return [Key.of(row) for row in self._state.rows("select * from keys order by created_at, id")]

    def named(self, key_id: str) -> Key:
        """A key by its id.

        Raises:
            SettingsError: there is none.
        """
        row = self._state.row("select * from keys where id = ?", key_id)
        if row is None:
            raise SettingsError("There is no such key. `mailvet keys list` names all.")
        return Key.of(row)

    def find(self, text: str) -> Key | None:
        """The key that this is the text of, if it opens anything now."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        version = self._state.changed_by_others()
        if version != self._version or len(self._known) > _MOST_KNOWN:
            self._known.clear()
            self._version = version
        if found[1] not in self._known:
            row = self._state.row("select * from keys where id = ?", found[1])
            self._known[found[1]] = None if row is None else Key.of(row)
        key = self._known[found[1]]
        if key is None or not hmac.compare_digest(key.digest, _digest(text)):
            return None
        return key if key.problem(time.time()) is None else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def shown_time(seconds: float | None) -> str | None:
    """A time in ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")

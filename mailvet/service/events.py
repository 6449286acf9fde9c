"""The route of senders' webhooks, and how their events get into `mailvet_events`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool

from mailvet.errors import MailvetError, SettingsError, SourceError, UnavailableError
from mailvet.history.records import recognise, unwrapped
from mailvet.privacy import mask_text, printable
from mailvet.runs.database_thread import DatabaseThread
from mailvet.runs.event_import import ImportResult, import_events
from mailvet.service.amazon import Amazon
from mailvet.service.database import Database
from mailvet.service.documents import refusals
from mailvet.service.metrics import Metrics
from mailvet.service.models import Received
from mailvet.service.problems import ProblemError
from mailvet.service.signatures import (
    BY_PASSWORD,
    MAILGUN_SECONDS,
    SignatureError,
    Token,
    amazon_url,
    check_amazon,
    check_mailgun,
    check_password,
    check_resend,
    check_sendgrid,
    secret_problem,
)
from mailvet.service.state import State
from mailvet.settings import Settings
from mailvet.warehouse.opening import open_events

if TYPE_CHECKING:
    from mailvet.warehouse.events import EventStore

__all__ = ["Events", "event_routes"]

log = logging.getLogger("mailvet")

_SOURCE: Final = "webhook"
_GIVES_UP: Final = frozenset({"brevo"})
"""Repeats after 429 alone: https://developers.brevo.com/docs/retry-mechanism.md (2026-12-01) discards after 5xx."""
_LATER: Final = 600.0
_SOON: Final = 30.0
_WRITE_SECONDS: Final = 8.0
"""After which the sender is told to come again: SparkPost waits for 10 seconds, SNS for 15."""
_MOST_WAITING: Final = 100_000
"""Records that wait for the database."""
_LARGEST_UNPROVEN: Final = 1_000_000
"""Octets that are parsed before it is known whose they are, since the signature stands in them."""
_CLOSE_SECONDS: Final = 1.0
"""The server has waited for requests before."""
_TIDY_SECONDS: Final = 3600.0
_FORGET_SECONDS: Final = 60.0
_MOST_WORDS: Final = 100
"""Unknown words that are logged, each once."""
_TOKENS: Final = (
    "create table if not exists webhook_tokens (token blob primary key, body blob not null, expires_at real not null) "
    "strict, without rowid",
    "create index if not exists webhook_tokens_by_time on webhook_tokens (expires_at)",
)
_WHY: Final = {
    401: "The signature or the password is missing, wrong or too old.",
    404: "No webhooks of this sender are set up.",
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": ["object", "array"]}},
            "text/plain": {"schema": {"type": "string"}},
        },
    }
}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What one request brought."""

    vendor: str
    records: Sequence[Mapping[str, Any]]
    written: asyncio.Future[None]


class Events:
    """Takes webhooks and writes their events: those of all requests that wait, in one transaction.

    Args:
        settings: `service.events` holds the secrets by sender.
        database: where `mailvet_events` is.
        state: where the tokens of Mailgun are.
        metrics: count events, and what gave none.

    Attributes:
        amazon: what is fetched from Amazon SNS.

    Raises:
        SettingsError: a secret that cannot be one.
    """

    def __init__(self, settings: Settings, database: Database, state: State, metrics: Metrics) -> None:
        self._secrets = _secrets_of(settings)
        self._keep_days = settings.history.keep_days
        self._database, self._state, self._metrics = database, state, metrics
        self.amazon = Amazon()
        self._thread: DatabaseThread | None = None
        self._store: EventStore | None = None
        self._waiting: list[_Waiting] = []
        self._held = 0
        self._writing: asyncio.Task[None] | None = None
        self._tidied = self._forgot = float("-inf")
        self._words: set[str] = set()
        if "mailgun" in self._secrets:
            for statement in _TOKENS:
                state.rows(statement)

    async def receive(self, vendor: str, request: Request) -> int:
        """Check a webhook and keep its events; how many records it held.

        Raises:
            ProblemError: it is refused, or cannot be taken at the moment.
            MailvetError: the database cannot be used.
        """
        secrets = self._secrets.get(vendor)
        if secrets is None:
            raise ProblemError(404, "No webhooks of this sender are set up.")
        try:
            records = await self._believed(vendor, secrets, request)
        except SignatureError as error:
            self._metrics.refused.labels(vendor).inc()
            headers = {"WWW-Authenticate": 'Basic realm="mailvet"'} if vendor in BY_PASSWORD else None
            raise ProblemError(401, str(error), headers=headers) from None
        try:
            if records:
                await self._write(vendor, records)
        except (MailvetError, TimeoutError) as error:
            if vendor not in _GIVES_UP and isinstance(error, MailvetError):
                raise
            log.error("a webhook of %s cannot be kept: %s", vendor, error)
            status, later = (429, _LATER) if vendor in _GIVES_UP else (503, _SOON)
            raise ProblemError(status, "The events cannot be kept at the moment.", retry_after=later) from None
        return len(records)

    async def _believed(self, vendor: str, secrets: Sequence[str], request: Request) -> list[Mapping[str, Any]]:
        """The records of a webhook that is its sender's."""
        if vendor in BY_PASSWORD:  # before the body is read
            check_password(secrets, request.headers.get("authorization", ""))
        body = await request.body()
        now = time.time()
        if vendor == "sendgrid":
            check_sendgrid(secrets, request.headers, body, now)
        elif vendor == "resend":
            message = check_resend(secrets, request.headers, body, now)
            return [{**record, "svix_id": message} for record in _records(_document(body))]
        elif vendor in ("mailgun", "ses"):
            if len(body) > _LARGEST_UNPROVEN:
                raise ProblemError(413, f"The body may have {_LARGEST_UNPROVEN:,} octets at most.")
            document = _document_or_none(body)
            if vendor == "ses":
                return await self._of_amazon(secrets, document, now)
            self._use(check_mailgun(secrets, document, now), now)
            return _records(document)
        return await run_in_threadpool(lambda: _records(_document(body)))

    def _use(self, token: Token, now: float) -> None:
        """Let a token of Mailgun come with one body alone, since it signs none.

        Raises:
            SignatureError: it came with another one.
        """
        if now - self._forgot > _FORGET_SECONDS:
            self._forgot = now
            self._state.rows("delete from webhook_tokens where expires_at < ?", now)
        row = self._state.row(
            "insert into webhook_tokens values (?, ?, ?) on conflict do update set body = body returning body",
            token.digest,
            token.body,
            now + 2 * MAILGUN_SECONDS,  # a clock may be behind
        )
        if row is None or row[0] != token.body:
            raise SignatureError("The token was used for another event.")

    async def _of_amazon(self, topics: Sequence[str], document: Any, now: float) -> list[Mapping[str, Any]]:
        url = amazon_url(document, topics, "SigningCertURL")
        certificate = await self.amazon.certificate(url)
        check_amazon(document, certificate, now)
        self.amazon.keep(url, certificate)
        if document["Type"] == "Notification":
            return _records(document)
        if document["Type"] == "SubscriptionConfirmation":
            await self.amazon.confirm(amazon_url(document, topics, "SubscribeURL"))
            log.info("the subscription to %s is confirmed", document["TopicArn"])
        else:
            log.warning("Amazon SNS has ended the subscription to %s", document["TopicArn"])
        return []

    # ---------------------------------------------------------------- writing

    async def _write(self, vendor: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Have records written; returns when they are committed.

        Raises:
            TimeoutError: the database is busy. They may be written later; the sender brings them again.
        """
        if self._held and self._held + len(records) > _MOST_WAITING:
            raise TimeoutError("too many records wait for the database")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held += len(records)
        written.add_done_callback(lambda done: self._release(done, len(records)))
        self._waiting.append(_Waiting(vendor, records, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write_all())
        done, _ = await asyncio.wait({written}, timeout=_WRITE_SECONDS)
        if not done:
            raise TimeoutError("the database does not reply in time")
        written.result()

    def _release(self, written: asyncio.Future[None], records: int) -> None:
        self._held -= records
        if not written.cancelled():
            written.exception()  # which is told in vain where the request has ended

    async def _write_all(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for vendor in dict.fromkeys(each.vendor for each in waiting):
                await self._write_group([each for each in waiting if each.vendor == vendor])

    async def _write_group(self, group: Sequence[_Waiting], *, again: bool = True) -> None:
        try:
            await self._import(group)
        except Exception as error:
            if again and not isinstance(error, UnavailableError):
                # One of them may be at fault, or another process was quicker with the same event.
                for each in group:
                    await self._write_group([each], again=False)
                return
            # The text of another library's error may hold what it could not write.
            told = error if isinstance(error, MailvetError) else SourceError(f"Events: {type(error).__name__}.")
            for each in group:
                if not each.written.done():
                    each.written.set_exception(told)
            return
        for each in group:
            if not each.written.done():
                each.written.set_result(None)

    async def _import(self, group: Sequence[_Waiting]) -> None:
        vendor = group[0].vendor
        records = [record for each in group for record in each.records]
        if self._thread is None:
            self._thread = DatabaseThread()
        result = await self._thread.call(self._import_now, vendor, records)
        self._metrics.events.labels(vendor).inc(result.events.total())
        for why, count in (+result.unusable).items():
            self._metrics.unusable.labels(vendor, why).inc(count)
        for word in result.unknown:
            if word not in self._words and len(self._words) < _MOST_WORDS:
                self._words.add(word)
                log.warning("%s sends a word that is not known: %r", vendor, mask_text(printable(word))[:60])

    def _import_now(self, vendor: str, records: Sequence[Mapping[str, Any]]) -> ImportResult:
        """In the thread of the database."""
        try:
            with self._database.writing():
                if self._store is None:
                    self._store = open_events(self._database.place)
                own = [record for record in records if recognise(record) in (None, vendor)]
                result = import_events(own, self._store, vendor, allow_unknown=True, name=_SOURCE)
                # The import refuses all of a source that holds many; here that would be other requests' events, too.
                result.unusable["other_sender"] += len(records) - len(own)
                if self._keep_days is not None and time.monotonic() - self._tidied > _TIDY_SECONDS:
                    self._tidied = time.monotonic()
                    self._store.forget_engagement_before(datetime.now(timezone.utc) - timedelta(days=self._keep_days))
                return result
        except BaseException:
            self._close_store()  # the next request opens it anew
            raise

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(MailvetError):
                store.close()

    async def close(self) -> None:
        """Write what waits and close the database."""
        if self._thread is None:
            return
        if self._writing is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._writing), _CLOSE_SECONDS)
        self._thread.submit(self._close_store)
        await self._thread.end(1.0)


def event_routes(events: Events) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.post(
        "/{vendor}",
        response_model=Received,
        responses=refusals(401, 404, 408, 413, 422, 429, 503, why=_WHY),
        openapi_extra=_BODY,
        summary="A sender's webhook",
    )
    async def receive(
        request: Request, vendor: Annotated[str, Path(description="As in `service.events`, such as `sendgrid`.")]
    ) -> Received:
        """Keep what a sender says happened to messages. No key: the sender signs, or knows a password."""
        return Received(records=await events.receive(vendor, request))

    return router


def _secrets_of(settings: Settings) -> dict[str, list[str]]:
    found = {}
    for vendor, secret in settings.service.events.items():
        found[vendor] = secret.get_secret_value().split()
        problems = [secret_problem(vendor, each) for each in found[vendor] or [""]]
        if problem := next(filter(None, problems), None):
            raise SettingsError(f"service.events.{vendor} is no secret of this sender: {problem}.")
    return found


def _records(document: Any) -> list[Mapping[str, Any]]:
    records = list(unwrapped(document))
    if not records and document != []:
        raise ProblemError(422, "The body holds no record.")
    return records


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(422, "The body is not valid JSON.") from None


def _document_or_none(body: bytes) -> Any:
    """Where the signature stands in the body: a body that cannot be read has none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

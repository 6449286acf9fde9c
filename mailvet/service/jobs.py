"""Batches: each is a table of addresses in the warehouse and one run over it, in a thread of the service.

A run saves as it goes, so one that was killed goes on where it was: what has a verdict is not due any more.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from mailvet.errors import MailvetError, UnavailableError
from mailvet.policies import AnyPolicy, recommend
from mailvet.privacy import escape_formula
from mailvet.runs.run import run
from mailvet.service.checker import policy_named
from mailvet.service.database import Database
from mailvet.service.keys import Key
from mailvet.service.problems import ProblemError
from mailvet.service.state import State
from mailvet.service.webhooks import Webhooks
from mailvet.settings import Settings
from mailvet.syntax.missing import is_missing
from mailvet.verdict import email_key
from mailvet.vocabulary import REASONS, Depth, Reason

if TYPE_CHECKING:
    from mailvet.runs.results import Progress
    from mailvet.warehouse.store import Plan

__all__ = ["RESULT_COLUMNS", "Jobs", "told"]

log = logging.getLogger("mailvet")

_LOOK_SECONDS: Final = 0.5
_ALIVE_SECONDS: Final = 2.0
_DEAD_SECONDS: Final = 20.0
"""After which the job of a process that gives no sign of life is taken over."""
_AGAIN_SECONDS: Final = 5.0
_TIDY_SECONDS: Final = 30.0
_REPEATED_SECONDS: Final = 86_400.0
"""How long an idempotency key is known."""
_STOP_SECONDS: Final = 7.0

RESULT_COLUMNS: Final = (
    "position",
    "address",
    "status",
    "reason",
    "recommendation",
    "score",
    "suggestion",
    "flags",
    "checked_at",
)


class _StoppedError(BaseException):
    """The service ends; the job goes on when it is started again."""


class _CancelledError(BaseException):
    """The job was cancelled."""


class Jobs:
    """The batches of a service.

    Args:
        settings: of the service.
        database: where addresses and verdicts are.
        state: where jobs are written down.
    """

    def __init__(self, settings: Settings, database: Database, state: State) -> None:
        self._settings, self._database, self._state = settings, database, state
        self._webhooks = Webhooks(settings, state)
        self._worker = secrets.token_hex(8)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work, in a thread."""
        if self._database.is_duckdb:  # its file has one process, so the others are gone
            self._state.rows("update jobs set state = 'queued' where state = 'running'")
        self._thread = threading.Thread(target=self._work, name="mailvet-jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the run under way; what it knows is saved."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    # ---------------------------------------------------------------- for the routes

    def create(
        self, key: Key, cells: list[str | None], *, depth: Depth, policy: AnyPolicy, webhook: str | None
    ) -> sqlite3.Row:
        """Take a batch."""
        import pyarrow as pa

        job_id = secrets.token_hex(10)
        keys = [email_key(cell) for cell in cells]
        rows = pa.table({"position": pa.array(range(len(cells)), pa.int64()), "email": pa.array(cells, pa.string())})
        self._database.create_batch(job_id, rows.append_column("email_key", pa.array(keys, pa.string())))
        self._state.rows(
            "insert into jobs (id, owner, key_id, state, created_at, depth, policy, rows, webhook, webhook_state) "
            "values (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
            job_id,
            key.owner,
            key.id,
            time.time(),
            str(depth),
            str(policy),
            len(cells),
            webhook,
            None if webhook is None else "waiting",
        )
        return self.of(key, job_id)

    def of(self, key: Key, job_id: str) -> sqlite3.Row:
        """A batch of this key.

        Raises:
            ProblemError: it has none of this id.
        """
        row = self._state.row("select * from jobs where id = ? and owner = ?", job_id, key.owner)
        if row is None:
            raise ProblemError(404, "There is no such batch of this key.")
        return row

    def repeated(self, key: Key, name: str, digest: bytes) -> sqlite3.Row | None:
        """The batch of an earlier request with this idempotency key; None where there was none.

        Raises:
            ProblemError: that request was another one.
        """
        row = self._state.row("select * from repeated_requests where owner = ? and name = ?", key.owner, name)
        if row is None:
            return None
        if row["digest"] != digest:
            raise ProblemError(422, "This idempotency key was used with another request.")
        return self.of(key, row["job_id"])

    def note_request(self, key: Key, name: str, digest: bytes, job_id: str) -> None:
        """Keep what an idempotency key stands for."""
        self._state.rows(
            "insert or ignore into repeated_requests values (?, ?, ?, ?, ?)",
            key.owner,
            name,
            digest,
            job_id,
            time.time(),
        )

    def cancel(self, key: Key, job_id: str) -> sqlite3.Row:
        """Stop a batch; what it has found out stays.

        Raises:
            ProblemError: there is none, or it has ended.
        """
        self.of(key, job_id)
        found = self._state.row(
            "update jobs set state = case state when 'queued' then 'cancelled' else 'cancelling' end, finished_at = "
            "case state when 'queued' then ?1 end, webhook_at = case state when 'queued' then ?1 end "
            "where id = ?2 and state in ('queued', 'running', 'cancelling') returning *",
            time.time(),
            job_id,
        )
        if found is None:
            raise ProblemError(409, "The batch has ended.")
        return found

    def results(self, row: sqlite3.Row, first: int, count: int) -> list[dict[str, Any]]:
        """Rows of a batch as they are told, by position; what is not known yet is null."""
        policy = policy_named(self._settings, row["policy"])
        return [_result(found, policy) for found in self._database.results(row["id"], first, count)]

    # ---------------------------------------------------------------- the thread

    def _work(self) -> None:
        tidied = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() > tidied + _TIDY_SECONDS or not tidied:
                    self._tidy()
                    tidied = time.monotonic()
                row = self._claim()
                if row is not None:
                    self._run(row)
                elif not self._webhooks.send_one():
                    self._stopping.wait(_LOOK_SECONDS)
            except UnavailableError as error:
                log.warning("batches wait: %s", error)
                self._stopping.wait(_AGAIN_SECONDS)
            except Exception:
                log.exception("a fault of the service")
                self._stopping.wait(_AGAIN_SECONDS)

    def _claim(self) -> sqlite3.Row | None:
        now = time.time()
        self._state.rows(
            "update jobs set state = 'cancelled', finished_at = ? where state = 'cancelling' and alive_at < ?",
            now,
            now - _DEAD_SECONDS,
        )
        return self._state.row(
            "update jobs set state = 'running', worker = ?, alive_at = ?, started_at = coalesce(started_at, ?) "
            "where id = (select id from jobs where state = 'queued' or (state = 'running' and alive_at < ?) "
            "order by created_at limit 1) returning *",
            self._worker,
            now,
            now,
            now - _DEAD_SECONDS,
        )

    def _run(self, row: sqlite3.Row) -> None:
        settings = self._settings.model_copy(update={"depth": Depth(row["depth"])})
        watcher = _Watcher(self._state, row, self._worker, self._stopping)
        try:
            settings = settings.with_policy(row["policy"])
            warehouse = self._database.open_batch(row["id"], settings.chosen_policy)
            try:
                result = run(warehouse, settings, write_back=False, watcher=watcher, poll=watcher.poll)
            finally:
                warehouse.close()
        except _StoppedError:
            self._end(row, "queued")
        except _CancelledError:
            self._end(row, "cancelled")
        except UnavailableError:
            self._end(row, "queued")
            raise
        except MailvetError as error:
            self._end(row, "failed", error=str(error))
        else:
            watcher.write()
            summary = {str(name): count for name, count in result.summary.by_status.items() if count}
            if result.summary.missing:
                summary["missing"] = result.summary.missing
            self._end(row, "done", summary=json.dumps(summary), error=result.degraded)

    def _end(self, row: sqlite3.Row, state: str, *, summary: str | None = None, error: str | None = None) -> None:
        ended = None if state == "queued" else time.time()
        self._state.rows(
            "update jobs set state = ?, summary = ?, error = ?, finished_at = ?, webhook_at = ? "
            "where id = ? and worker = ?",
            state,
            summary,
            error,
            ended,
            ended,
            row["id"],
            self._worker,
        )

    def _tidy(self) -> None:
        """Delete batches whose time is over, and tables without a batch."""
        now = time.time()
        until = now - self._settings.service.retention.total_seconds()
        for row in self._state.rows("select id from jobs where finished_at < ?", until):
            self._database.drop_batch(row["id"])
            self._state.rows("delete from jobs where id = ?", row["id"])
        self._state.rows("delete from repeated_requests where created_at < ?", now - _REPEATED_SECONDS)


class _Watcher:
    """Writes down how a run goes, and stops it where it is to stop."""

    def __init__(self, state: State, row: sqlite3.Row, worker: str, stopping: threading.Event) -> None:
        self._state, self._row, self._worker, self._stopping = state, row, worker, stopping
        self._before = 0
        self._done: int | None = None
        self._said = 0.0

    def planned(self, _: str, plan: Plan) -> None:
        """See `mailvet.runs.results.Watcher`."""
        due = plan.due if self._row["due"] is None else int(self._row["due"])
        self._before = max(0, due - plan.due)
        self._state.rows("update jobs set due = ?, done = ? where id = ?", due, self._before, self._row["id"])

    def progressed(self, progress: Progress) -> None:
        """See `mailvet.runs.results.Watcher`."""
        self._done = self._before + progress.done

    def write(self) -> None:
        """Write down how many are done."""
        self._state.rows("update jobs set done = coalesce(?, done) where id = ?", self._done, self._row["id"])

    def poll(self) -> None:
        """Say that the job is alive; called by the thread that waits for the run."""
        if self._stopping.is_set():
            raise _StoppedError
        if time.monotonic() < self._said + _LOOK_SECONDS:
            return
        self._said = time.monotonic()
        row = self._state.row(
            "update jobs set alive_at = ?, done = coalesce(?, done) where id = ? and worker = ? returning state",
            time.time(),
            self._done,
            self._row["id"],
            self._worker,
        )
        if row is None or row[0] == "cancelling":
            raise _CancelledError


def _result(found: dict[str, Any], policy: AnyPolicy) -> dict[str, Any]:
    result: dict[str, Any] = dict.fromkeys(RESULT_COLUMNS)
    result["position"], result["address"] = found["position"], found["email"]
    if found["email"] is not None and is_missing(found["email"]):
        found["reason"], found["score"], found["attempts"] = str(Reason.missing), 0, 1
    if found["reason"] is None:
        return result
    reason = Reason.stored(found["reason"])
    at = None if found["checked_at"] is None else _utc(found["checked_at"])
    said = recommend(
        reason,
        policy,
        found["score"],
        found["attempts"],
        probability=found["bounce_probability"],
        age=timedelta(0) if at is None else datetime.now(timezone.utc) - at,
    )
    return result | {
        "status": str(REASONS[reason].status),
        "reason": str(reason),
        "recommendation": str(said),
        "score": found["score"],
        "suggestion": found["suggestion"],
        "flags": found["flags"],
        "checked_at": None if at is None else at.isoformat(),
    }


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)


def told(row: sqlite3.Row, retention: float) -> dict[str, Any]:
    """A job as the API tells it."""

    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)

    finished = row["finished_at"]
    return {
        **{name: row[name] for name in ("id", "depth", "policy", "rows", "due", "done", "error")},
        "state": "running" if row["state"] == "cancelling" else row["state"],
        "created_at": at(row["created_at"]),
        "started_at": at(row["started_at"]),
        "finished_at": at(finished),
        "expires_at": at(None if finished is None else finished + retention),
        "by_status": None if row["summary"] is None else json.loads(row["summary"]),
        "webhook": row["webhook_state"],
    }


def as_csv_cells(result: dict[str, Any]) -> list[Any]:
    """A result as the cells of a CSV row, none of which a spreadsheet takes for a formula."""
    return [escape_formula(value) if isinstance(value, str) else value for value in result.values()]

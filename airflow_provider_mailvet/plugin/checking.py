"""The box that checks one address: verified inside the API server, with a time limit, and forgotten at once.

The address comes in the body of a request and goes into no log, address line, metadata database or reply; only its
first character and its domain are shown again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_mailvet.plugin.summaries import masked
from mailvet.sdk import REASONS, mask_address

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from mailvet import Settings, Verdict

__all__ = ["CheckOptions", "CheckResult", "Fact", "RateLimiter", "check", "connection_ids", "hook_installed", "shown"]

log = logging.getLogger(__name__)

CONNECTION_TYPE = "mailvet"
LONGEST_ADDRESS = 400
"""Characters; an address has at most 254 octets, and what is a little longer deserves a verdict too."""
SECONDS = {"offline": 10.0, "dns": 20.0, "smtp": 60.0}
"""Time limit by depth."""

_RECOMMENDED = {
    "send": "Send",
    "reverify": "Ask again later, do not send yet",
    "do_not_send": "Do not send",
}


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """CheckOptions deep to go, and with which mailvet connection when mail servers are asked."""

    depth: str
    conn_id: str | None = None

    @classmethod
    def of(cls, choice: str) -> CheckOptions | None:
        """Read the form's choice: "offline", "dns", or "smtp:" and a connection; None for anything else."""
        depth, _, conn_id = choice.partition(":")
        if depth in ("offline", "dns") and not conn_id:
            return cls(depth)
        if depth == "smtp" and conn_id:
            return cls(depth, conn_id)
        return None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was found out."""

    layer: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A verdict as it is shown: without the address."""

    address: str
    """Masked."""
    status: str
    reason: str
    meaning: str
    recommendation: str
    advice: str
    score: int
    suggestion: str | None
    """The domain that was probably meant."""
    flags: Sequence[str]
    facts: Sequence[Fact]
    depth: str
    seconds: float


class RateLimiter:
    """CheckOptions often one user may check: a bucket of `burst` checks that fills at `per_minute`.

    One for each process.
    """

    def __init__(self, burst: int = 10, per_minute: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate, self._clock = float(burst), per_minute / 60.0, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, user: str) -> bool:
        """Take one check out of the user's bucket, if there is one in it."""
        now = self._clock()
        left, at = self._left.pop(user, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        self._left[user] = (left - 1 if allowed else left, now)
        while len(self._left) > 10_000:
            self._left.popitem(last=False)
        return allowed


def hook_installed() -> bool:
    """Whether the hook that reads mailvet connections can be imported."""
    try:
        from airflow_provider_mailvet.hooks.mailvet import MailvetHook  # noqa: F401
    except ImportError:
        return False
    return True


def connection_ids(session: Session) -> list[str]:
    """The mailvet connections in the metadata database and in the API server's environment (`AIRFLOW_CONN_*`)."""
    from airflow.models.connection import Connection
    from sqlalchemy import select

    stored = session.scalars(select(Connection.conn_id).where(Connection.conn_type == CONNECTION_TYPE).limit(100))
    found = {conn_id for conn_id in stored if conn_id}
    for name, value in os.environ.items():
        if name.startswith("AIRFLOW_CONN_") and _is_mailvet(value):
            found.add(name.removeprefix("AIRFLOW_CONN_").lower())
    return sorted(found)


def _is_mailvet(value: str) -> bool:
    if value.startswith("{"):
        try:
            described = json.loads(value)
        except ValueError:
            return False
        return isinstance(described, dict) and described.get("conn_type") == CONNECTION_TYPE
    return value.partition(":")[0] == CONNECTION_TYPE


async def check(address: str, options: CheckOptions) -> CheckResult | str:
    """Verify one address; the result, or a sentence that says why there is none.

    Args:
        address: the text to be judged, at most `LONGEST_ADDRESS` characters.
        options: the depth and, for `smtp`, a connection that the caller may use.
    """
    began = time.monotonic()
    limit = SECONDS[options.depth]
    try:
        verdict = await asyncio.wait_for(_verdict(address, options), limit)
    except asyncio.TimeoutError:
        return (
            f"There was no verdict within {limit:.0f} seconds, so nothing is known about the address. Try again, or "
            "choose a smaller depth."
        )
    except Exception as error:
        return _refusal(error, address)
    return shown(verdict, address, time.monotonic() - began)


async def _verdict(address: str, options: CheckOptions) -> Verdict:
    # Settings read files, the hook reads the metadata database, and the first import takes its time.
    settings = await asyncio.to_thread(_settings, options)
    from mailvet import averify

    return await averify(address, depth=options.depth, settings=settings)


def _settings(options: CheckOptions) -> Settings:
    from mailvet import Settings, averify  # noqa: F401  (its first import takes long, and this runs in a thread)

    if options.conn_id is None:
        return Settings.load(depth=options.depth)
    from airflow_provider_mailvet.hooks.mailvet import MailvetHook

    settings: Settings = MailvetHook(mailvet_conn_id=options.conn_id).settings()
    return settings


def _refusal(error: Exception, address: str) -> str:
    from mailvet import MailvetError

    # An exception's text may quote the address, so only its kind and where it arose are logged.
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in reversed(frames))
    log.warning("One address could not be checked: %s in %s", type(error).__name__, where)
    told = masked(str(error).replace(address, mask_address(address)) if address else str(error))
    if isinstance(error, MailvetError):
        return told
    if type(error).__name__ == "AirflowNotFoundException":
        return "The mailvet connection does not exist any more. Reload the page and choose another."
    return f"The check failed ({type(error).__name__}). The log of the API server says where."


def shown(verdict: Verdict, address: str, seconds: float) -> CheckResult:
    """The verdict without the address: it may stand in evidence and suggestion too."""
    rule = REASONS[verdict.reason]
    facts = []
    for fact in verdict.evidence:
        text = fact.fact.replace("_", " ")
        if fact.detail:
            text += f": {_without(fact.detail, address)}"
        facts.append(Fact(fact.layer, text))
    server = " · ".join(filter(None, (verdict.mx_host, verdict.operator)))
    if server:
        facts.append(Fact("mail server", server))
    if verdict.smtp_code:
        facts.append(Fact("server said", f"{verdict.smtp_code} {_without(verdict.smtp_reply or '', address)}".strip()))
    return CheckResult(
        address=mask_address(address)[:120] if address.strip() else "(empty)",
        status=str(verdict.status),
        reason=str(verdict.reason),
        meaning=rule.meaning,
        recommendation=str(verdict.recommendation),
        advice=_RECOMMENDED[str(verdict.recommendation)],
        score=verdict.score,
        suggestion=verdict.suggestion.rpartition("@")[2] if verdict.suggestion else None,
        flags=[flag.replace("_", " ") for flag in verdict.flags],
        facts=facts,
        depth=str(verdict.depth),
        seconds=seconds,
    )


def _without(text: str, address: str) -> str:
    for whole in {address, address.strip()} - {""}:
        text = text.replace(whole, mask_address(whole))
    return masked(text)

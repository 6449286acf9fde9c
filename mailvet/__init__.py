"""
mailvet: verify every e-mail address where the data already lives.

Importing it is cheap; what needs Polars, DNS or SMTP is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailvet import doctor, spark
    from mailvet.errors import LockedError, MailvetError, PreflightError, SettingsError, SourceError
    from mailvet.reference.typos import suggest
    from mailvet.runs.planning import plan
    from mailvet.runs.run import run
    from mailvet.runs.table_gate import gate
    from mailvet.settings import Settings
    from mailvet.smtp.reply_reading import classify_reply
    from mailvet.verdict import Evidence, Verdict, email_key
    from mailvet.verification.api import averify, verify, verify_many
    from mailvet.vocabulary import Depth, Policy, Reason, Recommendation, Status
    from mailvet.warehouse.opening import open_table

    __version__: str

__all__ = [
    "Depth",
    "Evidence",
    "LockedError",
    "MailvetError",
    "Policy",
    "PreflightError",
    "Reason",
    "Recommendation",
    "Settings",
    "SettingsError",
    "SourceError",
    "Status",
    "Verdict",
    "__version__",
    "averify",
    "classify_reply",
    "doctor",
    "email_key",
    "gate",
    "open_table",
    "plan",
    "run",
    "spark",
    "suggest",
    "verify",
    "verify_many",
]

_HOMES = {
    **dict.fromkeys(("LockedError", "MailvetError", "PreflightError", "SettingsError", "SourceError"), "errors"),
    **dict.fromkeys(("Depth", "Policy", "Reason", "Recommendation", "Status"), "vocabulary"),
    **dict.fromkeys(("Evidence", "Verdict", "email_key"), "verdict"),
    **dict.fromkeys(("averify", "verify", "verify_many"), "verification.api"),
    "Settings": "settings",
    "classify_reply": "smtp.reply_reading",
    "gate": "runs.table_gate",
    "open_table": "warehouse.opening",
    "plan": "runs.planning",
    "run": "runs.run",
    "suggest": "reference.typos",
}

_ROOMS = ("doctor", "spark")
"""Modules that are used by their own name: `mailvet.spark.verify(...)`."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mailvet")
    if name in _ROOMS:
        return import_module(f"mailvet.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mailvet' has no attribute {name!r}")
    value = getattr(import_module(f"mailvet.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

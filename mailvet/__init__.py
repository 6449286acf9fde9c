"""mailvet: verify every e-mail address where the data already lives.

Importing it is cheap; what needs Polars, DNS or SMTP is loaded when it is first used. What only integrations need is in
`mailvet.sdk`.
"""

from __future__ import annotations

from mailvet.lazy import lazy_names

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of this
if TYPE_CHECKING:
    from mailvet import dbt, doctor, errors, lab, sdk, spark
    from mailvet.errors import (
        ConnectionLostError,
        LockedError,
        MailvetError,
        NetworkError,
        PreflightError,
        RunUnderWayError,
        SettingsError,
        SourceError,
        UnavailableError,
    )
    from mailvet.exports.export import ExportResult, export
    from mailvet.gates import GateResult
    from mailvet.reference.typos.addresses import suggest
    from mailvet.runs.planning import plan
    from mailvet.runs.results import Progress, RunResult
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
    "ConnectionLostError",
    "Depth",
    "Evidence",
    "ExportResult",
    "GateResult",
    "LockedError",
    "MailvetError",
    "NetworkError",
    "Policy",
    "PreflightError",
    "Progress",
    "Reason",
    "Recommendation",
    "RunResult",
    "RunUnderWayError",
    "Settings",
    "SettingsError",
    "SourceError",
    "Status",
    "UnavailableError",
    "Verdict",
    "__version__",
    "averify",
    "classify_reply",
    "dbt",
    "doctor",
    "email_key",
    "errors",
    "export",
    "gate",
    "lab",
    "open_table",
    "plan",
    "run",
    "sdk",
    "spark",
    "suggest",
    "verify",
    "verify_many",
]

_HOMES = {
    "mailvet.errors": [
        "ConnectionLostError",
        "LockedError",
        "MailvetError",
        "NetworkError",
        "PreflightError",
        "RunUnderWayError",
        "SettingsError",
        "SourceError",
        "UnavailableError",
    ],
    "mailvet.exports.export": ["ExportResult", "export"],
    "mailvet.gates": ["GateResult"],
    "mailvet.reference.typos.addresses": ["suggest"],
    "mailvet.runs.planning": ["plan"],
    "mailvet.runs.results": ["Progress", "RunResult"],
    "mailvet.runs.run": ["run"],
    "mailvet.runs.table_gate": ["gate"],
    "mailvet.settings": ["Settings"],
    "mailvet.smtp.reply_reading": ["classify_reply"],
    "mailvet.verdict": ["Evidence", "Verdict", "email_key"],
    "mailvet.verification.api": ["averify", "verify", "verify_many"],
    "mailvet.vocabulary": ["Depth", "Policy", "Reason", "Recommendation", "Status"],
    "mailvet.warehouse.opening": ["open_table"],
}

_SUBMODULES = ("dbt", "doctor", "errors", "lab", "sdk", "spark")
"""Used by their own name: `mailvet.spark.verify(...)`."""

if not TYPE_CHECKING:  # to a type checker the names above are all there are
    _load, __dir__ = lazy_names(__name__, _HOMES, _SUBMODULES)

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("mailvet")
        return _load(name)

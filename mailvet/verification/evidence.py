"""The evidence of a batch: one row for each cell, and the columns below, declared here once.

The layers that need no network make every column (`columns.offline_evidence`); those of route and mailbox are null
until the layer was asked. `mailvet.scoring.columns.judge` makes the verdicts of them.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

__all__ = ["EVIDENCE", "MAILBOX", "ROUTE", "RUN", "without_layer"]

_Schema = dict[str, Any]

_CELL: Final[_Schema] = {
    "cell": pl.String,
    "email_key": pl.String,
    "mailbox_key": pl.String,
    "local": pl.String,
    "domain": pl.String,
    "previous_reason": pl.String,
    "previous_attempts": pl.Int32,
}
_SYNTAX: Final[_Schema] = {
    "syntax_reason": pl.String,
    "syntax_detail": pl.String,
    "suggestion": pl.String,
    "eai": pl.Boolean,
    "odd_dots": pl.Boolean,
    "unknown_tld": pl.Boolean,
}
_REFERENCE: Final[_Schema] = {
    "reference_reason": pl.String,
    "reference_detail": pl.String,
    "typo_of": pl.String,
    "free": pl.Boolean,
    "role": pl.Boolean,
    "maybe_role": pl.Boolean,
    "disposable": pl.Boolean,
    "own_trap": pl.Boolean,
    "relay_alias": pl.Boolean,
    "tagged": pl.Boolean,
    "no_reply": pl.Boolean,
    "local_part_unlikely": pl.Boolean,
    "allowed": pl.Boolean,
}
_HISTORY: Final[_Schema] = {"history_reason": pl.String, "history_detail": pl.String}
_SIGNALS: Final[_Schema] = {
    "gibberish": pl.Boolean,
    "keyboard_walk": pl.Boolean,
    "series": pl.Boolean,
    "series_size": pl.Int32,
    "burst": pl.Boolean,
    "duplicate_of": pl.Boolean,
    "duplicate_key": pl.String,
}
ROUTE: Final[_Schema] = {
    "route_reason": pl.String,
    "route_fact": pl.String,
    "route_detail": pl.String,
    "operator": pl.String,
    "mx_host": pl.String,
}
"""What the route layer found out."""
MAILBOX: Final[_Schema] = {
    "mailbox_reason": pl.String,
    "mailbox_detail": pl.String,
    "smtp_code": pl.Int32,
    "smtp_reply": pl.String,
    "replying_host": pl.String,
    "retry_after": pl.Float64,
    "accept_all": pl.Boolean,
    "accept_all_unknown": pl.Boolean,
    "gateway": pl.Boolean,
    "probed": pl.Boolean,
    "accepted": pl.Boolean,
}
"""What the mailbox layer found out."""
RUN: Final[_Schema] = {"run_fact": pl.String, "stopped": pl.String}
"""Why a layer was not asked."""

EVIDENCE: Final[_Schema] = {
    **_CELL,
    **_SYNTAX,
    **_REFERENCE,
    **_HISTORY,
    **_SIGNALS,
    **ROUTE,
    **MAILBOX,
    **RUN,
}
"""Every column and its type, in order."""


def without_layer(schema: _Schema) -> list[pl.Expr]:
    """Null columns in place of those of a layer that was not asked."""
    return [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items()]

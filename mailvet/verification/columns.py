"""The layers over a batch: each takes the evidence so far and gives columns of `mailvet.verification.evidence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mailvet.dns.routes import Route
from mailvet.history import columns as history
from mailvet.privacy import mask_address
from mailvet.probing.domain import MailboxResult
from mailvet.reference import suggesting
from mailvet.reference.columns import Reference
from mailvet.reference.disposable_servers import disposable_server
from mailvet.reference.providers import operator_of
from mailvet.settings import Settings
from mailvet.signals import columns as signals
from mailvet.syntax import columns as syntax
from mailvet.syntax.mailbox_key import key_of
from mailvet.syntax.missing import missing_expression
from mailvet.verdict import email_keys
from mailvet.verification import scalar
from mailvet.verification.evidence import EVIDENCE, MAILBOX, ROUTE, RUN, without_layer
from mailvet.vocabulary import Reason

__all__ = ["keys_of", "mailbox_columns", "not_probed", "offline_evidence", "with_disposable_servers", "with_routes"]


def keys_of(cells: pl.Series) -> pl.Series:
    """`email_key` of each cell."""
    return pl.Series("email_key", email_keys(cells.to_list()), dtype=pl.String)


# -------------------------------------------------------------------- the layers that need no network


def offline_evidence(batch: pl.DataFrame, reference: Reference, settings: Settings) -> pl.DataFrame:
    """What syntax, reference data, history and the signals of the whole table say about a batch.

    Args:
        batch: as `Stream` reads it: `email`, and where known the columns of the other layers.
        reference: the reference data with the user's own lists.
        settings: which networks are private, and whether addresses may be stored.

    Returns:
        The columns of `EVIDENCE`, one row for each of the batch, in its order.
    """
    cells = batch["email"].fill_null("").rename("cell")
    special = bool(settings.smtp.allow_private_networks)
    keep_addresses = settings.store.store_addresses
    parsed = syntax.examine(cells, allow_special_use=special)
    listed = reference.evidence(parsed)
    past = history.examine(batch, keep_addresses=keep_addresses)
    keys = batch["email_key"] if "email_key" in batch.columns else keys_of(cells)
    alike = signals.examine_addresses(listed["base"], relay_alias=listed["relay_alias"])
    meant = suggesting.examine(parsed, listed["allowed"], listed["known"], allow_special_use=special)
    mailbox_keys = _mailbox_keys(listed["mailbox"], cells, keys)
    listed = listed.drop("base", "known", "mailbox")
    frame = pl.concat([cells.to_frame(), parsed, listed, alike, meant, past], how="horizontal")
    frame = frame.with_columns(keys, mailbox_keys, *_brought(batch))
    if not keep_addresses:
        frame = frame.with_columns(_masked(frame["suppressed_as"]))
    frame = frame.with_columns(
        *_syntax_columns(),
        *_reference_columns(),
        *_history_columns(),
        *_signal_columns(),
        *without_layer(ROUTE | MAILBOX | RUN),
    )
    return frame.select(*EVIDENCE)


def _brought(batch: pl.DataFrame) -> list[pl.Series | pl.Expr]:
    """What the batch says of earlier verdicts and of the whole table; nothing where it does not."""
    nothing = pl.lit(None, dtype=pl.String)
    return [
        _column(batch, "previous_reason", nothing),
        _column(batch, "previous_attempts", pl.lit(0, dtype=pl.Int32)).cast(pl.Int32),
        _column(batch, "series_size", pl.lit(0, dtype=pl.Int32)).cast(pl.Int32),
        _column(batch, "burst", pl.lit(False)),
        _column(batch, "duplicate_of", nothing).alias("duplicate_key"),
    ]


def _column(batch: pl.DataFrame, name: str, otherwise: pl.Expr) -> pl.Series | pl.Expr:
    return batch[name] if name in batch.columns else otherwise.alias(name)


def _is_valid() -> pl.Expr:
    return pl.col("syntax_error").is_null()


def _syntax_columns() -> list[pl.Expr]:
    missing = missing_expression(pl.col("cell"))
    return [
        pl.when(missing)
        .then(pl.lit(str(Reason.missing)))
        .when(~_is_valid())
        .then(pl.lit(str(Reason.syntax_invalid)))
        .alias("syntax_reason"),
        pl.when(~missing)
        .then(pl.coalesce("syntax_error", pl.when("trimmed").then(pl.lit("white space trimmed"))))
        .alias("syntax_detail"),
        pl.when(~missing).then("suggestion").alias("suggestion"),
        pl.col("needs_smtputf8").alias("eai"),
    ]


def _reference_columns() -> list[pl.Expr]:
    is_typo = pl.col("typo_of").is_not_null()
    return [
        pl.when(~_is_valid())
        .then(None)
        .when("own_trap")
        .then(pl.lit(str(Reason.suspected_trap)))
        .when("disposable")
        .then(pl.lit(str(Reason.disposable)))
        .when(is_typo)
        .then(pl.lit(str(Reason.typo_domain)))
        .when("odd_dots")
        .then(pl.lit(str(Reason.provider_unverifiable)))
        .when("no_reply")
        .then(pl.lit(str(Reason.no_reply)))
        .when("role")
        .then(pl.lit(str(Reason.role_account)))
        .alias("reference_reason"),
        pl.when(~_is_valid())
        .then(None)
        .when("own_trap")
        .then(pl.lit(scalar.OWN_TRAP))
        .when(pl.col("odd_dots") & ~pl.col("disposable") & ~is_typo)
        .then(pl.lit(scalar.ODD_DOTS))
        .otherwise("typo_of")
        .alias("reference_detail"),
    ]


def _history_columns() -> list[pl.Expr]:
    suppressed = pl.col("suppressed") & _is_valid()
    spelling = pl.col("suppressed_as")
    on_own_list = pl.concat_str(
        pl.lit(scalar.on_own_list(None)),
        pl.when(spelling.is_not_null()).then(pl.lit(" as ") + spelling),
        ignore_nulls=True,
    )
    return [
        pl.when(suppressed).then(pl.lit(str(Reason.suppressed))).otherwise("history_reason").alias("history_reason"),
        pl.when(suppressed).then(on_own_list).otherwise("history_detail").alias("history_detail"),
    ]


def _signal_columns() -> list[pl.Expr]:
    return [
        ((pl.col("series_size") > 0) & _is_valid()).alias("series"),
        (pl.col("burst") & _is_valid()).alias("burst"),
        (pl.col("duplicate_key").is_not_null() & _is_valid()).alias("duplicate_of"),
    ]


def _mailbox_keys(mailboxes: pl.Series, cells: pl.Series, keys: pl.Series) -> pl.Series:
    """`mailbox_key` of each row. Most cells are written as their mailbox is, so that its key is theirs."""
    others = ((mailboxes != cells) & mailboxes.is_not_null()).arg_true()
    same = pl.select(pl.when(mailboxes.is_not_null()).then(keys)).to_series()
    made = pl.Series([key_of(mailbox) for mailbox in mailboxes.gather(others)], dtype=pl.String)
    return same.scatter(others, made).alias("mailbox_key")


def _masked(texts: pl.Series) -> pl.Series:
    """Addresses of which only the first character and the domain are shown."""
    rows = texts.is_not_null().arg_true()
    masked = pl.Series([mask_address(text) for text in texts.gather(rows)], dtype=pl.String)
    return texts.clone().scatter(rows, masked)


# -------------------------------------------------------------------- the route layer


def with_routes(evidence: pl.DataFrame, routes: Mapping[str, Route]) -> pl.DataFrame:
    """The evidence with the route of each row's domain; nulls where none was looked up.

    A domain that only the servers of disposable domains take mail for counts as disposable too.

    Args:
        evidence: the columns of `EVIDENCE`.
        routes: by domain.
    """
    if not routes:
        return evidence.with_columns(without_layer(ROUTE))
    table = pl.DataFrame(
        {
            "domain": list(routes),
            "route_reason": [str(route.reason) if route.reason else None for route in routes.values()],
            "route_fact": [str(route.reason) if route.reason else "route_found" for route in routes.values()],
            "route_detail": [route.detail or route.mx_host for route in routes.values()],
            "operator": [route.operator for route in routes.values()],
            "mx_host": [route.mx_host for route in routes.values()],
        },
        schema={"domain": pl.String, **ROUTE},
    )
    routed = evidence.drop(*ROUTE).join(table, on="domain", how="left", maintain_order="left")
    return with_disposable_servers(routed.select(*EVIDENCE), routes)


def with_disposable_servers(evidence: pl.DataFrame, routes: Mapping[str, Route]) -> pl.DataFrame:
    """The evidence with domains marked as disposable that only the servers of disposable ones take mail for.

    A misspelt provider stays one, as in the lists: the suggestion says what was meant, whichever server takes its mail
    today.
    """
    served = {domain: server for domain, route in routes.items() if (server := disposable_server(route)) is not None}
    if not served:
        return evidence
    served_by = pl.col("domain").replace_strict(served, default=None, return_dtype=pl.String)
    own = pl.any_horizontal("allowed", "disposable", "relay_alias") | pl.col("typo_of").is_not_null()
    found = served_by.is_not_null() & ~own
    return evidence.with_columns(
        pl.when(found).then(pl.lit(str(Reason.disposable))).otherwise("reference_reason").alias("reference_reason"),
        pl.when(found)
        .then(pl.concat_str(pl.lit(scalar.SERVED_BY), served_by))
        .otherwise("reference_detail")
        .alias("reference_detail"),
        (pl.col("disposable") | found).alias("disposable"),
    )


def not_probed(evidence: pl.DataFrame, rows: pl.Series, why: str) -> pl.DataFrame:
    """The evidence, and of some rows that a layer could not be asked.

    Args:
        evidence: the columns of `EVIDENCE`.
        rows: Boolean, one for each row of the evidence.
        why: for people.
    """
    return evidence.with_columns(
        pl.when(rows).then(pl.lit(why)).alias("stopped"),
        pl.when(rows).then(pl.lit(str(Reason.not_probed))).alias("run_fact"),
        pl.when(rows).then(scalar.RETRY_AFTER_NOT_PROBED).alias("retry_after"),
    )


# -------------------------------------------------------------------- the mailbox layer


def mailbox_columns(results: Sequence[MailboxResult]) -> list[pl.Series]:
    """The columns of `MAILBOX`, one row for each result."""
    # Thousands of recipients share a few results, so the columns are made of those, and each row takes its own.
    shared = {id(result): result for result in results}
    place = {key: number for number, key in enumerate(shared)}
    rows = pl.Series([place[id(result)] for result in results], dtype=pl.UInt32)
    columns = _columns_of(list(shared.values()))
    return [pl.Series(name, columns[name], dtype=kind)[rows] for name, kind in MAILBOX.items()]


def _columns_of(results: Sequence[MailboxResult]) -> dict[str, list[Any]]:
    probed = [result.code is not None for result in results]
    return {
        "mailbox_reason": [str(result.reason) for result in results],
        "mailbox_detail": [result.detail or result.reply for result in results],
        "smtp_code": [result.code for result in results],
        "smtp_reply": [result.reply for result in results],
        "replying_host": [result.mx_host for result in results],
        "retry_after": [result.retry_after for result in results],
        "accept_all": [result.accept_all is True for result in results],
        "accept_all_unknown": [
            known and result.accept_all is None for known, result in zip(probed, results, strict=True)
        ],
        "gateway": [_is_gateway(result.mx_host) for result in results],
        "probed": probed,
        "accepted": [result.reason is Reason.mailbox_accepted for result in results],
    }


def _is_gateway(mx_host: str | None) -> bool:
    return mx_host is not None and operator_of(mx_host).answers == "gateway"

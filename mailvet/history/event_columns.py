"""What happened, as columns: what the fields of a vendor's records mean, and the rows that are kept of it.

The meaning of a word is asked once for each distinct word and class (`mailvet.history.records.meaning`), times are read
by Polars where they are in a usual form, keys are made once for each distinct address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import polars as pl

from mailvet.history.fields import RULE, rule_paths
from mailvet.history.records import AHEAD, EARLIEST, REPEATED, Event, Unusable, meaning, time_of
from mailvet.history.vocabulary import EventWord
from mailvet.privacy import AT_SIGNS, mask_text
from mailvet.syntax.columns import examine
from mailvet.syntax.mailbox_key import mailbox_expression

if TYPE_CHECKING:
    from mailvet.history.vocabulary import Vendor

__all__ = ["EVENT_COLUMNS", "Tally", "event_rows", "events_of_fields", "frame_of"]

EVENT_COLUMNS = {
    "email": pl.String,
    "event": pl.String,
    "at": pl.Int64,
    "vendor": pl.String,
    "id": pl.String,
    "message_id": pl.String,
    "bounce_class": pl.String,
    "machine": pl.Int16,
    "topic": pl.String,
    "reply": pl.String,
    "echo": pl.Int16,
}
"""What is known of an event, before it is masked; `at` in microseconds since 1970."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
_LONGEST_REPLY = 500
_LONGEST_TEXT = 300
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|\+00:00)?$"
_SECONDS = r"^[0-9]{1,14}$"
_MILLISECONDS = 100_000_000_000
_PERHAPS_PERSONAL = (
    rf"(?i)[{''.join(AT_SIGNS)}]|%40|&#|&commat|\bat\b|\+[0-9]|(?:^|[^\w.,:+/-])\(?(?:0[0-9]|[0-9]{{3}}\)?[-. ][0-9])"
)
"""Whatever `mask_text` would change matches; much that it leaves as it is does too."""
_HOLDS_SIGN = rf"[{''.join(AT_SIGNS)}]|%40"


@dataclass
class Tally:
    """What was counted on the way."""

    events: Counter[str] = field(default_factory=Counter)
    echoes: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    class_missing: Counter[str] = field(default_factory=Counter)

    def add_unusable(self, found: Unusable, count: int = 1) -> None:
        """Count records that gave no event."""
        self.unusable[found.why] += count
        if found.why == "unknown_word":
            self.unknown[found.word] += count
        elif found.why == "class_missing":
            self.class_missing[found.word] += count


def events_of_fields(fields: pl.DataFrame, vendor: Vendor, now: datetime) -> tuple[pl.DataFrame, Tally]:
    """The events of records, each of one recipient: columns `EVENT_COLUMNS`.

    Args:
        fields: columns as of `mailvet.history.fields.FIELDS`.
        vendor: whose they are.
        now: aware, UTC.
    """
    fields = _with_meanings(fields, vendor)
    latest = (now + AHEAD - _EPOCH) // _MICROSECOND
    at = microseconds(fields["time"])
    address = fields["address"].str.strip_chars().fill_null("")
    problem = (
        pl.when(pl.col("why").is_not_null())
        .then(pl.col("why"))
        .when(pl.col("at").is_null())
        .then(pl.lit("no_time"))
        .when(pl.col("at") > latest)
        .then(pl.lit("future"))
        .when(pl.col("address") == "")
        .then(pl.lit("no_address"))
    )
    told = fields.with_columns(at, address.alias("address")).with_columns(problem=problem)
    tally = Tally()
    refused = told.filter(pl.col("problem").is_not_null())
    for (why, word), count in _counted(refused, "problem", "event").items():
        tally.add_unusable(Unusable(why, word or ""), count)
    events = told.filter(pl.col("problem").is_null())
    for (event,), count in _counted(events, "meaning").items():
        tally.events[event] += count
    tally.echoes = int(events["echo"].sum())
    topic = pl.col("topic") if not vendor.topic_words else pl.when("has_topic").then(pl.col("topic"))
    said = pl.col("machine").str.strip_chars().str.to_lowercase().is_in(["true", "1", "yes", "t", "1.0"])
    machine = (
        pl.when(~pl.col("meaning").is_in([str(EventWord.open), str(EventWord.click)]))
        .then(None)
        .when(pl.col("by_machine"))
        .then(1)
        .when(pl.col("machine").is_not_null())
        .then(said)
        .otherwise(0 if vendor.machine_known else None)
    )
    return events.select(
        email="address",
        event="meaning",
        at="at",
        vendor=pl.lit(vendor.name),
        id=_some("id"),
        message_id=_some("message"),
        bounce_class=pl.when("repeated").then(pl.lit(REPEATED)).otherwise(_some("bounce_class")),
        machine=machine.cast(pl.Int16),
        topic=pl.when(topic != "").then(topic),
        reply=_some("reply"),
        echo=pl.col("echo").cast(pl.Int16),
    ), tally


def _some(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name))


def _counted(frame: pl.DataFrame, *names: str) -> Mapping[tuple[str, ...], int]:
    return {tuple(row[:-1]): row[-1] for row in frame.group_by(*names).len().rows()}


def _with_meanings(fields: pl.DataFrame, vendor: Vendor) -> pl.DataFrame:
    """The fields, without those of the rules, and what they mean: `meaning` or `why` not, and what else is known."""
    words = fields["event"].unique().to_list()
    paths = rule_paths(vendor.name)
    asked = fields.select(
        "event",
        *(
            pl.when(pl.col("event").is_in([word for word in words if word and word.lower() in users]))
            .then(pl.col(f"{RULE}{path}"))
            .alias(f"{RULE}{path}")
            for path, users in paths.items()
        ),
    )
    rows = []
    for word, *values in asked.unique().rows():
        record = {path: value for path, value in zip(paths, values, strict=True) if value is not None}
        found = meaning(record, vendor, (word or "").lower()) if word else Unusable("no_word")
        folded = (word or "").lower()
        flags = (folded in vendor.machine_events, folded in vendor.topic_words)
        if isinstance(found, Unusable):
            rows.append((word, *values, None, found.why, False, False, *flags))
        else:
            event, rule = found
            rows.append(
                (
                    word,
                    *values,
                    str(event),
                    None,
                    rule is not None and rule.echo,
                    rule is not None and rule.repeated,
                    *flags,
                )
            )
    flags_schema = dict.fromkeys(("echo", "repeated", "by_machine", "has_topic"), pl.Boolean)
    told = pl.DataFrame(
        rows, schema={**asked.schema, "meaning": pl.String, "why": pl.String, **flags_schema}, orient="row"
    )
    kept = fields.drop(name for name in fields.columns if name.startswith(RULE))
    joined = asked.join(told, on=asked.columns, how="left", nulls_equal=True, maintain_order="left")
    return pl.concat([kept, joined.select("meaning", "why", *flags_schema)], how="horizontal")


def microseconds(texts: pl.Series) -> pl.Series:
    """`mailvet.history.records.time_of` of a column, in microseconds since 1970: `at` (Int64), or null."""
    text, number = pl.col("text"), pl.col("number")
    frame = texts.alias("text").to_frame().with_columns(text.str.strip_chars())
    frame = frame.with_columns(
        number=pl.when(text.str.contains(_SECONDS)).then(text).cast(pl.Int64, strict=False),
        iso=pl.when(text.str.contains(_ISO)).then(text),
    )
    moment = pl.concat_str(pl.col("iso").str.slice(0, 10), pl.lit("T"), pl.col("iso").str.slice(11, 8)).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False
    )
    fraction = pl.col("iso").str.extract(r"\.([0-9]{1,6})").str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    at = pl.coalesce(
        pl.when(number >= _MILLISECONDS).then(number * 1000).otherwise(number * 1_000_000),
        moment.cast(pl.Int64) + fraction,
    )
    frame = frame.select("text", at=at)
    others = frame.filter(pl.col("at").is_null() & (text != ""))["text"].unique()
    if len(others):
        read = pl.DataFrame(
            {"text": others, "other": [_since_epoch(time_of(each)) for each in others]},
            schema={"text": pl.String, "other": pl.Int64},
        )
        frame = frame.join(read, on="text", how="left", maintain_order="left").select(at=pl.coalesce("at", "other"))
    earliest = (EARLIEST - _EPOCH) // _MICROSECOND
    return frame.select(at=pl.when(pl.col("at") >= earliest).then(pl.col("at"))).to_series()


def _since_epoch(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def frame_of(events: Sequence[Event]) -> pl.DataFrame:
    """Events that were read one by one: columns `EVENT_COLUMNS`."""
    return pl.DataFrame(
        [
            (
                _text(event.email),
                str(event.event),
                _since_epoch(event.occurred_at),
                _text(event.vendor),
                _text(event.event_id),
                _text(event.message_id),
                _text(event.bounce_class),
                None if event.machine is None else int(event.machine),
                _text(event.topic),
                _text(event.reply),
                int(event.echo),
            )
            for event in events
        ],
        schema=EVENT_COLUMNS,
        orient="row",
    )


def _text(text: str | None) -> str | None:
    """As UTF-8 can hold it: JSON may name half of a surrogate pair."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


# -------------------------------------------------------------------- rows


def event_rows(events: pl.DataFrame, computed: Callable[[pl.DataFrame, str], pl.DataFrame]) -> pl.DataFrame:
    """Events as they are kept: `event_id`, both keys, and texts without anyone's address.

    `event_id` is what makes it the same event: the vendor's id, which some reuse on other days and share among
    recipients; without one the recipient, message, event and time: two deferrals of one message are two. A message id
    that holds an at sign, as half of the vendors' do, is kept as the first 32 digits of its SHA-256, since the sign may
    be that of a person's address.

    Args:
        events: columns `EVENT_COLUMNS`.
        computed: `mailvet.history.fields.FieldReader.computed`, for SHA-256.
    """
    parsed = examine(events["email"], allow_special_use=True)
    mailboxes = parsed.select(mailbox=mailbox_expression(pl.col("local"), pl.col("domain"))).to_series()
    keyed = computed(
        pl.DataFrame({"email": events["email"], "mailbox": mailboxes}),
        "select email_key, case when mailbox = email then email_key when mailbox is not null then sha256(mailbox) end "
        "as mailbox_key from (select email, mailbox, sha256(email) as email_key from rows)",
    )
    frame = events.with_columns(*keyed.get_columns())
    what = (
        pl.when(pl.col("id").is_not_null())
        .then((pl.col("at") // _DAY).cast(pl.String))
        .otherwise(pl.concat_str(pl.col("message_id").fill_null(""), pl.lit("|"), pl.col("at").cast(pl.String)))
    )
    identity = pl.concat_str(
        "vendor",
        pl.col("id").fill_null(""),
        pl.coalesce("mailbox_key", "email_key"),
        "event",
        pl.col("echo").cast(pl.String),
        what,
        separator="|",
    )
    message = events["message_id"].str.slice(0, _LONGEST_TEXT)
    digested = computed(
        frame.select(identity.alias("identity"), message.alias("message")),
        f"select left(sha256(identity), 32) as event_id, case when regexp_matches(message, '{_HOLDS_SIGN}') "
        "then left(sha256(message), 32) else message end as message_id from rows",
    )
    return frame.select(
        "email_key",
        "mailbox_key",
        "event",
        "vendor",
        "machine",
        "echo",
        digested["event_id"],
        masked(digested["message_id"]),
        masked(frame["bounce_class"].str.slice(0, _LONGEST_TEXT)),
        masked(frame["topic"].str.slice(0, _LONGEST_TEXT)),
        masked(frame["reply"].str.slice(0, _LONGEST_REPLY)),
        occurred_at=pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )


def masked(texts: pl.Series) -> pl.Series:
    """`mask_text` of a column."""
    found = texts.filter(texts.str.contains(_PERHAPS_PERSONAL).fill_null(value=False)).unique()
    if not len(found):
        return texts
    return texts.replace(found, pl.Series([mask_text(text) for text in found], dtype=pl.String))

"""The fields of a vendor's records as columns: many records at once.

JSON texts are read by DuckDB, tables by their columns. What is not of the usual shape (several recipients, a list where
a text is expected, names with dots in them, envelopes in envelopes) is handed back, to be read one by one by
`mailvet.history.records`, which says what each record means. Both ways give the same events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from mailvet.history.records import OWN
from mailvet.history.vocabulary import Vendor, vendors

if TYPE_CHECKING:
    import duckdb

__all__ = ["FIELDS", "RULE", "Columns", "FieldReader", "rule_paths"]

FIELDS = ("event", "address", "time", "id", "message", "bounce_class", "reply", "topic", "machine")
"""Columns of `Columns.fields`, as the attributes of `Vendor` are called; texts, null where there is no value.

Behind them stands one for each of `rule_paths`, called by its path behind `RULE`.
"""

RULE = "when "

_ENVELOPE = frozenset({"Type", "MessageId", "Message"})
_POSTED = "mandrill_events"
_SNS_ID = "sns_message_id"
_OWN_COLUMNS = frozenset({"email", "event", "occurred_at"})
_FRACTION = r"^-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$"
"""A number as DuckDB writes it in its own way; longer ones are ids in hexadecimal digits."""
_WHOLE = r"^\d+$"


@dataclass(slots=True)
class Columns:
    """What was read of a portion of records."""

    records: int = 0
    fields: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Vendor -> its records."""
    others: dict[str, int] = field(default_factory=dict)
    """Records of another sender than the one that was named: whose -> number; "" where no one's signs are there."""
    odd: list[str] = field(default_factory=list)
    """JSON texts to be read one by one."""


@cache
def rule_paths(vendor: str) -> Mapping[str, frozenset[str]]:
    """The paths that the rules of a vendor look at, each with the words whose rules do, in lower case."""
    found: dict[str, set[str]] = {}
    for word, rules in vendors()[vendor].rules.items():
        for rule in rules:
            for path, _ in rule.when:
                found.setdefault(path, set()).add(word)
    return {path: frozenset(words) for path, words in found.items()}


class FieldReader:
    """Reads portions of records; holds a DuckDB database in memory.

    Args:
        sender: a vendor, `OWN`, or None: each record says by its fields whose it is.
    """

    def __init__(self, sender: str | None) -> None:
        self._sender = sender
        self._db: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Give the memory back."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def computed(self, frame: pl.DataFrame, query: str) -> pl.DataFrame:
        """The rows of `select ... from rows`, in the order of the frame."""
        if self._db is None:
            import duckdb

            self._db = duckdb.connect(":memory:", config={"threads": 1})
        self._db.register("rows", frame.to_arrow())
        try:
            return pl.DataFrame(pl.from_arrow(self._db.sql(query).to_arrow_table()))
        finally:
            self._db.unregister("rows")

    # ---------------------------------------------------------------- JSON

    def of_json(self, texts: pl.Series) -> Columns:
        """The records of JSON documents, each an object or a list of objects."""
        found = Columns()
        if self._sender == OWN:
            found.odd = texts.to_list()
            return found
        lines, odd = self._plain(texts.alias("line").to_frame())
        found.odd += odd
        if not lines.height:
            return found
        for vendor, rows in self._by_sender(lines, found):
            if vendor == OWN:
                found.odd += rows["line"].to_list()
                continue
            fields, odd = self._fields(rows, vendors()[vendor])
            found.odd += odd
            found.records += fields.height
            found.fields[vendor] = fields
        return found

    def _plain(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
        """Records that are objects, without their envelopes, and the texts that are something else.

        Columns: `line` (what was read), `record`, `sns` (the id of the envelope), `shape` and `own` (whether it has our
        own columns).
        """
        is_list = pl.col("line").str.starts_with("[")
        lists = (
            self._shaped(frame.filter(is_list)).drop_nulls("shape") if frame.select(is_list.any()).item() else frame[:0]
        )
        if lists.height:
            inner = self.computed(lists, "select unnest(json_extract(line, '$[*]'))::varchar as line from rows")
            frame = pl.concat([frame.join(lists, on="line", how="anti"), inner])
        shaped = self._shaped(frame)
        kinds = _kinds_of(shaped)
        if kinds.height and (kinds["kind"] == "plain").all() and not shaped["shape"].has_nulls():
            own = shaped["shape"].is_in(kinds.filter("own")["shape"].to_list())
            return shaped.with_columns(own.alias("own"), record="line", sns=pl.lit(None, pl.String)), []
        shaped = shaped.join(kinds, on="shape", how="left")
        plain = shaped.filter(pl.col("kind") == "plain").select(
            "line", "shape", "own", record="line", sns=pl.lit(None, pl.String)
        )
        odd = shaped.filter(pl.col("kind").is_null() | (pl.col("kind") == "odd"))["line"].to_list()
        wrapped = shaped.filter(pl.col("kind") == "envelope")
        if wrapped.height:
            opened = self.computed(
                wrapped.select("line"),
                "select line, record, sns, case when names is not null then hash(names) end as shape from (select *, "
                "try(json_keys(record)) as names from (select line, json_extract_string(line, '/Message') as record, "
                "json_extract_string(line, '/MessageId') as sns from rows))",
            )
            inner_kinds = _kinds_of(opened.select("shape", line="record"))
            opened = opened.join(inner_kinds, on="shape", how="left")
            is_plain = (pl.col("kind") == "plain").fill_null(value=False)
            plain = pl.concat([plain, opened.filter(is_plain).select(plain.columns)])
            odd += opened.filter(~is_plain)["line"].to_list()
        return plain, odd

    def _shaped(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With `shape`, the same for all objects of the same names; null for what is no JSON."""
        shape = self.computed(
            frame,
            "select case when names is not null then hash(names) end as shape from "
            "(select try(json_keys(line)) as names from rows)",
        )
        return frame.with_columns(shape["shape"])

    def _by_sender(self, lines: pl.DataFrame, found: Columns) -> list[tuple[str, pl.DataFrame]]:
        """The rows of each sender. Only the signs of those are looked for whose records these may be by their names."""
        keys = {key for (line,) in lines.unique("shape").select("record").rows() for key in json.loads(line)}
        candidates = {
            vendor.name: [path for signs in vendor.signs for path in signs]
            for vendor in vendors().values()
            if any(all(_top(path) in keys for path in signs) for signs in vendor.signs)
        }
        if self._sender is not None and candidates.keys() <= {self._sender} and not lines["own"].any():
            return [(self._sender, lines)]
        paths = sorted({path for paths in candidates.values() for path in paths})
        signs = self._signs_of(lines, paths) if paths else {}
        return self._sorted_out(lines, _by_signs(signs, lines["own"]), found)

    def _signs_of(self, lines: pl.DataFrame, paths: Sequence[str]) -> dict[str, pl.Series]:
        """Path -> whether a record has it."""
        pointers = ", ".join(_literal(_pointer(path)) for path in paths)
        found = self.computed(
            lines.select("record"),
            f"select list_transform(json_extract_string(record, [{pointers}]), "
            "lambda x : x is not null) as signs from rows",
        )["signs"]
        return {path: found.list.get(place) for place, path in enumerate(paths)}

    def _sorted_out(self, rows: pl.DataFrame, own: pl.Series, found: Columns) -> list[tuple[str, pl.DataFrame]]:
        """The rows of each sender; those of another than the one that was named are counted."""
        # An export may lack the fields by which a sender is recognised; then the name that was given counts.
        sender = own if self._sender is None else own.fill_null(self._sender)
        is_other = own.is_null() if self._sender is None else sender != self._sender
        if is_other.any():
            counted = own.filter(is_other).fill_null("").value_counts()
            found.others = dict(counted.rows())
            found.records += int(is_other.sum())
            rows, sender = rows.filter(~is_other), sender.filter(~is_other)
        names = sender.unique().to_list()
        if len(names) == 1:
            return [(names[0], rows)]
        return [(name, rows.filter(sender == name)) for name in sorted(names)]

    def _fields(self, rows: pl.DataFrame, vendor: Vendor) -> tuple[pl.DataFrame, list[str]]:
        record, where = "record", ""
        if vendor.record.endswith(".*"):
            inner = f"json_extract(record, {_literal('$.' + vendor.record)})"
            rows = self.computed(rows, f"select line, sns, record, {inner} as inners from rows").with_columns(
                record=pl.when(pl.col("inners").list.len() == 1).then(pl.col("inners").list.get(0))
            )
            rows = rows.drop("inners")
            where = " and json_type(record) = 'OBJECT'"
        elif vendor.record:
            pointer = _literal(_pointer(vendor.record))
            record = (
                f"case when json_type(record, {pointer}) = 'OBJECT' then json_extract(record, {pointer}) "
                "else record end"
            )
        paths = _paths(vendor.name)
        pointers = [_pointer(path) for path in paths]
        lists = sorted({path.partition("[]")[0] for path in paths if "[]" in path})
        extra = [place for path in lists for place in (_pointer(path), f"{_pointer(path)}/1")]
        listed = ", ".join(_literal(pointer) for pointer in (*pointers, *extra))
        found = self.computed(
            rows.select("sns", "record"),
            f"select sns, case when record is not null{where} then json_extract_string({record}, [{listed}]) end "
            "as found from rows",
        )
        values = found["found"]
        columns = {path: values.list.get(place, null_on_oob=True) for place, path in enumerate(paths)}
        odd = values.is_null()
        for number in range(len(lists)):
            place = len(paths) + 2 * number
            whole, second = (values.list.get(place + at, null_on_oob=True) for at in (0, 1))
            # Several recipients; or a single value where a list is expected.
            odd |= second.is_not_null() | ~whole.str.starts_with("[").fill_null(value=True)
        if _SNS_ID in columns:
            columns[_SNS_ID] = _coalesced([found["sns"], columns[_SNS_ID]])
        fields = _as_fields(columns, vendor, len(values))
        for name in fields.columns:
            text = fields[name]
            odd |= text.str.contains(r"^[\[{]").fill_null(value=False)
            if name not in ("time", "reply"):
                odd |= (text.str.contains(_FRACTION) & ~text.str.contains(_WHOLE)).fill_null(value=False)
        if odd.any():
            return fields.filter(~odd), rows["line"].filter(odd).to_list()
        return fields, []

    # ---------------------------------------------------------------- tables

    def of_table(self, table: pl.DataFrame) -> Columns:
        """The records of a table of texts, whose names may hold the dots of a path; null where there is no value."""
        found = Columns()
        signs = {
            path: table[path].is_not_null()
            for vendor in vendors().values()
            for paths in vendor.signs
            for path in paths
            if path in table.columns
        }
        every = [table[name].is_not_null() for name in _OWN_COLUMNS if name in table.columns]
        own = every[0] & every[1] & every[2] if len(every) == len(_OWN_COLUMNS) else _nothing(table.height) == ""
        for vendor, rows in self._sorted_out(table, _by_signs(signs, own.fill_null(value=False)), found):
            if vendor == OWN:
                found.odd += [json.dumps(row) for row in _without_nulls(rows)]
                continue
            columns = {path: rows[path] for path in _paths(vendor) if path in rows.columns}
            found.fields[vendor] = _as_fields(columns, vendors()[vendor], rows.height)
            found.records += rows.height
        return found


def _without_nulls(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows.to_dicts()]


def _kinds_of(shaped: pl.DataFrame) -> pl.DataFrame:
    """Of each shape (a digest of the names in a record): whether it is an envelope, and whether of our own form."""
    rows = []
    for line, shape in shaped.drop_nulls("shape").unique("shape").select("line", "shape").rows():
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        kind, own = "odd", False
        if isinstance(document, dict) and document and not _dotted() & document.keys():
            keys = document.keys()
            own = keys >= _OWN_COLUMNS
            kind = "envelope" if keys >= _ENVELOPE else "odd" if _POSTED in keys else "plain"
        rows.append((shape, kind, own))
    return pl.DataFrame(rows, schema={"shape": pl.UInt64, "kind": pl.String, "own": pl.Boolean}, orient="row")


@cache
def _dotted() -> frozenset[str]:
    """Paths of several parts; a record may have one as a single name."""
    return frozenset(path for vendor in vendors().values() for path in _paths(vendor.name) if "." in path) | frozenset(
        path for vendor in vendors().values() for paths in vendor.signs for path in paths if "." in path
    )


def _by_signs(signs: Mapping[str, pl.Series], own: pl.Series) -> pl.Series:
    """`mailvet.history.records.recognise` of columns."""
    whose: pl.Expr = pl.when(pl.col(OWN)).then(pl.lit(OWN))
    frame = pl.DataFrame({OWN: own, **signs})
    for vendor in reversed(list(vendors().values())):
        for paths in vendor.signs:
            if all(path in frame.columns for path in paths):
                whose = pl.when(pl.all_horizontal(*paths)).then(pl.lit(vendor.name)).otherwise(whose)
    return frame.select(whose.alias("vendor")).to_series()


@cache
def _paths(vendor: str) -> tuple[str, ...]:
    """Every path at which something of a vendor's record is read."""
    lists = [getattr(vendors()[vendor], name) for name in FIELDS]
    return tuple(dict.fromkeys([*(path for paths in lists for path in paths), *rule_paths(vendor)]))


def _as_fields(columns: Mapping[str, pl.Series], vendor: Vendor, height: int) -> pl.DataFrame:
    """The first value of each field, and those of the rules."""
    fields = {}
    for name in FIELDS:
        present = [columns[path] for path in getattr(vendor, name) if path in columns]
        fields[name] = _coalesced(present) if present else _nothing(height)
    ruled = {path: columns.get(path, _nothing(height)) for path in rule_paths(vendor.name)}
    return pl.DataFrame({**fields, **{f"{RULE}{path}": column for path, column in ruled.items()}})


def _coalesced(columns: Sequence[pl.Series]) -> pl.Series:
    if len(columns) == 1:
        return columns[0]
    return pl.select(pl.coalesce(*(column.alias(str(number)) for number, column in enumerate(columns)))).to_series()


def _nothing(height: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, height)


def _top(path: str) -> str:
    return path.replace("[]", "").partition(".")[0]


def _pointer(path: str) -> str:
    """A path as JSON Pointer (RFC 6901); of a list its first entry."""
    parts = path.replace("[]", ".0").split(".")
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

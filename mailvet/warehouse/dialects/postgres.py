"""The dialect of PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import BLANK, WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["Postgres"]


class Postgres(Dialect):
    """PostgreSQL 12 and later."""

    name = "postgresql"
    kept_after_delete = (
        "PostgreSQL keeps deleted rows in its files until VACUUM has run, and in its write-ahead log.",
    )
    # Fewer collations to mind, and comparisons four times as fast: keys are compared byte by byte.
    key_type = 'varchar(64) collate "C"'
    types: ClassVar[dict[str, str]] = {**Dialect.types, "string": "text", "timestamp": "timestamptz"}
    empty = "truncate {name}"
    # Room on each page, so that a renewed verdict stays on it and the index need not be touched (HOT).
    table_options = " with (fillfactor = 85)"
    upsert = "conflict"
    session = ("set timezone = 'UTC'", "set standard_conforming_strings = on")
    analyze = "analyze {name}"
    enter_schema = "set search_path to {name}"
    version_query = "show server_version"
    # It guesses the sizes far too low and would loop over every step.
    planner_hints = (
        "set local enable_nestloop = off",
        "select set_config('work_mem', '128MB', true) "
        "where pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('128MB')",
    )
    materialized = fence = " offset 0"
    matches_texts = True
    verdict_index = "create index {name}_unnamed on {name} ((true)) where email is null"
    lowering = "und-x-icu"
    """The collation that makes lower case for all scripts, whatever the locale of the database."""
    is_utf8 = True
    """Whether the database keeps its texts in UTF-8, so that what is longer in bytes holds letters beyond ASCII."""

    def exact(self, value: str) -> str:
        return f'{value} collate "C"'

    def key(self, value: str) -> str:
        return f"encode(sha256(convert_to({value}, 'UTF8')), 'hex')"

    def shuffled(self, value: str) -> str:
        return f'md5({value}) collate "C"'

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"btrim({value}, {literal(characters)})"

    def missing(self, value: str) -> str:
        # To trim all cells takes longer than all the rest; most begin with a visible character of ASCII.
        visible = f"({value}) collate \"C\" between '!' and '~'"
        blank = f"{self.trimmed(value, BLANK)} = ''"
        return f"(case when {visible} then false else {value} is null or {blank} end)"

    def fold(self, value: str) -> str:
        any_text = f'(lower({self.trimmed(value)} collate "{self.lowering}")) collate "C"'
        if not self.is_utf8:
            return any_text
        # To trim and lower all that there is takes twice as long as for ASCII that begins and ends visibly.
        ends = f'least(left({value}, 1) collate "C", right({value}, 1) collate "C") > \' \''
        visible = f"octet_length({value}) = length({value}) and {ends}"
        return f'case when {visible} then (lower({value} collate "C")) collate "C" else {any_text} end'

    def after_at(self, value: str) -> str:
        return f"reverse(split_part(reverse({value}), '@', 1))"

    def not_ascii(self, value: str) -> str:
        return f"({value}) collate \"C\" ~ '[^ -~]'"

    def has_digit_before_at(self, value: str) -> str:
        return f"{value} ~ '[0-9][^@]*@'"

    def without_last_digits(self, value: str) -> str:
        return f"rtrim({value}, '0123456789')"

    def any_moment(self, value: str) -> str:
        return f"nullif(nullif({self.as_moment(value)}, 'infinity'), '-infinity')"

    def moment(self, at: datetime) -> str:
        return f"timestamptz '{at:%Y-%m-%d %H:%M:%S.%f}+00'"

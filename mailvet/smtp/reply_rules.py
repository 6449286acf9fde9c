"""The rules by which replies of mail servers are read: rows of `mailvet/data/replies.toml`.

A pattern is searched in one line of a reply at a time, masked and folded (`fold`), so that no phrase runs over a line
end. The file itself says what each field of a rule means.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from mailvet.data import files
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Rule", "Stage", "fold", "reply_words", "rules"]


class Stage(str, Enum):
    """What the reply is to."""

    connect = "connect"
    hello = "hello"
    mail = "mail"
    rcpt = "rcpt"

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def _missing_(cls, value: object) -> Stage | None:
        word = str(value).casefold()
        return cls._member_map_.get(_SYNONYMS.get(word, word))  # type: ignore[return-value]


_SYNONYMS = {
    "banner": "connect",
    "connection": "connect",
    "ehlo": "hello",
    "helo": "hello",
    "starttls": "hello",
    "mail from": "mail",
    "mail_from": "mail",
    "rcpt to": "rcpt",
    "rcpt_to": "rcpt",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of `replies.toml`."""

    id: str
    stages: tuple[Stage, ...]
    codes: re.Pattern[str]
    """Matches the whole basic code, three digits."""
    enhanced: re.Pattern[str] | None
    """Matches the whole enhanced code, or the empty text where the reply has none. None: any."""
    match: re.Pattern[str] | None
    """Found in the masked and folded text. None: any text."""
    unless: re.Pattern[str] | None
    """Not found in it."""
    reason: Reason | None
    ambiguous: bool
    limit: str | None
    eai: bool
    """Only for recipients with characters outside ASCII (RFC 6531)."""
    alone: bool
    """Only where no other line of the reply says anything."""
    operator: str | None
    language: str
    source: str
    date: str
    examples: tuple[str, ...]


_TYPOGRAPHY = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
)


@cache
def _accents() -> dict[int, str]:
    """Latin and Greek letters with marks to their base letter; servers send both `boîte` and `boite`."""
    table = {}
    for point in (*range(0xC0, 0x250), *range(0x386, 0x3CF), *range(0x1E00, 0x2000)):
        base = unicodedata.normalize("NFD", chr(point))[0]
        if base.isascii() or "\u0391" <= base <= "\u03c9":
            table[point] = base
    # ß is left to casefold ("ss"); these have no decomposition.
    plain = {
        "\u0451": "\u0435",
        "\u0142": "l",
        "\u0131": "i",
        "\u00f8": "o",
        "\u00e6": "ae",
        "\u0111": "d",
        "\u0307": "",
        "\u03c2": "\u03c3",
    }
    return {**table, **{ord(letter): base for letter, base in plain.items()}}


def fold_marks(text: str) -> str:
    """The text in compatibility form and without the marks of Latin and Greek letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text)).translate(_accents())


def fold(text: str) -> str:
    """The text in the form in which phrases are compared: no case, marks or typographic signs."""
    if text.isascii():
        return text.replace("`", "'").lower()
    text = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).casefold()
    return fold_marks(text)


@cache
def rules() -> tuple[Rule, ...]:
    """All rules in the order in which they are tried."""
    document = files.document("replies")
    expand = _expander(document["words"])
    return tuple(_rules(document["rule"], expand))


def _rules(rows: Sequence[dict[str, Any]], expand: Callable[[str], str]) -> Iterator[Rule]:
    for row in rows:
        match, unless, enhanced = row.get("match"), row.get("unless"), row.get("enhanced")
        yield Rule(
            id=row["id"],
            stages=_stages(row.get("stages", ["rcpt"])),
            codes=re.compile(row.get("codes", "[45]..")),
            enhanced=None if enhanced is None else re.compile(enhanced),
            match=None if match is None else re.compile(expand(match)),
            unless=None if unless is None else re.compile(expand(unless)),
            reason=None if row["reason"] == "accepted" else Reason(row["reason"]),
            ambiguous=row.get("ambiguous", False),
            limit=row.get("limit"),
            eai=row.get("eai", False),
            alone=row.get("alone", False),
            operator=row.get("operator"),
            language=row.get("language", "en"),
            source=row["source"],
            date=row["date"],
            examples=tuple(row["examples"]),
        )


def _stages(names: list[str]) -> tuple[Stage, ...]:
    return tuple(Stage) if names == ["any"] else tuple(Stage(name) for name in names)


def _expander(words: dict[str, str]) -> Callable[[str], str]:
    """Replace `{name}` by the pattern of that name; patterns are written with accents and folded like the replies."""
    known: dict[str, str] = {}

    def expand(pattern: str) -> str:
        # Long patterns are wrapped before an alternative; no line begins or ends with a blank that counts.
        pattern = re.sub(r"\s*\n\s*", "", pattern).strip()
        filled = re.sub(r"\{([a-z_]+)\}", lambda found: known[found[1]], pattern)
        return fold_marks(filled)

    for name, pattern in words.items():
        known[name] = expand(pattern)
    return expand


@cache
def reply_words() -> frozenset[str]:
    """The words that replies are made of: those of every rule's examples."""
    words: set[str] = set()
    for row in files.document("replies")["rule"]:
        for example in row["examples"]:
            bare = re.sub(r"\S*[@/]\S*|(?:[\w-]+\.)+[a-z]{2,}\b|\b\w*[a-z][A-Z]\w*", " ", example)
            words.update(word.lower() for word in re.findall(r"[^\W\d_]{2,}", bare))
    return frozenset(words)

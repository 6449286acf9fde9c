"""What may be shown of personal data: the one recogniser of addresses in running text, and the masks built on it.

Every error, log line, XCom, lineage, report and page passes its text through `mask_text` (or `mask_address` for a cell
of its own, `database_message` for the words of a database). `addresses_in` also finds whose row is to be erased
(`mailvet.warehouse.erasure`). Replies of mail servers are masked by `mailvet.smtp.masking`, which knows the recipient.

And texts of strangers, shown so that they do nothing: no formula in a spreadsheet, no command to a terminal, no line in
a log that is not ours, no letter that turns the reading direction.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mailvet.patterns import lazy_pattern

__all__ = [
    "AT_SIGNS",
    "FORMULA_START",
    "AddressInText",
    "addresses_in",
    "database_message",
    "escape_formula",
    "formula_sql",
    "holds_address",
    "is_formula",
    "keyed",
    "mask_address",
    "mask_addresses",
    "mask_text",
    "printable",
    "printable_json",
    "stands_for_a_person",
    "unnamed_suggestion",
]

AT_SIGNS = ("@", "\uff20", "\ufe6b")
"""The characters that are an at sign."""
_LABELS = r"[^\s<>()\[\]{}\"',;:|/\\?&#%=*`\u0000-\u001f@\uff20\ufe6b]*"
_DOT = r"(?:[ \t]?[(\[{<][ \t]?(?:dot|punkt|point|punto)[ \t]?[)\]}>][ \t]?|[ \t]+dot[ \t]+)"
_NAMED_DOMAIN = rf"(?:[\w-]+(?:\.|{_DOT}))+[^\W\d_]{{2,}}"
_SIGN = lazy_pattern(
    r"[ \t]?[@\uff20\ufe6b][ \t]?|%40|&#0{0,4}64;|&#x0{0,4}40;|&commat;"
    r"|[ \t]?[(\[{<][ \t]?(?:at|@|\uff20)[ \t]?[)\]}>][ \t]?"
    rf"|(?<=\S)[ \t\u00a0]+at[ \t\u00a0]+(?={_NAMED_DOMAIN})",
    re.IGNORECASE,
)
"""An at sign as people, HTML and URLs write it; the bare word only before what can be a domain."""
_DOMAIN = lazy_pattern(rf"\[[^\]\s]{{1,100}}\]|{_LABELS}(?:{_DOT}{_LABELS})*", re.IGNORECASE)
_BEFORE_LOCAL = lazy_pattern(
    r"(?:.*(?<!\w)[<(\[{])?[\"'<(\[{`*,;:.|/>)\]}-]*(?:(?:mailto|e-?mail|smtp|to|from|https?)[:=]/*)?[\"'<]*",
    re.IGNORECASE | re.DOTALL,
)
"""What stands right before a local part and is none of it: wrappers, quotes, a scheme."""
_WORD_SIGN = lazy_pattern(r"\s+at\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AddressInText:
    """One address in a text, as it is written there."""

    start: int
    end: int
    local: str
    domain: str


def addresses_in(text: str) -> Iterator[AddressInText]:
    """What looks like an address, from left to right and without overlaps.

    Also with a quoted local part (RFC 5321 section 4.1.2), a full-width sign, ` at `, `(at)`, `%40`, and with
    apostrophes and commas glued to it. Rather too much than too little is taken for the local part: everything back to
    a blank, but for brackets and quotes around it.

    >>> [(found.local, found.domain) for found in addresses_in("ask o'neil@a.test or ann(at)b.test")]
    [("o'neil", 'a.test'), ('ann', 'b.test')]
    """
    signs = list(_SIGN.finditer(text))
    last = place = 0
    while place < len(signs):
        sign = signs[place]
        place += 1
        if sign.start() < last:
            continue
        start = _start_of_local(text, sign.start(), last)
        if start >= sign.start():
            continue
        end = _end_of_domain(text, sign.end())
        # Of `ann@lee@example.com` all but what follows the last sign is the local part.
        while place < len(signs) and signs[place].start() <= end and not _WORD_SIGN.fullmatch(signs[place][0]):
            sign = signs[place]
            place += 1
            end = _end_of_domain(text, sign.end())
        last = end
        yield AddressInText(start, end, text[start : sign.start()], text[sign.end() : end])


def _end_of_domain(text: str, start: int) -> int:
    found = _DOMAIN.match(text, start)
    end = found.end() if found else start
    while end > start and text[end - 1] in ".!?-":
        end -= 1
    return end


def _start_of_local(text: str, at: int, first: int) -> int:
    if text[at - 1 : at] == '"':
        opening = text.rfind('"', first, at - 1)
        while opening > first and text[opening - 1] == "\\":
            opening = text.rfind('"', first, opening)
        if opening >= 0 and "\n" not in text[opening:at]:
            return opening
    start = at
    while start > first and not text[start - 1].isspace():
        start -= 1
    wrapped = _BEFORE_LOCAL.match(text, start, at)
    inner = wrapped.end() if wrapped else start
    return inner if inner < at else start


def holds_address(text: str) -> bool:
    """Whether an address stands anywhere in the text, in the spellings of `addresses_in`."""
    return next(addresses_in(text), None) is not None


_DIGEST = lazy_pattern(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})")


def stands_for_a_person(text: str) -> bool:
    """Whether a value is one person's: an address or telephone number in it, or a digest of one."""
    return holds_address(text) or mask_text(text) != text or _DIGEST.fullmatch(text.strip()) is not None


def mask_address(text: str) -> str:
    """A cell fit for logs and errors: the first character of the local part, its length hidden, and the domain.

    >>> mask_address("ann.lee@example.com"), mask_address('"ann lee"@example.com'), mask_address("a@example.com")
    ('a***@example.com', '***@example.com', '***@example.com')
    """
    text = text.strip()
    signs = list(_SIGN.finditer(text))
    if not signs:
        return f"{text[:1] if len(text) > 1 else ''}***"
    sign = signs[-1]
    return _masked(text[: sign.start()], text[sign.end() : _end_of_domain(text, sign.end())])


def _masked(local: str, domain: str) -> str:
    return f"{local[0] if len(local) > 1 and local[0].isalnum() else ''}***@{domain}"


_PHONE = lazy_pattern(
    r"(?<![\w.,:+/-])(?:\+\d[\d ()./-]{5,}\d|\(?0\d{1,5}\)?[ ./-]?\d[\d ./-]{4,}\d|\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4})"
    r"(?![\w:])"
)
_DIGITS_OF_A_PHONE = range(8, 16)
"""ITU-T E.164 section 6.1: at most 15 digits with the country's code; shorter than eight are counts and ports."""


def _masked_phone(found: re.Match[str]) -> str:
    return "<number>" if sum(map(str.isdigit, found[0])) in _DIGITS_OF_A_PHONE else found[0]


def mask_text(text: str) -> str:
    """The text with every address in it masked, and every telephone number.

    >>> mask_text("no such row: 'ann.lee@example.com'")
    "no such row: 'a***@example.com'"
    """
    parts, last = [], 0
    for found in addresses_in(text):
        parts += [text[last : found.start], _masked(found.local, found.domain)]
        last = found.end
    return _PHONE.sub(_masked_phone, "".join([*parts, text[last:]]))


def unnamed_suggestion(suggestion: str, rule: str) -> str:
    """What is stored of a suggestion where addresses are not: the rule that made it, and its domain.

    >>> unnamed_suggestion("ann@gmail.com", "typo_domain")
    'typo_domain: gmail.com'
    """
    return f"{rule}: {suggestion.rpartition('@')[2]}"


def keyed(key: str, text: str) -> str:
    """A trace of a person who may not be in the table any more.

    HMAC-SHA256 (RFC 2104) under `[privacy] key`, lower-case hexadecimal. Unlike a plain hash, no guess can be confirmed
    by it without the key.
    """
    return hmac.new(key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


mask_addresses = mask_text
"""The name under which the plug-ins know it."""


_VALUE = lazy_pattern(
    # What a database says before a value of a cell, and the value up to the last quote that can end it.
    r"(?P<before>\b(?:string|value|values|entry|text|input|literal|blob)\s+)(?P<quote>['\"`]).*(?P=quote)"
    r"(?=\s+(?:to|for|into|as|at|in|is|of|from)\b|[.,:;]|\s*$)"
    r"|(?P<colon>: )\"(?P<rest>.*)\"$",
    re.IGNORECASE,
)
_KEY = lazy_pattern(r"(=)\s*\(.*\)(?=\s+(?:already|is)\b)|(\bcontains \().*(?=\))", re.IGNORECASE)
_QUOTED = lazy_pattern(r"(?<!\w)(?P<quote>['\"`])(?P<inner>.*?)(?P=quote)(?!\w)|(?<!\w)(?P<open>['\"`])(?P<left>\S.*)$")
_IDENTIFIER = lazy_pattern(r"[^\W\d][\w$]*(?:\.[\w$]+)*")
_NAMES = lazy_pattern(
    r"\b(?:columns?|tables?|relation|schema|database|catalog|key|index|constraint|function|view|types?|field|role|user|"
    r"named?|bindings:|near|mean|clause|in|of|server|host|setting|parameter|extension|operator|file|or|and)[\s(]*$"
    r"|^\s*$|,\s*$",
    re.IGNORECASE,
)


_LONGEST_MESSAGE = 1000
"""Characters of a message that are read; what is longer quotes data, and quotation marks are searched in pairs."""


def database_message(text: str) -> str:
    """The first line of a database's message without what it quotes of cells.

    A quoted value is cut whole, whatever stands in it; the quoted name of a table or a column stays, for it says what
    to mend.

    >>> database_message("Could not convert string 'ann o'neil' to INT32")
    'Could not convert string <value> to INT32'
    """
    line = text.strip().splitlines()[0].rstrip(".")[:_LONGEST_MESSAGE] if text.strip() else "no reason given"
    line = _VALUE.sub(lambda found: f"{found['before'] or found['colon']}<value>", line)
    line = _KEY.sub(lambda found: f"{found[1]}(<value>)" if found[1] else f"{found[2]}<value>", line)
    line = _QUOTED.sub(lambda found: _without_value(found, line), line)
    parts, last = [], 0
    for found in addresses_in(line):
        parts += [line[last : found.start], "<address>"]
        last = found.end
    return printable(_PHONE.sub(_masked_phone, "".join([*parts, line[last:]])))


def _without_value(found: re.Match[str], line: str) -> str:
    if found["open"]:
        return "<value>"
    inner, before = found["inner"], line[: found.start()]
    is_name = _NAMES.search(before) is not None and (found["quote"] != "'" or _IDENTIFIER.fullmatch(inner))
    return found[0] if is_name and not holds_address(inner) else "<value>"


# -------------------------------------------------------------------- texts of strangers, shown so that they do nothing

_FORMULA_SIGNS: Final = "=+-@"
FORMULA_START: Final = (
    f"{_FORMULA_SIGNS}"
    "\uff1d\uff0b\uff0d\uff20"  # full width, which spreadsheets of East Asia read like the others
    "\ufe66\ufe62\ufe63\ufe6b\u2212"  # small forms, and the minus sign
    "\t\r\n"
)
"""A cell that begins so is run as a formula by spreadsheets (OWASP, "CSV Injection")."""

_TURNS: Final = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that turn the reading direction or end a line (Unicode, UAX #9 and UAX #14)."""


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run the text as a formula."""
    return text[:1] in FORMULA_START if text else False


def escape_formula(text: str) -> str:
    """The text behind an apostrophe if a spreadsheet might run it, else as it is."""
    return f"'{text}" if is_formula(text) else text


def formula_sql(first_character: str) -> str:
    """`is_formula` as a SQL condition on the expression for a text's first character, which may be null."""
    signs = ", ".join(f"'{sign}'" for sign in FORMULA_START if sign.isprintable())
    return f"{first_character} in ({signs}, '\t', '\r', '\n')"


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with what acts on a terminal written as escapes (`\x1b`, `\u202e`).

    That is control characters, marks that turn the reading direction, and lone surrogates.

    Args:
        text: of a stranger.
        lines: line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(letter, lines) for letter in text)


def _shown(letter: str, lines: bool) -> str:
    if lines and letter in "\n\t":
        return letter
    if letter in _TURNS or unicodedata.category(letter) in ("Cc", "Cs"):
        code = ord(letter)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return letter


def printable_json(text: str) -> str:
    r"""JSON with what `printable` would write as an escape in JSON's own escapes (`\u202e`).

    A terminal shows it in the order in which it stands, and a parser reads the same.

    Args:
        text: as `json.dumps` gives it, which has escaped control characters below U+0020 already.
    """
    if text.isascii():
        return text
    return "".join(
        f"\\u{ord(letter):04x}"
        if letter in _TURNS or (unicodedata.category(letter) in ("Cc", "Cs") and letter != "\n")
        else letter
        for letter in text
    )

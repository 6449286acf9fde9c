"""What the writer of a malformed cell meant: labels, names, list marks, quotes, markup and spaces around an address.

Two steps. `plain_line` makes one plain line of a text: markup, entities, escapes and typographic signs become what they
stand for. It is worked out per text, and only for texts that hold one of the marks of `NEEDS_PLAIN_LINE`. Then
`REPAIRS` are applied one after the other; they are read by Python's `re` and by Polars' regular expressions alike (no
look-around, no back-references), so that whole columns are repaired by the same rules.

Nothing is glued together that white space may have kept apart on purpose: what stands before or behind an address is
taken away where it is a known label, title, list mark or name, and else there is no suggestion.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

from mailvet.patterns import lazy_pattern

__all__ = ["MISSING_AT", "MOJIBAKE", "NEEDS_PLAIN_LINE", "REPAIRS", "REPAIRS_OF_PLAIN", "plain_line", "repair_line"]

_TITLES: Final = (
    "mr|mrs|ms|miss|mx|dr|prof|sir|madam|rev|fr|hr|herr|frau|dipl|ing|mag|med|phil|jur|m|mme|mlle|monsieur|madame|me|"
    "sr|sra|srta|don|dona|sig|sigra|dott|avv|arch|geom|rag|dhr|mevr|mw|drs|ir|pan|pani|inz|mgr|bc|mudr|judr|phdr"
)
_LABELS: Final = (
    "e-?mail|mail|mailto|smtp|contact|home|work|office|private|addr(?:ess)?|correo|courriel|kontakt|to|cc|bcc"
)
_WORD_BEHIND: Final = (
    "tel|fax|phone|mob(?:ile)?|cell|tlf|tfno|t[ée]l[ée]phone|telefono|telefon|mobil|handy|home|work|office|web|www|"
    "skype|best|regards|thanks|thank|please|contact|and|or|und|et"
)
_WITHOUT_AT: Final = (
    r"(?:gmail|hotmail|yahoo|outlook|icloud|aol|live|msn|ymail|googlemail|rediffmail)"
    r"\.(?:com|co\.uk|co\.in|com\.br|fr|de|it|es)"
)
"""Domains that are recognised behind a local part although the @ between them is missing."""
_ENDING: Final = r"(?:com|net|org|edu|gov|info|biz|[a-z]{2})"

# In this order. What comes out is only offered if the judge accepts it. `${1}` is the first group. A text that holds
# none of the marks behind it stays as it is; where there are none, any text may change.
REPAIRS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (rf"(?i)^[ *<\"'(\[.>-]*(?:(?:{_LABELS})(?: +(?:e-?mail|address))? *[:=][/ ]*)+", "", (":", "=")),
    # "Ann Lee [mailto:ann@x.com]", "Ann (ann@x.com)", "Ann <ann@x.com> (work)"
    (
        r"(?i)^[^@<>\[({]*[<\[({] *(?:mailto: *)?([^<>()\[\]{}@ ]+@[^<>()\[\]{}@ ]+) *[>\])}][^@]*$",
        "${1}",
        ("<", "[", "(", "{"),
    ),
    # "Home phone: ann@x.com": whatever stands before a colon
    (r"^[^@:]*: *([^@: /][^@: ]*@[^@: ]+)$", "${1}", (":",)),
    (r"^([^@]+@[^@?]+)\?[^@]*$", "${1}", ("?",)),
    (r"^([^@]+)(?:%40|&#64;)([^@]+)$", "${1}@${2}", ("%40", "&#64;")),
    (r"(?i)^([^@]*[^@ ]) *[(\[{<] *at *[)\]}>] *([^@]+)$", "${1}@${2}", ("(", "[", "{", "<")),
    (r"(?i)^([^@ ]+) +at +([^@]+)$", "${1}@${2}", (" ",)),
    (r"(?i) *[(\[{<] *(?:dot|punkt|punto|point) *[)\]}>] *", ".", ("(", "[", "{", "<")),
    (r"(?i)^([^@ ]+@[^@ ]+) +dot +([^@ ]+)$", "${1}.${2}", (" ",)),
    (r"^\"([^\"@ ]+)\" *@", "${1}@", ('"',)),
    (r"^[^<>@]*<([^<>@]+@[^<>@]+)>[^@]*$", "${1}", ("<",)),
    (r"^([^@]+@[^@() ]+) *\([^@()]*\)$", "${1}", ("(",)),
    # "1. ann@x.com", "2) ann@x.com", "Dr. ann@x.com", "Mr Prof. ann@x.com", "Ann Lee - ann@x.com", "Lee, ann@x.com"
    (r"^[ *>-]*\(?[0-9]{1,4}[.)\]:]+ +([^@ ]+@)", "${1}", (" ",)),
    (rf"(?i)^(?:(?:(?:{_TITLES})\.|mr|mrs|ms|dr|prof|herr|frau) +)+([^@ ]+@)", "${1}", (" ",)),
    (r"^[^@]*[^@ ](?: +[-|/;,]+|[;,|]) +([^@ ]+@[^@ ]+)$", "${1}", ("- ", "| ", "/ ", "; ", ", ")),
    # "ann@x.com. Tel", "ann@x.com Tel. 123", "ann@x.com - home", "ann@x.com Ann Lee", "ann@x.com 0123 456789"
    (rf"(?i)^([^@ ]+@[^@ ]+\.[a-z]{{2,}})[.,;:]? +[-|/(]* *(?:{_WORD_BEHIND})(?:[^a-z@][^@]*)?$", "${1}", (" ",)),
    (r"^([^@ ]+@[^@ ]+\.[A-Za-z]{2,})[.,;:]? +[A-Z][A-Za-z]{2,}[^@]*$", "${1}", (" ",)),
    (r"^([^@ ]+@[^@ ]+\.[A-Za-z]{2,})[.,;]? +[+(]?[0-9][0-9 ()/.+-]{4,}$", "${1}", (" ",)),
    (r"^[ <>(\[{\"'`,;:.*|]+", "", ()),
    (r"[ <>)\]}\"'`,;:.!?*|/\\_\-#]+$", "", ()),
    # "ann2gmail.com": the key of the @ without its shift, or one beside it
    (rf"(?i)^([a-z0-9._+-]*[a-z0-9])[2\"#'*!?&;:$ ]({_WITHOUT_AT})$", "${1}@${2}", (".",)),
    (r"[ .]*@[@ .]*", "@", ("@@", ".@", " @", "@.", "@ ")),
    # "ann@_gmail.com", "ann@hotmail_.com"
    (r"@[_'*~\-]+", "@", ("@_", "@'", "@*", "@~", "@-")),
    (r"(@[^@]*[A-Za-z0-9])[_\-]+\.", "${1}.", ("_.", "-.")),
    (r"\.\.+", ".", ("..",)),
    (r"(@[^@ ]*) +\. *", "${1}.", (" .",)),
    (r"(@[^@ ]*\.) +", "${1}", (". ",)),
    (r"(@[^@ ]*) +\. *", "${1}.", (" .",)),
    (r"(@[^@ ]*\.) +", "${1}", (". ",)),
    (rf"(?i)@([a-z0-9\-]+(?:\.com?)?),({_ENDING}(?:\.[a-z]{{2}})?)$", "@${1}.${2}", (",",)),
    # "ann@gmail.com75011", "ann@gmail.com2"
    (r"(?i)(@[^@]*\.[a-z]{2,6})[-_ ]?[0-9]{1,6}$", "${1}", ("@",)),
)
_OF_PLAIN: Final = (
    "^[ <>",
    "[ <>",
    "(?i)^([a-z0-9._+-]*",
    "[ .]*@",
    "@[_",
    "(@[^@]*[A",
    r"\.\.",
    r"(?i)(@[^@]*\.",
)
REPAIRS_OF_PLAIN: Final = tuple(repair for repair in REPAIRS if repair[0].startswith(_OF_PLAIN))
"""Those that can change a text of nothing but letters, digits, and `@._-`; the others need some other character."""
MISSING_AT: Final = rf"(?i)[^a-z0-9]at[^a-z0-9]|%40|&#64;|[a-z0-9][2\"#'*!?&;:$ ]{_WITHOUT_AT}\W*$"
"""Finds the texts without an @ that may become an address all the same."""

_COMPILED: Final = tuple(
    (lazy_pattern(pattern), re.sub(r"\$\{(\d)\}", r"\\g<\1>", text)) for pattern, text, _ in REPAIRS
)


def repair_line(line: str) -> str:
    """A plain line after all `REPAIRS`, whether or not it is an address now."""
    for pattern, replacement in _COMPILED:
        line = pattern.sub(replacement, line)
    return line


# ------------------------------------------------------------- one plain line

NEEDS_PLAIN_LINE: Final = (
    r"(?i)&(?:#x?[0-9a-f]+|[a-z]+);|\\|^=|</?[a-z][^<>@]*>|<a |#mailto:|%20|%3[ce]|^(?:u003|x3)[ce]"
)
"""Finds the texts of printable ASCII that `plain_line` changes, and others."""
MOJIBAKE: Final = lazy_pattern("[\u00c2\u00c3][\u0080-\u00bf\u201a-\u203a]|\ufffd")
"""Text that was decoded wrongly: what it said is not guessed."""
_STRAIGHT: Final = str.maketrans(
    {
        **dict.fromkeys("\u3002\uff61\ufe52", "."),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a\u00b4\u02bc\u02b9", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63", "-"),
        **dict.fromkeys("\u2022\u2023\u25e6\u2043\u2219\u25aa\u25cf\u25cb\u25a0\u25a1\u00b7\u2713\u2714", "*"),
        **dict.fromkeys("\u2709\u260e\U0001f4e7\U0001f4e9\u2706", " "),
        # Typed with a Turkish keyboard or lower-cased by its rules; `İ` decomposes to `I` and a dot above.
        "\u0130": "I",
        "\u0131": "i",
    }
)
_ESCAPES: Final = lazy_pattern(
    r"\\+[rntRNT](?![A-Za-z0-9]*@)|%20|%3[CcEe]|^(?:[uU]003|[xX]3)[cCeE]|\\u003[ce]|\\+(?=[\"'])"
)
_LINK: Final = lazy_pattern(r"(?i)<a\s[^>]*?mailto:\s*([^\"'>?\s]+)[^>]*>")
_TAG: Final = lazy_pattern(r"</?[A-Za-z][^<>@]*>")
_FORMULA: Final = lazy_pattern(
    r"(?is)^=\s*(?:hyperlink\(\s*)?\"(?:mailto:)?([^\"]*)\"(?:\s*[,;]\s*\"([^\"]*)\")?\s*\)?$"
)
_FIELD: Final = lazy_pattern(r"(?i)#(?:mailto:)?([^#]*)#?$")


def plain_line(text: str) -> str:
    """A text as one line without markup.

    Entities, escapes, tags and links resolved, compatibility characters (full-width letters, @ and dots), quotes,
    dashes and bullets made plain, invisible characters gone.
    """
    if text.isascii() and text.isprintable() and not _NEEDS_PLAIN_LINE.search(text):
        return text
    text = html.unescape(text)
    if formula := _FORMULA.match(text):
        text = " ".join(part for part in formula.groups() if part)
    if "#mailto:" in text.lower():
        text = _FIELD.sub(r" \1", text)
    links, text = _LINK.findall(text), _TAG.sub(" ", _LINK.sub(" ", text))
    text = _ESCAPES.sub(" ", " ".join([*links, text] if "@" in text or not links else links))
    if text.isascii() and text.isprintable():
        return text.strip()
    text = unicodedata.normalize("NFKC", _without_glue(text).translate(_STRAIGHT)).translate(_STRAIGHT)
    text = "".join(" " if character.isspace() else character for character in text)
    return "".join(character for character in text if unicodedata.category(character) not in ("Cc", "Cf")).strip()


_NEEDS_PLAIN_LINE: Final = lazy_pattern(NEEDS_PLAIN_LINE)
_GLUE: Final = lazy_pattern(r"(?<=[A-Za-z0-9.-])[\u00a0\u2000-\u200a\u202f\u205f]+(?=\.|[a-z]{1,2}\s*$)")


def _without_glue(text: str) -> str:
    """A space that is no plain one inside a domain was not typed there by the writer ("gmail.co m")."""
    local, at, domain = text.partition("@")
    return f"{local}{at}{_GLUE.sub('', domain)}"

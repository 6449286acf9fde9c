"""One cell of text -> a parsed address, or why it is none.

The judge is email-validator with `strict=True, allow_smtputf8=True, check_deliverability=False`: no quoted local
parts (RFC 5321 section 4.1.2), no domain literals (section 4.1.3), no display names, no special-use names. A cell is
judged after `str.strip()`, which takes away Unicode white space (no-break and ideographic spaces and line ends
included) but not zero-width characters: those stay part of the text and make it `unsafe_unicode`.

One kind of address is accepted that the judge refuses: Japanese mobile carriers gave out local parts with two dots in a
row or one before the @ (`a..b@docomo.ne.jp`, `abc.@ezweb.ne.jp`), and people still use them. Such an `Address` is
marked `odd_dots`; its mailbox cannot be asked about in plain SMTP and is not.

Plain ASCII is decided here by rules that agree with the judge on every text; the judge itself is asked about the rest
(non-ASCII, `xn--` and other labels with two hyphens). `mailvet.syntax.columns` decides whole columns by the same rules.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from mailvet.data.lists import placeholders, suggestion_targets
from mailvet.data.operators import odd_dot_domains
from mailvet.patterns import lazy_pattern
from mailvet.privacy import is_formula
from mailvet.reference.typos.names import provider_of_name
from mailvet.syntax.repair import MOJIBAKE, plain_line, repair_line

__all__ = ["SYNTAX_ERRORS", "Address", "SyntaxProblem", "ascii_domain", "parse"]

SYNTAX_ERRORS: Final[dict[str, str]] = {
    "empty": "the cell is empty or holds white space only",
    "placeholder": "a word that stands for a missing address, such as 'n/a', 'none' or 'test@test'",
    "missing_at": "there is no @",
    "several_addresses": "the cell holds more than one address",
    "control_char": "a control character, such as a line break or NUL, inside the address",
    "unsafe_unicode": "an invisible, unassigned, private or misplaced combining character",
    "multiple_at": "more than one @",
    "local_empty": "nothing before the @",
    "domain_empty": "nothing after the @",
    "local_too_long": "more than 64 characters before the @ (RFC 5321 section 4.5.3.1.1)",
    "local_char": "a character before the @ that needs quoting (RFC 5322 section 3.2.3)",
    "local_dot": "a dot at either end of the part before the @, or two in a row",
    "domain_literal": "an IP address in brackets instead of a domain",
    "domain_label": "a part of the domain is empty, too long or holds characters a host name cannot have",
    "domain_too_long": "the domain has more than 253 octets, or the address more than 254",
    "domain_no_tld": "the domain has no public top-level domain (no dot, an IP address, or a reserved name)",
}
"""
The closed list of codes with their meaning. The order is the precedence when a text has several faults, but for the
domain's length: over 253 characters comes before `domain_label`, an address over 254 octets comes last.
"""

MAX_CELL: Final = 1000
"""A longer text cannot be an address and is not looked at closely (characters, after trimming)."""
MAX_REPAIR: Final = 500
"""A longer text gets no suggestion (characters)."""
MAX_ADDRESS: Final = 254
"""Octets of a whole address: a path of 256 less its angle brackets (RFC 5321 section 4.5.3.1.3)."""
MAX_DOMAIN: Final = 253
MAX_LOCAL: Final = 64
MAX_LABEL: Final = 63

# The patterns here are read by Python's `re` and by Polars' regular expressions alike: no look-around, no
# back-references, no classes that mean different things in the two.
ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
PLAIN_LOCAL: Final = rf"[{ATEXT}]+(?:\.[{ATEXT}]+)*"
PLAIN_DOMAIN: Final = r"(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+(?:[A-Za-z0-9]+-)*[A-Za-z0-9]*[A-Za-z]"
"""Host names with a dot and a last letter; two hyphens in a row (Punycode, R-LDH labels) are left to the judge."""
HOST_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?)*"
_RESERVED_NAMES: Final = ("arpa", "invalid", "local", "localhost", "onion", "test")
"""What the judge takes for reserved (RFC 6761); written here, since most processes never need the judge itself."""
SPECIAL_USE: Final = rf"(?i)\.(?:{'|'.join(map(re.escape, _RESERVED_NAMES))})$"
SPECIAL_USE_ENDINGS: Final = frozenset(name.rpartition(".")[2] for name in _RESERVED_NAMES)
"""Last labels under which names are or may be reserved (RFC 6761)."""
_SEPARATOR: Final = r" \t\r\n;,|/&<>()\[\]\"'"
_OTHER: Final = f"[^{_SEPARATOR}@]"
SEVERAL: Final = f"{_OTHER}@{_OTHER}+[{_SEPARATOR}].*{_OTHER}@{_OTHER}"
"""Two things that look like addresses with a separator between them."""

TOKEN: Final = rf"[^{_SEPARATOR}]+@[^{_SEPARATOR}]+"

CASELESS_NAMES: Final = (
    *("info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster", "usenet"),
    *("news", "webmaster", "www", "uucp", "ftp"),
)
"""Mailbox names of RFC 2142: the judge lower-cases them, every other local part keeps its case."""

_PLAIN = re.compile(rf"({PLAIN_LOCAL})@({PLAIN_DOMAIN})\Z")
_PLAIN_LOCAL = lazy_pattern(rf"{PLAIN_LOCAL}\Z")
_HOST_NAME = lazy_pattern(rf"{HOST_NAME}\Z")
_SPECIAL_USE = re.compile(SPECIAL_USE)
_SEVERAL = lazy_pattern(SEVERAL, re.DOTALL)
_SAME_WORD_TWICE = lazy_pattern(r"([a-z0-9]+)@\1\Z")
_NOT_LOCAL = lazy_pattern(rf"[^.{ATEXT}\x80-\U0010ffff]")
_NOT_DOMAIN = lazy_pattern(r"[^.A-Za-z0-9\-\x80-\U0010ffff]")
_NEVER = lazy_pattern(r"[\x00-\x20\x7f\"(),:;<>\[\\\]]")
"""What the judge refuses wherever it stands: it need not look."""
_TOKEN = lazy_pattern(TOKEN)
COMMON_LETTERS: Final = (
    "\u00df-\u00f6\u00f8-\u00ff\u0101\u0103\u0105\u0107\u010d\u010f\u0111\u0113\u0117\u0119\u011b\u011f\u012b\u012f"
    "\u0131\u0137\u013a\u013c\u013e\u0142\u0144\u0146\u0148\u014d\u0151\u0153\u0155\u0159\u015b\u015f\u0161\u0163"
    "\u0165\u016b\u016f\u0171\u0173\u017a\u017c\u017e\u03ac-\u03ce\u0430-\u045f\u0491\u0e01-\u0e30"
    "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_COMMON_LABEL = lazy_pattern(rf"[a-z0-9{COMMON_LETTERS}]+(?:-[a-z0-9{COMMON_LETTERS}]+)*\Z")
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Address:
    """A text the judge accepts."""

    local: str
    """The part before the @ in Unicode NFC, case kept (but for the names of RFC 2142, which are lower-cased)."""
    domain: str
    """ASCII, lower-case; internationalised names as the judge encodes them (UTS 46, IDNA 2008)."""
    needs_smtputf8: bool
    """The local part is not ASCII: the address needs SMTPUTF8 (RFC 6531) all the way."""
    trimmed: bool
    """White space was taken away at either end."""
    odd_dots: bool = False
    """
    The judge refuses the dots of the local part, but the domain is of a mobile carrier that gave such addresses out
    (`mailvet.data.operators.odd_dot_domains`).
    """

    @property
    def text(self) -> str:
        """`local@domain`, as it goes into an SMTP command."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """A text the judge refuses."""

    code: str
    """One of `SYNTAX_ERRORS`."""
    suggestion: str | None
    """What may have been meant: an address the judge accepts, never a reserved name. Only offered, never applied."""


def parse(cell: str | None, *, allow_special_use: bool = False) -> Address | SyntaxProblem:
    """Judge one cell of text.

    Args:
        cell: any text, of any length; None counts as empty.
        allow_special_use: accept reserved names such as `.test`, `.invalid` and `.local` (RFC 6761), for a lab.
    """
    text = (cell or "").strip()
    if len(text) > MAX_CELL:
        return SyntaxProblem(_explain_long(text), None)
    found = _accept(text, allow_special_use)
    if found is None:
        if odd := _with_odd_dots(text):
            return Address(*odd, needs_smtputf8=False, trimmed=text != cell, odd_dots=True)
        return SyntaxProblem(_explain(text), _repair(text))
    local, domain = found
    if is_placeholder_address(local, domain):
        return SyntaxProblem("placeholder", None)
    return Address(local, domain, not local.isascii(), trimmed=text != cell)


@lru_cache(maxsize=65536)
def ascii_domain(domain: str, *, allow_special_use: bool = False) -> str | None:
    """A domain as it is asked for in the DNS: ASCII, lower-case, internationalised names encoded.

    None if the judge refuses it.
    """
    if len(domain) > MAX_DOMAIN or "@" in domain:
        return None
    known = _encode_common_letters(domain)
    if known and (allow_special_use or not _SPECIAL_USE.search(known)):
        return known
    found = _accept(f"a@{domain}", allow_special_use)
    return found[1] if found else None


def _encode_common_letters(domain: str) -> str | None:
    """The ASCII form of a domain of common letters, without the judge's ten passes over it; None: ask the judge.

    Letters that are PVALID without context (RFC 5892), left alone by UTS 46 and NFC, and written from left to right
    make a valid U-label in any order, so only lengths, hyphens and the round trip of Punycode are left to check.
    """
    labels = []
    # Capitals outside ASCII go to the judge: UTS 46 and Python differ in lower-casing some (a final sigma, I with dot).
    for label in domain.translate(_LOWER).split("."):
        encoded = label
        if label.startswith("xn--"):
            try:
                label = label[4:].encode("ascii").decode("punycode")
            except UnicodeError:
                return None
            if label.isascii():
                return None
        if not _COMMON_LABEL.match(label):
            return None
        if not label.isascii():
            # In the first case this is the round trip, in the second the answer.
            again = "xn--" + label.encode("punycode").decode("ascii")
            if encoded not in (label, again):
                return None
            encoded = again
        if len(encoded) > MAX_LABEL:
            return None
        labels.append(encoded)
    name = ".".join(labels)
    return name if len(labels) > 1 and len(name) <= MAX_DOMAIN and name[-1].isalpha() else None


def _accept(text: str, allow_special_use: bool) -> tuple[str, str] | None:
    """The local part and the ASCII domain, or None if the judge refuses the text."""
    plain = _PLAIN.match(text) if len(text) <= MAX_ADDRESS else None
    if plain and not _SPECIAL_USE.search(text):
        local, domain = plain[1], plain[2].lower()
        if len(local) > MAX_LOCAL or max(map(len, domain.split("."))) > MAX_LABEL or len(domain) > MAX_DOMAIN:
            return None
        return (local.lower() if local.lower() in CASELESS_NAMES else local), domain
    # For other ASCII without two hyphens the judge has nothing to add: it would refuse.
    if "@" in text and (allow_special_use or "--" in text or not text.isascii()) and not _NEVER.search(text):
        return _judge(text, allow_special_use)
    return None


def _judge(text: str, allow_special_use: bool) -> tuple[str, str] | None:
    from email_validator import validate_email

    reserved = ""
    if allow_special_use and (special := _SPECIAL_USE.search(text)):
        # The judge knows no switch for reserved names other than `test`: it is shown a name of the same length.
        reserved = special[0].lower()
        text = text[: special.start()] + "." + "x" * (len(reserved) - 1)
    try:
        found = validate_email(
            text,
            strict=True,
            allow_smtputf8=True,
            allow_empty_local=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=True,
            check_deliverability=False,
            test_environment=allow_special_use,
        )
    except ValueError:  # EmailNotValidError is one; the idna package raises plain ones for code points it does not know
        return None
    domain = found.ascii_domain
    return found.local_part, domain[: len(domain) - len(reserved)] + reserved


def _with_odd_dots(text: str) -> tuple[str, str] | None:
    """The local part and the domain of an address as only Japanese mobile carriers gave them out, or None."""
    if not (".." in text or ".@" in text):
        return None
    found = re.fullmatch(odd_dots_pattern(), text)
    local, _, domain = text.partition("@")
    return (local, domain.lower()) if found and len(local) <= MAX_LOCAL else None


@lru_cache(maxsize=1)
def odd_dots_pattern() -> str:
    """Local parts as mobile carriers of Japan gave them out, at their domains.

    Those without odd dots are addresses for the judge as well. Read by `re` and by Polars alike.
    """
    domains = "|".join(re.escape(domain) for domain in sorted(odd_dot_domains()))
    return rf"(?i:[a-z0-9_\-][a-z0-9_.\-]*@(?:[a-z0-9\-]+\.)*(?:{domains}))"


def _explain_long(text: str) -> str:
    at = text.find("@")
    if at < 0:
        return "missing_at"
    if text.find("@", at + 1) >= 0:
        return "several_addresses"
    if at == 0:
        return "local_empty"
    return "local_too_long" if at > MAX_LOCAL else "domain_too_long"


def is_placeholder_address(local: str, domain: str) -> bool:
    """Whether an address the judge accepts stands for a missing one.

    A word for "none" at any domain ("noemail@gmail.com"), or two such words, or one letter, on both sides
    ("none@none.com", "test@email.com", "x@x.x").
    """
    if local not in placeholder_locals():
        return False
    low, (first, _, ending) = local.lower(), domain.partition(".")
    if low in _NO_ADDRESS:
        return True
    if ending.count(".") > 1 or (first != low and min(len(first), len(low)) < 3):
        return False
    if low == low[:1] * len(low):
        return first == first[:1] * len(first) and first[:1] == low[:1]
    return first == low or first in placeholder_locals()


_NO: Final = "no none sin sem kein keine geen ingen pasde pasd senza bez donthave"
_MAIL: Final = "email e-mail mail correo emailaddress"
_NO_ADDRESS: Final = frozenset(
    [f"{no}{between}{word}" for no in _NO.split() for between in ("", "-", "_") for word in _MAIL.split()]
    + ["no.email", "no.mail", "no.tiene", "notiene", "noaddress", "noemails", "noemail1", "dontknow", "nicht-vorhanden"]
)
"""Local parts that say that there is no address."""


@lru_cache(maxsize=1)
def placeholder_locals() -> frozenset[str]:
    """Local parts that may stand for a missing address, in the usual cases; what the domain says decides."""
    words = {word for word in placeholders() if re.fullmatch(r"[a-z][a-z._-]*[a-z]", word)} | _NO_ADDRESS
    words |= {letter * size for letter in ascii_lowercase for size in range(1, 7)}
    no_mail = {f"{word[:-4].capitalize()}{word[-4:].capitalize()}" for word in words if word.endswith("mail")}
    no_mail |= {f"{word[:-5].capitalize()}{word[-5:].capitalize()}" for word in words if word.endswith("email")}
    return frozenset(words.union(no_mail, *({word.upper(), word.capitalize(), word.title()} for word in words)))


def is_placeholder(text: str) -> bool:
    """Whether a text the judge refuses stands for a missing address: 'n/a', '-', 'none', 'test@test'."""
    low = text.lower()
    if low in placeholders() or _SAME_WORD_TWICE.match(low):
        return True
    return "@" not in text and not any(character.isalnum() for character in text)


def _explain(text: str) -> str:
    """Why the judge refuses the text (trimmed, at most MAX_CELL characters): one of SYNTAX_ERRORS."""
    if not text:
        return "empty"
    if is_placeholder(text):
        return "placeholder"
    local, at, domain = text.partition("@")
    if not at:
        return "missing_at"
    if _SEVERAL.search(text):
        return "several_addresses"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "control_char"
    if not text.isascii() and (_unsafe(local) or _unsafe(domain)):
        return "unsafe_unicode"
    if "@" in domain:
        return "multiple_at"
    return _explain_local(local, domain) or _explain_domain(domain) or _explain_rest(local, domain)


def _explain_local(local: str, domain: str) -> str | None:
    if not local:
        return "local_empty"
    if not domain:
        return "domain_empty"
    normal = unicodedata.normalize("NFC", local)
    if max(len(local), len(normal)) > MAX_LOCAL:
        return "local_too_long"
    if _NOT_LOCAL.search(local) or _NOT_LOCAL.search(normal):
        return "local_char"
    if normal.startswith(".") or normal.endswith(".") or ".." in normal:
        return "local_dot"
    return None


def _explain_domain(domain: str) -> str | None:
    if domain.startswith("[") and domain.endswith("]"):
        return "domain_literal"
    if len(domain) > MAX_DOMAIN:
        return "domain_too_long"
    if not domain.isascii():
        if _NOT_DOMAIN.search(domain):
            return "domain_label"
        # Full-width letters and the ideographic full stop count as their ASCII equals.
        domain = unicodedata.normalize("NFKC", domain).replace("\u3002", ".").lower()
        if "" in domain.split("."):
            return "domain_label"
    elif not _HOST_NAME.match(domain) or max(map(len, domain.split("."))) > MAX_LABEL:
        return "domain_label"
    last = domain.rpartition(".")[2]
    if last == domain or _SPECIAL_USE.search("." + last) or last.isdigit():
        return "domain_no_tld"
    if domain.isascii() and not last[-1].isalpha():
        return "domain_no_tld"
    return None


def _explain_rest(local: str, domain: str) -> str:
    if len(f"{local}@{domain}".encode()) > MAX_ADDRESS:
        return "local_too_long" if len(local.encode()) > MAX_LOCAL else "domain_too_long"
    plain = bool(_PLAIN_LOCAL.match(local)) or not local.isascii()
    if plain and domain.isascii() and "--" not in domain:
        return "domain_too_long"
    return "domain_label"


def _unsafe(part: str) -> bool:
    """Whether the judge calls a character of this part unsafe: a leading mark, spaces but the plain one, class C."""
    if part and unicodedata.category(part[0])[0] == "M":
        return True
    return any(unicodedata.category(character)[0] in "CZ" and character != " " for character in part)


def _repair(text: str) -> str | None:
    """What the writer of a refused text may have meant, if the judge accepts that."""
    if not text or len(text) > MAX_REPAIR or is_placeholder(text) or MOJIBAKE.search(text):
        return None
    line = plain_line(text)
    if _SEVERAL.search(line):
        meant = {_repair_one(token) for token in _TOKEN.findall(line)}
        if len({address.lower() for address in meant if address}) != 1 or None in meant:
            return None
        # Written twice, perhaps in different case: the spelling that sorts last has the fewest capitals.
        return max(address for address in meant if address)
    return _repair_one(line)


def _repair_one(line: str) -> str | None:
    local, at, domain = repair_line(line).rpartition("@")
    if not at:
        return None
    found = _accept(f"{local}@{complete(domain.lower()) or domain}", allow_special_use=False)
    if found is None or is_formula(found[0]) or is_placeholder(f"{found[0]}@{found[1]}"):
        return None
    return f"{found[0]}@{found[1]}"


@lru_cache(maxsize=4096)
def complete(domain: str) -> str | None:
    """The provider's domain meant by a name without a dot: `gmail`, `gmailcom`, `gmailc`, `hotmial`.

    A name without ending goes to the provider's first domain in the list of suggestion targets. None for every other
    text.
    """
    if "." in domain or not domain:
        return None
    if (found := _completions().get(domain)) is not None:
        return found
    # Cut off within the ending: "hotmailco", "yahoocomb".
    begun = [whole for joined, whole in _completions().items() if joined.startswith(domain)]
    cut = [whole for whole in begun if len(domain) > len(whole.partition(".")[0])]
    return cut[0] if cut else provider_of_name(domain)


@lru_cache(maxsize=1)
def _completions() -> dict[str, str]:
    """Provider names without ending and with its dots forgotten -> the domain, most used first."""
    names: dict[str, str] = {}
    for domain, bare_name in suggestion_targets().items():
        if bare_name:
            names.setdefault(domain.partition(".")[0], domain)
        names.setdefault(domain.replace(".", ""), domain)
    return names

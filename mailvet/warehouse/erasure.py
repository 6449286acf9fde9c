"""Erasing one person, or one domain, from the tables that are ours.

Whose rows they are, decided once for all databases.

SQL finds the rows that can be meant (`Wanted.condition`: by key where a key is stored, and every row that holds
something other than one plain address); Python looks at their texts and decides (`Wanted.names`). The address itself
never stands in a statement, only keys.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mailvet.errors import SettingsError
from mailvet.privacy import addresses_in, mask_address
from mailvet.syntax.mailbox_key import key_of, mailbox_of
from mailvet.syntax.parser import Address, ascii_domain, parse
from mailvet.verdict import email_key
from mailvet.warehouse.dialects import Dialect, literal

__all__ = ["COPIES", "FREED_BLOCKS", "OWN_ROWS", "UNNAMED", "Statements", "Wanted", "erase"]

UNNAMED = (
    "Verdicts stored without their address (store.store_addresses = false) are found by key: every spelling that "
    "parses to this mailbox, and the usual other ones. A key of an unusual text around it stays."
)
FREED_BLOCKS = (
    "The database file keeps the freed blocks until DuckDB needs the room. To be rid of them, copy it: ATTACH a new "
    "file and COPY FROM DATABASE."
)
OWN_ROWS = "The rows of your own tables, the status columns and your own events are yours and were left as they are."
COPIES = "Backups, snapshots, replicas, exported files, lists and reports made before are out of reach."
"""What `forget` says that it cannot erase."""

_KEYED = ("mailvet_events", "mailvet_sends", "mailvet_samples")
"""Those that name people by `email_key` and `mailbox_key` alone."""
_KEYS_AT_ONCE = 500
_SEPARATORS = ",;|/:=(<[{"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to be erased: one mailbox in all its spellings, one domain, or a cell that holds no address at all.

    Build it with `of`.
    """

    text: str
    mailbox: str | None = None
    """In the spelling of `mailbox_of`."""
    domain: str | None = None
    """In A-labels."""
    keys: frozenset[str] = field(default=frozenset())
    """Email keys of the usual spellings, for verdicts without their address."""

    @classmethod
    def of(cls, text: str, *, domain: bool = False) -> Wanted:
        """Args: text: an address in any spelling, also wrapped (`Ann <ann@example.com>`).

        A cell that holds none; or a domain. domain: everybody at this domain.

        Raises:
            SettingsError: a domain without `domain`, no domain with it, or more than one address.
        """
        text = text.strip()
        name = ascii_domain(text.lstrip("@").rstrip(".").lower(), allow_special_use=True) if "." in text else None
        if domain:
            if name is None:
                raise SettingsError(
                    f"{mask_address(text)} is no domain. Write for example: forget --domain example.com"
                )
            return cls(text, domain=name, keys=frozenset({email_key(text)}))
        if name is not None:
            raise SettingsError(
                f"{name} is a domain, not an address. To erase everybody at it, write: forget --domain {name}"
            )
        mailboxes = set(_mailboxes(text))
        if not mailboxes:
            if not text:
                raise SettingsError("Nothing was named. Write the address to erase.")
            return cls(text, keys=frozenset(map(email_key, _spellings(text))))
        if len(set(addresses_in(_plain(text)))) > 1:
            raise SettingsError("This holds more than one address. Erase them one at a time.")
        whole = _whole_mailbox(text)
        keys = {email_key(spelling) for written in (text, whole) for spelling in _spellings(written)}
        return cls(text, mailbox=whole, keys=frozenset(keys))

    def names(self, text: str | None) -> bool:
        """Whether a text holds what is to be erased, in whatever spelling."""
        if not text:
            return False
        if self.mailbox is None and self.domain is None:
            return _folded(text) == _folded(self.text)
        forms = dict.fromkeys((text, _plain(text)))
        if self.domain is not None:
            return any(_ascii(found.domain) == self.domain for form in forms for found in addresses_in(form))
        return any(mailbox == self.mailbox for form in forms for mailbox in _mailboxes(form))

    def is_part_of(self, domain: str) -> bool:
        """Whether what stands behind the last @ of a cell is the domain, or holds something of the mailbox."""
        local = self.mailbox.rpartition("@")[0] if self.mailbox else self.text
        return _ascii(domain) == self.domain or (len(local) > 2 and _folded(local) in _folded(domain))

    def condition(self, say: Dialect) -> str:
        """A SQL condition on rows of `mailvet_verdicts` that holds for all that can be meant, and for few others."""
        email, suggestion, reply, evidence = map(say.own, ("email", "suggestion", "smtp_reply", "evidence"))
        parts = [f"email_key in ({_listed(self.keys)})"]
        if self.mailbox is not None:
            local, _, domain = self.mailbox.rpartition("@")
            # A quotation mark or a star at its front is part of a valid local part, and glued to it all the same.
            glued = [self.mailbox, *(f"{mark}{local}@{domain}" for mark in "'`*=/")]
            parts.append(f"mailbox_key in ({_listed(map(key_of, glued))})")
        if self.domain is not None:
            parts.append(f"{say.own('domain')} = {literal(self.domain)}")
        parts += [
            f"(mailbox_key is null and {email} is not null)",
            f"{email} like '%@%@%'",
            f"({email} is not null and {say.not_ascii(email)})",
            f"{suggestion} is not null",
            f"{reply} like '%@%'",
            f"{evidence} like '%@%'",
            f"{evidence} like '%\uff20%'",
            f"{evidence} like '%duplicate_of%'",
        ]
        return f"({' or '.join(parts)})"


def _spellings(text: str) -> Iterator[str]:
    """The usual ways to write an address, whose keys stand for it where addresses are not stored."""
    plain = _plain(text)
    found = next(addresses_in(plain), None)
    inner = f"{found.local}@{found.domain}" if found else text
    local, _, domain = inner.rpartition("@")
    cases = [text, inner, *(fold(inner) for fold in (str.lower, str.upper, str.title, str.capitalize))]
    if local:
        cases += [f"{local}@{domain.lower()}", f"{local}@{_ascii(domain)}", f"{local.lower()}@{_unicode(domain)}"]
        cases += [case.replace("@", "\uff20") for case in (inner, inner.lower())]
    for case in dict.fromkeys(cases):
        for form in ("NFC", "NFD"):
            spelt = unicodedata.normalize(form, case)
            yield from (f"{before}{spelt}{after}" for before in ("", " ") for after in ("", " ", ".", ","))
            yield from (f"<{spelt}>", f"mailto:{spelt}")


def _plain(text: str) -> str:
    """A text without the ways to hide an address in it: compatibility forms, invisible characters, HTML, URL codes."""
    text = unicodedata.normalize("NFKC", html.unescape(unquote(text)))
    return "".join(letter for letter in text if unicodedata.category(letter) != "Cf")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _ascii(domain: str) -> str:
    name = _joined(domain).strip().rstrip(".").lower()
    return ascii_domain(name, allow_special_use=True) or name


def _unicode(domain: str) -> str:
    import idna

    try:
        return idna.decode(_ascii(domain))
    except UnicodeError:  # idna.IDNAError is one
        return domain


def _joined(domain: str) -> str:
    """A domain whose dots were written as words."""
    return re.sub(r"\s*[(\[{<]?\s*\b(?:dot|punkt|point|punto)\b\s*[)\]}>]?\s*", ".", domain, flags=re.IGNORECASE)


def _whole_mailbox(text: str) -> str:
    """The mailbox of a text with one address."""
    plain = _plain(text).strip().strip("'`*")
    found = parse(plain, allow_special_use=True)
    if isinstance(found, Address):
        return mailbox_of(found.local, found.domain)
    return next(iter(_mailboxes(plain)))


def _mailboxes(text: str) -> Iterator[str]:
    """The mailboxes of all addresses in a text; also of what stands behind a separator glued to one."""
    whole = parse(text, allow_special_use=True)
    if isinstance(whole, Address):
        yield mailbox_of(whole.local, whole.domain)
    for found in addresses_in(text):
        domain = _ascii(found.domain)
        local = found.local.strip()
        if len(local) > 1 and local[0] == local[-1] == '"':
            local = local[1:-1].replace("\\", "")
        starts = [0, *(place + 1 for place, letter in enumerate(local) if letter in _SEPARATORS)]
        for start in starts:
            part = unicodedata.normalize("NFC", local[start:].strip("\"'` "))
            if part:
                yield mailbox_of(part, domain)


# -------------------------------------------------------------------- the statements


@dataclass(frozen=True, slots=True)
class Statements:
    """What a database can do for `erase`."""

    say: Dialect
    rows: Callable[[str], Sequence[tuple[Any, ...]]]
    execute: Callable[[str], Any]
    has: Callable[[str], bool]


def erase(wanted: Wanted, database: Statements) -> int:
    """Erase from every table of ours; in one transaction of the caller's.

    Returns:
        How many verdicts were erased. They are made anew when a run meets such a cell again.
    """
    erased: set[str] = set()
    mailboxes = {key_of(wanted.mailbox)} if wanted.mailbox is not None else set()
    if database.has("mailvet_verdicts"):
        erased, of_domain = _verdicts_meant(wanted, database)
        mailboxes |= of_domain
        _delete(database, "mailvet_verdicts", "email_key", erased)
    for table in filter(database.has, _KEYED):
        _delete(database, table, "email_key", erased | wanted.keys)
        _delete(database, table, "mailbox_key", mailboxes)
    _erase_names(wanted, database)
    return len(erased)


def _erase_names(wanted: Wanted, database: Statements) -> None:
    """The rows that name a person in a domain or in the name of a file."""
    if database.has("mailvet_shards"):
        named = {
            str(name)
            for (name,) in database.rows(f"select distinct {database.say.own('domain')} from mailvet_shards")
            if name and wanted.is_part_of(str(name))
        }
        _delete(database, "mailvet_shards", database.say.own("domain"), named)
    if database.has("mailvet_runs"):
        source = database.say.own("source")
        runs = database.rows(f"select run_id, {source} from mailvet_runs where {source} like '%@%'")
        _delete(
            database, "mailvet_runs", "run_id", {str(run) for run, name in runs if _in_file_name(wanted, str(name))}
        )
    if database.has("mailvet_outputs"):
        outputs = database.rows("select path, digest from mailvet_outputs where path like '%@%'")
        digests = {str(digest) for path, digest in outputs if _in_file_name(wanted, str(path))}
        _delete(database, "mailvet_outputs", "digest", digests)


def _delete(database: Statements, table: str, column: str, values: Collection[str]) -> None:
    """Delete the rows with these values in a column, some hundred in a statement."""
    for listed in _chunks(values):
        database.execute(f"delete from {table} where {column} in ({listed})")


def _in_file_name(wanted: Wanted, name: str) -> bool:
    """A file may be named after a person: `ann@example.com.csv.gz`."""
    while not wanted.names(name):
        name, dot, ending = name.rpartition(".")
        if not dot or "@" in ending:
            return False
    return True


def _verdicts_meant(wanted: Wanted, database: Statements) -> tuple[set[str], set[str]]:
    """The keys of the verdicts, and the mailboxes of those that are of the wanted domain."""
    columns = ", ".join(map(database.say.own, ("email", "suggestion", "smtp_reply", "evidence", "domain")))
    found = database.rows(
        f"select email_key, mailbox_key, {columns} from mailvet_verdicts where {wanted.condition(database.say)}"
    )
    mailbox = key_of(wanted.mailbox) if wanted.mailbox is not None else None
    meant = {
        str(key)
        for key, own_mailbox, *texts, domain in found
        if key in wanted.keys
        or (mailbox is not None and own_mailbox == mailbox)
        or (wanted.domain is not None and domain == wanted.domain)
        or any(wanted.names(text) for text in texts)
    }
    of_domain = {
        str(own) for _, own, *_, domain in found if own and wanted.domain is not None and domain == wanted.domain
    }
    # Another spelling of a mailbox says by key which one it doubles.
    meant |= {
        str(key)
        for key, _, *texts, _ in found
        if "duplicate_of" in str(texts[3]) and _holds_one_of(str(texts[3]), meant | wanted.keys)
    }
    return meant, of_domain


def _holds_one_of(evidence: str, keys: Collection[str]) -> bool:
    return any(key in keys for key in re.findall(r"\b[0-9a-f]{64}\b", evidence))


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(map(literal, sorted(keys))) or "''"


def _chunks(keys: Collection[str]) -> Iterator[str]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        yield _listed(ordered[start : start + _KEYS_AT_ONCE])

"""The user's own lists of addresses and domains: always good, never to be mailed, to be let through."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mailvet.errors import SettingsError
from mailvet.privacy import mask_address
from mailvet.reference.updated_list import kept_digest
from mailvet.syntax import parser
from mailvet.syntax.mailbox_key import mailbox_of

__all__ = ["OwnList", "OwnLists", "by_mailbox"]


@dataclass(frozen=True, slots=True)
class OwnList:
    """One list of the user's."""

    addresses: frozenset[str] = frozenset()
    """Whole addresses, lower-case, ASCII domain."""
    domains: frozenset[str] = frozenset()
    """From entries such as "acme.com": the domain and everything under it."""
    only_domains: frozenset[str] = frozenset()
    """From entries such as "@acme.com": the domain itself, not what is under it."""

    def __bool__(self) -> bool:
        return bool(self.addresses or self.domains or self.only_domains)


@lru_cache(maxsize=16)
def by_mailbox(addresses: frozenset[str]) -> Mapping[str, str]:
    """The mailboxes of a list (`mailvet.syntax.mailbox_key.mailbox_of`) -> the address that names it there."""
    return {mailbox_of(*_parted(address)): address for address in sorted(addresses, reverse=True)}


def _parted(text: str) -> tuple[str, str]:
    local, _, domain = text.rpartition("@")
    return local, domain


_FILE_ENDINGS = (".txt", ".csv", ".tsv", ".list", ".lst")
_HEADERS = frozenset({"email", "e-mail", "email_address", "email address", "address", "domain", "entry", "mail"})


@dataclass(frozen=True, slots=True)
class OwnLists:
    """The user's own lists.

    Suppress is stronger than allow, allow is stronger than deny and than every public list. Build it with
    `OwnLists.load`.
    """

    allow: OwnList = OwnList()
    deny: OwnList = OwnList()
    suppress: OwnList = OwnList()
    extra_disposable: OwnList = OwnList()
    traps: OwnList = OwnList()

    @classmethod
    def load(
        cls,
        *,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        suppress: Sequence[str] = (),
        extra_disposable: Sequence[str] = (),
        traps: Sequence[str] = (),
    ) -> OwnLists:
        """Read the lists.

        Each is a sequence of entries and of paths. An entry is an address, a domain ("acme.com", with everything under
        it) or "@acme.com" (that domain alone). A path has a slash in it or ends in .txt, .csv, .tsv, .list or .lst; the
        file holds one entry a line (UTF-8, first column, `#` starts a comment, a header line is passed over).

        Raises:
            SettingsError: a file is missing, or an entry is none of the above. Names the list and the line.
        """
        return cls(
            allow=_own_list("allow", allow),
            deny=_own_list("deny", deny),
            suppress=_own_list("suppress", suppress),
            extra_disposable=_own_list("extra_disposable", extra_disposable),
            traps=_own_list("traps", traps),
        )

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change whenever any list does, an updated list of disposable domains included.

        Empty where there are only packaged lists.
        """
        found = hashlib.sha256(kept_digest().encode())
        for name in ("allow", "deny", "suppress", "extra_disposable", "traps"):
            entries: OwnList = getattr(self, name)
            for kind in (
                entries.addresses,
                entries.domains,
                {f"@{domain}" for domain in entries.only_domains},
            ):
                found.update("".join(f"{name}:{entry}\n" for entry in sorted(kind)).encode())
        return found.hexdigest()[:12] if self or kept_digest() else ""

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.suppress or self.extra_disposable or self.traps)


def _own_list(name: str, values: Sequence[str]) -> OwnList:
    addresses, domains, only_domains = set(), set(), set()
    for where, entry in _entries(name, values):
        if entry.startswith("@"):
            domain = parser.ascii_domain(entry[1:], allow_special_use=True)
            if domain is None:
                raise _unreadable(where, entry)
            only_domains.add(domain)
        elif "@" in entry:
            found = parser.parse(entry, allow_special_use=True)
            if isinstance(found, parser.Address):
                addresses.add(found.text.lower())
            elif found.code == "placeholder":  # "none@none.com" on a list of the user's is meant
                addresses.add(entry.lower())
            else:
                raise _unreadable(where, entry)
        else:
            domain = parser.ascii_domain(entry, allow_special_use=True)
            if domain is None:
                raise _unreadable(where, entry)
            domains.add(domain)
    return OwnList(frozenset(addresses), frozenset(domains), frozenset(only_domains))


def _unreadable(where: str, entry: str) -> SettingsError:
    return SettingsError(
        f"{where}: {mask_address(entry)!r} is neither an address nor a domain; "
        "write 'ann@acme.com', 'acme.com' (with its subdomains) or '@acme.com'"
    )


def _entries(name: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Where each entry stands, and the entry; files are read."""
    for number, value in enumerate(values, 1):
        text = value.strip()
        if "/" in text or "\\" in text or text.lower().endswith(_FILE_ENDINGS):
            yield from _file_entries(name, text)
        elif text:
            yield f"lists.{name}, entry {number}", text


def _file_entries(name: str, path: str) -> Iterator[tuple[str, str]]:
    try:
        lines: Iterable[str] = Path(path).expanduser().read_text("utf-8-sig").splitlines()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"lists.{name}: the file {path} cannot be read ({reason}); correct the path") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"lists.{name}: the file {path} is not UTF-8 text; save it as such") from error
    for number, line in enumerate(lines, 1):
        entry = re.split(r"[,;\t]", line.partition("#")[0], maxsplit=1)[0].strip().strip("\"'").strip()
        if entry and not (number == 1 and entry.lower() in _HEADERS):
            yield f"lists.{name}, {path} line {number}", entry

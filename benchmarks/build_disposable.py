"""
Write `mailvet/data/disposable_domains.csv` from packages that carry lists of disposable domains.

`python -m benchmarks.build_disposable FOLDER`, where FOLDER holds the unpacked packages named in `LINEAGES`, each in a
folder `name-version`, as `npm pack` and `tar` leave them. Nothing is downloaded here.

Big lists copy one another, so entries are counted by lineage and not by list: lists of which one holds more than two
thirds of another are one lineage together, and of a list that copies others only what none of those holds counts as its
own. A domain is written where two lineages agree, and where fakefilter has it, which reads the domains off the services
themselves. Real mailbox providers stand in every one of these lists; they are left out when the file is read
(`mailbox_providers.csv`), so that an entry there holds for newer lists as well.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mailvet.syntax.parser import ascii_domain

__all__ = ["LINEAGES", "SOURCES", "main", "votes"]

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "mailvet" / "data" / "disposable_domains.csv"


class Source(NamedTuple):
    """One list in a package."""

    package: str
    path: str
    lineage: str
    """A letter of `LINEAGES`."""
    copies: str
    """Lineages whose entries it repeats; what they hold is not counted as its own."""


LINEAGES: Final = {
    "d": "disposable-email-domains (reviewed pull requests)",
    "f": "fakefilter (domains read off the services)",
    "i": "ivolo/disposable-email-domains, burner-email-providers, freemail and is-disposable-email-domain",
    "m": "mailchecker",
    "s": "disposable/disposable, its own finds",
    "t": "disposable-domains (tompec), its own finds",
}

SOURCES: Final = (
    Source("fakefilter-0.1.1476", "package/txt/data.txt", "f", ""),
    Source("disposable-email-domains-1.0.62", "package/index.json", "i", ""),
    Source("burner-email-providers-1.0.67", "package/emails.txt", "i", ""),
    Source("freemail-1.7.0", "package/data/disposable.txt", "i", ""),
    Source("is-disposable-email-domain-1.0.7", "package/data/disposable.txt", "i", ""),
    Source("mailchecker-6.0.21", "package/platform/node/index.js", "m", ""),
    Source("disposable-domains-2.0.1", "package/index.json", "t", "i"),
    Source("dahoom-disposable-email-0.3.253", "package/domains.json", "s", "im"),
)


def votes(folder: Path) -> dict[str, str]:
    """Domain -> the letters of the lineages that call it disposable, in order."""
    from disposable_email_domains import blocklist

    found: dict[str, set[str]] = {letter: set() for letter in LINEAGES}
    found["d"] = set(blocklist)
    for source in SOURCES:
        domains = set(_domains(folder / source.package / source.path))
        for other in source.copies:
            domains -= found[other]
        found[source.lineage] |= domains
    letters: dict[str, str] = {}
    for letter in sorted(found):
        for domain in found[letter]:
            letters[domain] = letters.get(domain, "") + letter
    return letters


def _domains(path: Path) -> Iterator[str]:
    readers: Mapping[str, Callable[[str], Sequence[str]]] = {
        ".txt": lambda text: [line for line in text.splitlines() if not line.startswith("#")],
        ".json": json.loads,
        ".js": lambda text: re.findall(r"""["']([a-z0-9.-]+\.[a-z0-9-]+)["']""", text),
    }
    for name in readers[path.suffix](path.read_text("utf-8")):
        if (domain := ascii_domain(name.strip().lower())) is not None:
            yield domain


def main(arguments: Sequence[str]) -> int:
    """Write the file."""
    from mailvet.data import lists

    letters = votes(Path(arguments[0]))
    agreed = {domain for domain, who in letters.items() if len(who) > 1 or who == "f"} - lists.mailbox_providers()
    rows = sorted(
        (domain, letters[domain])
        for domain in agreed
        # What lies under a listed name counts with it.
        if not any(above in agreed for above in lists.names_above(domain))
    )
    about = [
        "# Domains of throw-away addresses that two independent lineages of lists agree on, or that were read off the",
        "# services themselves. Subdomains count too. Written by benchmarks/build_disposable.py.",
        "# lineages: " + "; ".join(f"{letter} = {name}" for letter, name in LINEAGES.items()),
        "# source: packages " + ", ".join(source.package for source in SOURCES) + ", disposable-email-domains (PyPI)",
        "# version: 2026.12",
        "# licence: MIT, ISC, BSD-3-Clause and CC0-1.0; notices in disposable_domains.licences.txt",
        "# date: 2026-12-01",
    ]
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        file.write("\n".join(about) + "\n")
        csv.writer(file, lineterminator="\n").writerows([("domain", "lineages"), *rows])
    print(f"{len(rows):,} domains of {len(letters):,} written to {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

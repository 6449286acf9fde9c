"""Write the vectors that Python and SQL have to judge alike: `python tests/dbt/make_vectors.py`.

The cells come from the judged addresses and the typo table of the core's tests, from the generators of the benchmarks
and the lab, from every list of reference data, and from slips made of all these; the expected answers are the core's
at depth offline. Cells are written in hexadecimal UTF-8, since a seed trims, guesses types and reads "null" as nothing.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import mailvet  # noqa: E402
from mailvet.data import lists  # noqa: E402
from mailvet.reference import domains, roles  # noqa: E402

VECTORS = ROOT / "dbt_macros" / "integration_tests" / "seeds" / "data_vectors.csv"
HEADER = ("cell_hex", "status", "reason", "suggestion_hex", "flags", "about")
ABOUT = (
    "source: written by tests/dbt/make_vectors.py from the project's own tests, generators and lists; "
    "licence: Apache-2.0; date: 2026-11-22"
)
FLAGS = ("free", "role", "disposable", "relay_alias")
"""The flags that SQL finds too."""


def cells() -> list[str]:
    """Distinct texts from a fixed seed, in the order they were thought of."""
    found = dict.fromkeys(text for text in _cells() if "\x00" not in text)  # PostgreSQL's texts hold no NUL
    return [text for text in found if text.encode("utf-8", "ignore").decode() == text]


def _cells() -> Iterator[str]:
    from benchmarks.syntax import mixed_cells
    from mailvet.lab import Lab, contact_table

    for group in json.loads((ROOT / "tests" / "data" / "judged_addresses.json").read_text("utf-8")).values():
        yield from _texts_of(group)
    with (ROOT / "tests" / "data" / "typos.csv").open(encoding="utf-8") as file:
        for row in csv.reader(line for line in file if not line.startswith("#")):
            yield f"ann@{row[0]}"
    yield from (text or "" for text in mixed_cells(4_000, seed=11))
    people = contact_table(Lab(seed=7).world, rows=1_500, seed=7)
    yield from (text or "" for text in people.column("email").to_pylist())
    choice = random.Random(5)
    names, free = sorted(roles.role_names()), sorted(domains.free_domains())
    disposable, relay, typos = sorted(domains.disposable_domains()), sorted(lists.relay_domains()), lists.typo_domains()
    for name in choice.sample(names, 300):
        yield f"{choice.choice((name, name.upper(), name.title()))}{choice.choice(('', '', '+x'))}@example.com"
    for domain in choice.sample(disposable, 300):
        yield f"{choice.choice(('bob', 'info', '+bob', 'Bob.B'))}@{choice.choice(('', '', 'mail.', 'a.b.c.'))}{domain}"
    for domain in choice.sample(free, 150) + sorted(domains.never_disposable_domains())[::97] + relay:
        yield f"Cara@{choice.choice(('', 'x.'))}{domain.upper() if choice.random() < 0.2 else domain}"
    for domain in choice.sample(sorted(typos), 250):
        yield f"{choice.choice(('Dan', 'Sales', 'INFO', '-dan', '=1+1', '+d'))}@{domain}"
    yield from _lengths()
    yield from _hyphens()
    yield from _slips(choice)


def _texts_of(group: object) -> Iterator[str]:
    if isinstance(group, str):
        yield group
    elif isinstance(group, dict):
        for key, value in group.items():
            yield key
            yield from _texts_of(value) if isinstance(value, (dict, list)) else ()
    elif isinstance(group, list):
        for value in group:
            yield from _texts_of(value)


def _lengths() -> Iterator[str]:
    """Around every limit: 64 for the local part and a label, 254 for the whole, 1,000 for a cell."""
    for count in (1, 63, 64, 65, 66):
        yield f"{'a' * count}@example.com"
        yield f"a@{'b' * count}.com"
        yield f"a@{'b' * count}.{'c' * count}.com"
        yield f"a@example.{'c' * count}"
    for total in (253, 254, 255, 256, 999, 1000, 1001):
        for local in (1, 10, 64):
            labels = "." + ".".join(["d" * 50] * 30)
            yield f"{'a' * local}@{labels[-(total - local - 5) :].lstrip('.')}.com"[:total]
        yield "x" * total
        yield " " * total + "a@example.com"


def _hyphens() -> Iterator[str]:
    for domain in (
        "a--b.com",
        "ab--c.com",
        "abc--d.com",
        "a---b.com",
        "-a.com",
        "a-.com",
        "xn--mnchen-3ya.de",
        "xn--abc.com",
        "XN--MNCHEN-3YA.de",
        "xn---.com",
        "xn--a.com",
        "a.xn--p1ai",
        "x--n.com",
        "aa--.com",
        "--aa.com",
        "aa--bb.co--m",
        "b.ab--c",
        "exa_mple.com",
        "a..com",
        ".a.com",
        "a.com.",
        "a",
        "com",
        "1.2.3.4",
        "[1.2.3.4]",
        "a.c0m",
        "a.c0",
        "localhost",
        "a.local",
        "a.TEST",
        "test",
        "a.invalid",
        "a.onion",
        "4.in-addr.arpa",
        "home.arpa",
        "example.test",
        "mytest",
        "my.latest",
        "a.co-m",
        "a.c-o",
        "a.-com",
    ):
        for local in ("ann", "a--b", "xn--a", "an n", "ann.", ".ann", "a..n", '"ann"', "a'b", "a`{|}~^b"):
            yield f"{local}@{domain}"


def _slips(choice: random.Random) -> Iterator[str]:
    """Good addresses with one or two characters put in, left out or exchanged."""
    alphabet = " @.,;:<>()[]\\\"'-_+=*/%&!?#$^`{|}~\t\n\r\x0b\x0c\x1c\x1f\x7fäßИ中éA9"
    alphabet += "\x85\xa0\u200b\u2007\u3000\ufeff\uff20\u0301"
    good = ["ann.lee@example.com", "Bob+tag@mail.example.co.uk", "info@gmial.com", "x_y-z@mailinator.com", "a@b.io"]
    for _ in range(1_500):
        text = choice.choice(good)
        for _ in range(choice.choice((1, 1, 2))):
            place = choice.randrange(len(text) + 1)
            text = text[:place] + choice.choice(alphabet) + text[place + choice.choice((0, 1)) :]
        yield text
    for white in "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\u200b\ufeff":
        yield from (f"{white}ann@example.com", f"ann@example.com{white}", f"{white}x{white}", white, f"a{white}b@c.com")


def rows() -> list[tuple[str, ...]]:
    """Each cell with the core's answer."""
    texts = cells()
    verdicts = mailvet.verify_many(texts, depth="offline", settings=mailvet.Settings()).to_pylist()
    made: list[tuple[str, ...]] = []
    for text, verdict in zip(texts, verdicts, strict=True):
        # SQL corrects known misspellings of domains; every other suggestion is the core's own.
        suggestion = verdict["suggestion"] if verdict["domain"] in lists.typo_domains() else None
        if suggestion and suggestion.rpartition("@")[0].lower() not in text.lower():
            suggestion = None
        if suggestion and text.strip()[:1] in "'`*#|~%":
            suggestion = None
        flags = ",".join(flag for flag in FLAGS if flag in verdict["flags"].split(","))
        made.append(
            (text.encode().hex(), verdict["status"], verdict["reason"], (suggestion or "").encode().hex(), flags, "")
        )
    made[0] = (*made[0][:-1], ABOUT)
    return made


def main() -> None:
    """Write the file."""
    with VECTORS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        made = rows()
        writer.writerows(made)
    print(f"{len(made)} vectors in {VECTORS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""A contact table as companies have them, drawn from a world.

Duplicates, blanks, misspelt and mangled cells, dead domains, people who have left, and sources of different quality.
The same world, size and seed give the same table.

Of the rows about 63 % lead to a mailbox that takes mail, 15 % repeat an earlier row, 2 % are blank.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

import idna
import pyarrow as pa

from mailvet.errors import SourceError
from mailvet.lab.names import LANGUAGES, local_part, person
from mailvet.lab.world import ROLE_NAMES, Mailbox, World

if TYPE_CHECKING:
    from pathlib import Path

    from mailvet.lab.world import Truth

__all__ = ["contact_table", "truth_table", "write_contacts"]

CONTACTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("email", pa.string()),
        pa.field("country", pa.string()),
        pa.field("language", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("signed_up", pa.date32(), nullable=False),
    ]
)

TRUTH_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("email", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("exists", pa.bool_()),
        pa.field("live", pa.bool_(), nullable=False),
        pa.field("dead_and_server_answers", pa.bool_(), nullable=False),
        pa.field("expected_status", pa.list_(pa.string()), nullable=False),
    ]
)

# Source of a contact, its share of the rows, how bad it is (1: average), first and last year of sign-up.
_SOURCES: tuple[tuple[str, int, float, int, int], ...] = (
    ("webshop", 34, 0.55, 2020, 2025),
    ("app", 12, 0.40, 2022, 2025),
    ("newsletter", 18, 0.90, 2018, 2025),
    ("crm", 10, 0.80, 2016, 2025),
    ("fair", 9, 1.55, 2017, 2025),
    ("import-2019", 11, 2.10, 2012, 2019),
    ("partner-list", 6, 2.00, 2018, 2023),
)

# What is wrong with a contact that is not simply a person's working address; weights among those.
_TROUBLES: tuple[tuple[str, int], ...] = (
    ("unknown_mailbox", 360),
    ("state", 150),
    ("dead_domain", 130),
    ("mangled", 85),
    ("no_address", 40),
    ("typo", 65),
    ("disposable", 75),
    ("no_mail", 22),
    ("null_mx", 18),
    ("unroutable", 15),
    ("dns_failing", 14),
    ("blank", 65),
)
_TROUBLED = 0.375
"""Share of distinct rows with a trouble, over all sources."""
_DUPLICATES = 0.15

_NO_ADDRESSES = (
    "n/a",
    "-",
    "none",
    "unknown",
    "keine",
    "test",
    "x",
    "0049 170 5550123",
    "see notes",
    "www.acme.example",
    "#REF!",
    "info@@gmail",
    "user@gmailcom",
    "@gmail.com",
    "ann@",
    "ann at gmail dot com",
    "ann..lee@gmail.com",
    ".ann@outlook.com",
    "ann.@web.de",
    "ann lee@gmail.com",
    "ann@gmail..com",
    "ann@-acme.example",
    "ann@127.0.0.1",
    "ann@[127.0.0.1]",
)


class _ContactGenerator:
    """The people of the table: the mailboxes and domains of the world, sorted by their truth."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.live: list[Mailbox] = []
        self.states: list[Mailbox] = []
        self.domains: dict[str, list[str]] = defaultdict(list)
        self.population: list[str] = []
        seen: set[str] = set()
        for box in world.mailboxes.values():
            (self.live if box.state in ("live", "forwarded", "throttled") else self.states).append(box)
            domain = box.address.rpartition("@")[2]
            if domain not in seen:
                seen.add(domain)
                self.domains[world.truth(f"no.such.mailbox@{domain}").kind].append(domain)
            self.population.append(domain)
        rng.shuffle(self.live)
        rng.shuffle(self.states)
        self._drawn = {"live": 0, "states": 0}
        failing = set(self.domains["dns_failing"])
        self.out_of_sight = [box for box in self.live if box.address.rpartition("@")[2] in failing]
        for domain in world.domains:
            if domain not in seen:
                self.domains[world.truth(f"no.such.mailbox@{domain}").kind].append(domain)

    def without_mailbox(self, domain: str) -> tuple[str, str, str, str]:
        """Address, name, country and language of a person without a mailbox at that domain."""
        rng = self.rng
        while True:
            who = person(rng, rng.choice(tuple(LANGUAGES)))
            address = f"{local_part(rng, who, business=rng.random() < 0.5)}@{domain}"
            if self.world.find(address) is None:
                return address, who.name, who.country, who.language

    def working(self) -> tuple[str, str, str, str]:
        """A person whose mailbox takes mail; a second time only after all others had their turn."""
        return self._next("live", self.live)

    def failing(self) -> tuple[str, str, str, str]:
        """A person whose mailbox is full, disabled, moved, ..."""
        return self._next("states", self.states)

    def owner(self, box: Mailbox) -> tuple[str, str, str, str]:
        """The owner of a mailbox."""
        return box.address, box.name, box.country, box.language

    def _next(self, kind: str, boxes: list[Mailbox]) -> tuple[str, str, str, str]:
        box = boxes[self._drawn[kind] % len(boxes)]
        self._drawn[kind] += 1
        return self.owner(box)


_FIXABLE: tuple[Callable[[str], str], ...] = (
    lambda address: f" {address}",
    lambda address: f"{address} ",
    lambda address: f"\t{address}",
    lambda address: f"{address}\r\n",
    lambda address: f"\u00a0{address}",
    lambda address: address.upper(),
)

_MANGLED: tuple[Callable[[str, str], str], ...] = (
    lambda address, name: f"mailto:{address}",
    lambda address, name: f"{name} <{address}>",
    lambda address, name: f"<{address}>",
    lambda address, name: f'"{name}" <{address}>',
    lambda address, name: address.replace("@", "\uff20"),
    lambda address, name: address.replace("@", "@@"),
    lambda address, name: f"{address}; office@{address.rpartition('@')[2]}",
    lambda address, name: f"{address}, {address}",
    lambda address, name: f"{address},",
    lambda address, name: f"{address}.",
    lambda address, name: f"{address};",
    lambda address, name: address.replace("@", "\x07@"),
    lambda address, name: address.replace("@", " @ "),
    lambda address, name: address.replace("@", "@\u200b"),
    lambda address, name: address.replace("@", ""),
    lambda address, name: address.replace("@", "(at)"),
    lambda address, name: re.sub(r"@.*", lambda match: match[0].replace(".", ""), address),
)

_REPEATED: tuple[Callable[[str], str], ...] = (
    lambda cell: cell,
    lambda cell: cell,
    lambda cell: cell,
    lambda cell: cell.upper(),
    lambda cell: cell.title(),
    lambda cell: f"{cell} ",
    lambda cell: f" {cell}",
)


def contact_table(world: World, rows: int = 10_000, seed: int = 7) -> pa.Table:
    """A table of `rows` contacts: id, name, email, country, language, source, signed_up.

    Blank cells are NULL or white space. Works with any world that has at least one mailbox; where a kind of trouble has
    no domain in the world, its share goes to unknown mailboxes.
    """
    rng = random.Random(seed)
    generator = _ContactGenerator(world, rng)
    if not (generator.live or generator.states):
        raise ValueError("contacts need a world with at least one mailbox")
    weights = [share for _, share, _, _, _ in _SOURCES]
    average = sum(share * bad for _, share, bad, _, _ in _SOURCES) / sum(weights)
    troubles, how_often = zip(*_TROUBLES, strict=True)

    written: list[tuple[str | None, str, str, str]] = []
    columns: dict[str, list[object]] = {name: [] for name in CONTACTS_SCHEMA.names}
    for number in range(1, rows + 1):
        source, _, bad, first, last = rng.choices(_SOURCES, weights)[0]
        if written and rng.random() < _DUPLICATES:
            email, name, country, language = rng.choice(written)
            if email is not None and email.isascii():
                email = rng.choice(_REPEATED)(email)
        elif generator.live and rng.random() >= _TROUBLED * bad / average:
            email, name, country, language = _working(generator)
        else:
            email, name, country, language = _troubled(generator, rng.choices(troubles, how_often)[0])
        written.append((email, name, country, language))
        signed_up = date(first, 1, 1) + timedelta(days=rng.randrange(365 * (last - first + 1)))
        row = (number, name or None, email, country or None, language or None, source, signed_up)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.table(columns, schema=CONTACTS_SCHEMA)


def _working(generator: _ContactGenerator) -> tuple[str | None, str, str, str]:
    """A person's own address, now and then tagged, in capitals, with white space or in letters beyond ASCII."""
    rng = generator.rng
    address, name, country, language = generator.working()
    local, _, domain = address.rpartition("@")
    if "xn--" in domain and rng.random() < 0.5:
        address = f"{local}@{idna.decode(domain)}"
    if local.isascii():
        chance = rng.random()
        if chance < 0.02 and local not in ROLE_NAMES:
            address = f"{local}+{rng.choice(('news', 'shop', 'promo', '2023'))}@{address.rpartition('@')[2]}"
        elif chance < 0.05:
            address = rng.choice(_FIXABLE)(address)
        elif chance < 0.09:
            address = address.title()
    return address, name, country, language


def _troubled(generator: _ContactGenerator, trouble: str) -> tuple[str | None, str, str, str]:
    rng, domains = generator.rng, generator.domains
    if trouble == "blank":
        who = person(rng, rng.choice(tuple(LANGUAGES)))
        cell = rng.choice((None, None, "", " ", "   "))
        return cell, who.name, who.country, who.language
    if trouble == "no_address":
        who = person(rng, rng.choice(tuple(LANGUAGES)))
        return rng.choice(_NO_ADDRESSES), who.name, who.country, who.language
    if trouble == "mangled" and generator.live:
        address, name, country, language = generator.working()
        return rng.choice(_MANGLED)(address, name or "Unknown"), name, country, language
    if trouble == "state" and generator.states:
        return generator.failing()
    if trouble == "dns_failing" and generator.out_of_sight:
        return generator.owner(rng.choice(generator.out_of_sight))
    if domains.get(trouble) and trouble != "unknown_mailbox":
        return generator.without_mailbox(rng.choice(domains[trouble]))
    return generator.without_mailbox(rng.choice(generator.population))


def truth_table(world: World, contacts: pa.Table) -> pa.Table:
    """The truth about every row of a table with the columns `id` and `email`, in its order.

    Id, email, kind, exists (NULL: cannot be known), live, dead_and_server_answers, expected_status. The fields are
    those of `Truth`.
    """
    known: dict[str | None, Truth] = {}
    columns: dict[str, list[object]] = {name: [] for name in TRUTH_SCHEMA.names}
    for number, email in zip(contacts["id"].to_pylist(), contacts["email"].to_pylist(), strict=True):
        truth = known.get(email)
        if truth is None:
            truth = known[email] = world.truth(email)
        row = (
            number,
            email,
            truth.kind,
            truth.exists,
            truth.live,
            truth.dead_and_server_answers,
            list(truth.expected),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.table(columns, schema=TRUTH_SCHEMA)


def write_contacts(contacts: pa.Table, path: Path) -> None:
    """Write a contact table to a new file: `.csv`, `.parquet`, `.jsonl`, or `.duckdb` with the table `contacts`.

    Raises:
        SourceError: the file exists already, or its name says none of these kinds.
    """
    import duckdb

    from mailvet.warehouse.dialects import literal

    if path.exists():
        raise SourceError(f"{path} exists already. Remove it, or choose another name.")
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path)) as database:
            database.register("given", contacts)
            database.execute("create table contacts as select * from given")
        return
    formats = {".csv": "format csv, header true", ".parquet": "format parquet", ".jsonl": "format json"}
    if path.suffix not in formats:
        raise SourceError(f"{path.name}: end the name in .duckdb, {', '.join(formats)}.")
    with duckdb.connect() as database:
        database.register("given", contacts)
        target = literal(str(path.absolute()))  # a relative name may look like a URL
        database.execute(f"copy given to {target} ({formats[path.suffix]})")

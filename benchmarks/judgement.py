"""
How often the judgement is right, layer by layer, on sets of replies, addresses and domains, beside other verifiers.

No network but loopback. A set is "tuned on" where the rules were written with it, "seen" where they were improved after
reading it, and "held out" where they were not. Every share carries its 95 % interval (Wilson) and the size of its set.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import replies
from benchmarks.intervals import wilson
from benchmarks.peers import installed
from benchmarks.processes import ROOT

__all__ = ["markdown", "measure"]

_DATA = ROOT / "tests" / "data"
_OWN = ("probe@sender.test", "mx.sender.test", "192.0.2.25")
_RELAYS = (
    "duck.com",
    "mozmail.com",
    "simplelogin.com",
    "simplelogin.co",
    "aleeas.com",
    "slmail.me",
    "addy.io",
    "anonaddy.com",
    "anonaddy.me",
    "privaterelay.appleid.com",
    "icloud.com",
    "passmail.net",
    "passinbox.com",
    "33mail.com",
)
"""Services whose aliases forward to a mailbox that its owner keeps."""

_PEERS = ("listwash", "pigeontrust", "pyisemail")

Share = tuple[int, int, float, float]
"""Hits, of how many, and the interval."""


def measure(mail_domains: int = 4_000, blocked: int = 40, peers: bool = True) -> dict[str, Any]:
    """
    All figures.

    Args:
        mail_domains: how many of the real mail domains to try.
        blocked: addresses at each lab operator.
        peers: measure the other verifiers that are installed too.
    """
    others = [name for name in _PEERS if peers and installed(name)]
    return {
        "replies": replies.measure(others),
        "syntax": _syntax(others),
        "typos": _typos(others, mail_domains),
        "disposable": _disposable(others),
        "blocked": _blocked(blocked),
    }


def _share(cases: Iterable[bool]) -> Share:
    seen = list(cases)
    return (sum(seen), len(seen), *wilson(sum(seen), len(seen)))


def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


# -------------------------------------------------------------------- syntax


def _syntax(peers: Sequence[str]) -> dict[str, Any]:
    rows = [(row["category"], json.loads(row["address"])) for row in _rows("isemail.csv")]
    valid = [text for category, text in rows if category == "VALID" and "." in text.rpartition("@")[2]]
    errors = [text for category, text in rows if category == "ERR"]
    published = json.loads((_DATA / "judged_addresses.json").read_text("utf-8"))
    cases = [text for name, texts in published.items() if name.startswith("email-validator") for text in texts]
    accepts = _syntax_judges(peers)
    return {
        "shares": {
            name: {"valid": _share(map(judge, valid)), "errors": _share(map(judge, errors))}
            for name, judge in accepts.items()
        },
        "trimmed": sum(_accepted_after_trimming(text) for text in errors),
        "agrees": _share(accepts["mailvet"](text) == accepts["email-validator"](text) for text in cases),
    }


def _accepted_after_trimming(text: str) -> bool:
    from mailvet.syntax.parser import Address, parse

    found = parse(text)
    return isinstance(found, Address) and found.trimmed


def _syntax_judges(peers: Sequence[str]) -> dict[str, Callable[[str], bool]]:
    """Name -> whether it accepts a text as it stands."""
    from email_validator import validate_email

    from mailvet.syntax.parser import Address, parse

    def ours(text: str) -> bool:
        found = parse(text)
        return isinstance(found, Address) and not found.trimmed

    def reference(text: str) -> bool:
        try:
            validate_email(text, strict=True, check_deliverability=False)
        except ValueError:
            return False
        return True

    judges: dict[str, Callable[[str], bool]] = {"mailvet": ours, "email-validator": reference}
    if "pyisemail" in peers:
        judges["pyisemail"] = lambda text: bool(import_module("pyisemail").is_email(text))
    if "listwash" in peers:
        judges["listwash"] = lambda text: bool(import_module("listwash.classify").EMAIL_RE.match(text))
    if "pigeontrust" in peers:
        judges["pigeontrust"] = lambda text: bool(import_module("pigeontrust.syntax").is_valid_syntax(text))
    return judges


# --------------------------------------------------------------------- typos


_COLLECTED_BY_OTHERS = ("collected by others, seen", "the long tail, seen")


def _typos(peers: Sequence[str], mail_domains: int) -> dict[str, Any]:
    from mailvet.reference import domains

    held_out = _rows("typos_held_out.csv")
    sets = {
        "made up by the authors, tuned on": _rows("typos.csv"),
        "collected by others, seen": _rows("typos_public.csv"),
        "the long tail, seen": _rows("typos_long_tail.csv"),
        "met by users in public, seen": _rows("typos_field.csv"),
        "seen typed by others, held out": [row for row in held_out if row["basis"] == "typed"],
        "listed by others, held out": [row for row in held_out if row["basis"] == "listed"],
    }
    real = [row["domain"] for row in _rows("mail_domains.csv")][:mail_domains]
    others = [row["domain"] for row in _rows("real_domains.csv") if not row["domain"].startswith("www.")]
    found: dict[str, Any] = {"real": len(real), "unlisted": sum(name not in domains.mail_domains() for name in real)}
    all_rows = [row for rows in sets.values() for row in rows]
    found["verifiers"] = {
        name: {
            "mended": {
                label: _share(suggest(row["typo"]) == row["meant"] for row in rows) for label, rows in sets.items()
            },
            "wrong": _share(suggest(row["typo"]) not in (None, row["typo"], row["meant"]) for row in all_rows),
            "spoilt": _share(suggest(domain) not in (None, domain) for domain in real),
        }
        for name, suggest in _suggesters(peers).items()
    }
    ours = _suggesters(())["mailvet"]
    found["shown"] = _shown_in_verdicts(sets)
    found["other_real"] = _share(ours(domain) not in (None, domain) for domain in others)
    collected = {(row["typo"], row["meant"]) for label in _COLLECTED_BY_OTHERS for row in sets[label]}
    found["corrected"] = [
        (domain, meant, (domain, meant) in collected)
        for domain in real
        if (meant := ours(domain)) not in (None, domain)
    ]
    return found


def _shown_in_verdicts(sets: dict[str, list[dict[str, str]]]) -> dict[str, Share]:
    """The domains that were meant, as the verdict at depth offline shows them."""
    from mailvet import verify_many

    found = {}
    for label, rows in sets.items():
        verdicts = verify_many([f"ann@{row['typo']}" for row in rows], depth="offline")["suggestion"].to_pylist()
        pairs = zip(verdicts, rows, strict=True)
        found[label] = _share(shown == f"ann@{row['meant']}" for shown, row in pairs)
    return found


def _suggesters(peers: Sequence[str]) -> dict[str, Callable[[str], str | None]]:
    from mailvet import suggest

    def ours(domain: str) -> str | None:
        better = suggest(f"ann@{domain}")
        return better.rpartition("@")[2] if better else None

    suggesters: dict[str, Callable[[str], str | None]] = {"mailvet": ours}
    if "pigeontrust" in peers:
        suggesters["pigeontrust"] = import_module("pigeontrust.heuristics").suggest_domain
    return suggesters


# ---------------------------------------------------------------- disposable


def _disposable(peers: Sequence[str]) -> dict[str, Any]:
    from mailvet import verify_many
    from mailvet.data.operators import mailbox_domains

    def flagged(domains: Sequence[str]) -> list[bool]:
        verdicts = verify_many([f"ann.lee@{domain}" for domain in domains], depth="offline")
        return ["disposable" in flags.split(",") for flags in verdicts["flags"].to_pylist()]

    held_out = [row["domain"] for row in _rows("disposable_held_out.csv")]
    sets = {
        "held out": held_out,
        "relays": list(_RELAYS),
        "operators": sorted(mailbox_domains()),
        "real": [row["domain"] for row in _rows("real_domains.csv")],
    }
    verifiers: dict[str, Any] = {"mailvet": {name: _share(flagged(domains)) for name, domains in sets.items()}}
    missed = [domain for domain, found in zip(held_out, flagged(held_out), strict=True) if not found]
    others: dict[str, Callable[[str], bool]] = {}
    if "listwash" in peers:
        others["listwash"] = lambda domain: domain in import_module("listwash.classify").disposable_domains()
    if "pigeontrust" in peers:
        others["pigeontrust"] = lambda domain: bool(import_module("pigeontrust.heuristics").is_disposable(domain))
    for name, judge in others.items():
        verifiers[name] = {label: _share(map(judge, domains)) for label, domains in sets.items()}
    return {
        "verifiers": verifiers,
        "missed": {domain: _why_missed(domain) for domain in missed},
        "lineages": _without_each_lineage(),
    }


def _why_missed(domain: str) -> str:
    from mailvet.data import lists
    from mailvet.reference import domains

    if domain in lists.relay_domains():
        return "forwards to a mailbox its owner keeps"
    if domain in lists.typo_domains():
        return f"a misspelt {lists.typo_domains()[domain]}"
    return "a mailbox provider" if domain in domains.provider_domains() else "missed"


def _without_each_lineage() -> dict[str, Share]:
    """Of the domains that a lineage and at least one other name, those that the others alone would find."""
    from mailvet.data import lists

    rows = lists.read("disposable_domains").rows
    names = dict(each.split(" = ", 1) for each in lists.read("disposable_domains").about["lineages"].split("; "))

    def found(letters: str) -> bool:
        return len(letters) > 1 or letters in ("d", "f")

    return {
        name: _share(
            found(letters.replace(letter, "")) for _, letters in rows if letter in letters and len(letters) > 1
        )
        for letter, name in names.items()
    }


# ----------------------------------------------------------- operators that block us


def _blocked(people: int, operators: int = 12, blocking: int = 9) -> dict[str, Any]:
    """
    One table, verified twice: first by a world that answers, then, due again and with newcomers, by one where most
    operators refuse us at once.
    """
    import duckdb

    names = [f"operator{number}.test" for number in range(operators)]
    old = [f"{kind}{n}@{name}" for name in names for n in range(people) for kind in ("live", "dead")]
    new = [f"newcomer{n}@{name}" for name in names for n in range(5)]
    # An operator that still answers may say of these, and rightly, that there is no such mailbox.
    absent = {f"newcomer{n}@{name}" for name in names[blocking:] for n in range(3, 5)}
    with TemporaryDirectory(prefix="mailvet-bench-") as home:
        path = Path(home, "crm.duckdb")
        with duckdb.connect(str(path)) as db:
            db.execute("create table contacts as select unnest($1::varchar[]) as email", [old])
        _verify_in_lab(path, names, people, blocking=0)
        before = _statuses(path)
        with duckdb.connect(str(path)) as db:
            db.execute("update mailvet_verdicts set next_check_at = checked_at - interval 1 day")
            db.execute("insert into contacts (email) select unnest($1::varchar[])", [new])
        degraded = _verify_in_lab(path, names, people, blocking=blocking)
        after = _statuses(path)
    return {
        "operators": operators,
        "blocking": blocking,
        "degraded": degraded is not None,
        "settled_before": sum(before[address] in ("deliverable", "undeliverable") for address in old),
        "worse": _share(after[address] != before[address] for address in old),
        "condemned": _share(after[address] == "undeliverable" for address in new if address not in absent),
    }


def _verify_in_lab(path: Path, names: Sequence[str], people: int, *, blocking: int) -> str | None:
    from mailvet.lab import Lab, World
    from mailvet.runs.run import run
    from mailvet.runs.sources import open_source
    from mailvet.settings import Settings

    world = World()
    for number, name in enumerate(names):
        world.host(f"mx.{name}", "blocks_at_connect" if number < blocking else "postfix")
        world.domain(name, [(10, f"mx.{name}")])
        for person in (*(f"live{n}" for n in range(people)), *(f"newcomer{n}" for n in range(3))):
            world.mailbox(f"{person}@{name}")
    with Lab(world) as lab:
        config = path.with_name("mailvet.toml")
        config.write_text(lab.config())
        settings = Settings.load(config)
        warehouse = open_source(str(path), settings, table="contacts")
        try:
            return run(warehouse, settings, wait=timedelta(0)).degraded
        finally:
            warehouse.close()


def _statuses(path: Path) -> dict[str, str]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as db:
        return dict(db.execute("select email, status from mailvet_verdicts").fetchall())


# ---------------------------------------------------------------------- page


def markdown(result: dict[str, Any], machine: dict[str, Any]) -> str:
    """docs/accuracy.md from the figures of `measure`."""
    syntax, typos = result["syntax"], result["typos"]
    named = sum(by_others for _, _, by_others in typos["corrected"])
    disposable, blocked = result["disposable"], result["blocked"]
    lines = [
        "# Accuracy",
        "",
        "<!-- Written by `python benchmarks/run.py --only judgement`. Changes by hand are lost. -->",
        "",
        *(__doc__ or "").strip().splitlines(),
        "",
        f"Measured {machine['date']} with {machine['python']}. Whole runs against a mail world with known truth are in "
        "[benchmarks.md](benchmarks.md), the signals of suspicion in [suspicion.md](suspicion.md).",
        "",
        *replies.markdown(result["replies"], machine).splitlines(),
        "",
    ]
    lines += [
        "## Syntax",
        "",
        "The isEmail set of Dominic Sayers (version 3.05, see tests/data/isemail.csv): its VALID rows with a dot in "
        "the domain, and its ERR rows, accepted as they stand.",
        "",
        *_table(
            ("judge", "VALID accepted", "ERR accepted"),
            ((who, _percent(row["valid"]), _percent(row["errors"])) for who, row in syntax["shares"].items()),
        ),
        "",
        f"{syntax['trimmed']} of the ERR rows are an address with line ends around it; mailvet takes such white space "
        "off a cell and says so. It agrees with email-validator (strict) on "
        f"{_percent(syntax['agrees'])} of email-validator's own published cases and more of their kind. One kind of "
        "address is accepted although email-validator refuses it: the [odd dots](judgement.md#odd-dots-that-are-real) "
        "of Japanese carriers.",
        "",
        "## Suggestions",
        "",
        "Mended: the domain that was meant is suggested. Wrong: another one is, for any of these. Spoilt: another "
        f"domain is suggested for a real mail domain ({typos['real']:,} drawn from public lists of mail providers, of "
        f"which mailvet's own lists do not know {typos['unlisted']:,}). Seen typed: others report them "
        "from support cases, bounces and sign-ups. Listed: in lists of misspelt domains that others keep. What "
        "stands in the first two sets, the commonest misspellings among it, was left out of the others: they are the "
        "long tail (see tests/data/typos_held_out.csv).",
        "",
        *_table(
            ("verifier", *typos["verifiers"]["mailvet"]["mended"], "wrong", "spoilt"),
            (
                (who, *(_percent(share) for share in (*row["mended"].values(), row["wrong"], row["spoilt"])))
                for who, row in typos["verifiers"].items()
            ),
        ),
        "",
        "The same sets as a verdict at depth offline shows them: "
        + "; ".join(f"{label} {_percent(share)}" for label, share in typos["shown"].items())
        + f". Corrected among real domains of tests/data/real_domains.csv: {_percent(typos['other_real'])}.",
        "",
        "Spoilt by mailvet: "
        + (", ".join(f"{domain} (to {meant})" for domain, meant, _ in typos["corrected"]) or "none")
        + f". Lists of misspelt domains that others keep name {named} of these {len(typos['corrected'])} too: services "
        "that live on mistyped mail take mail, and lists of mail providers hold them. What mailvet leaves unmended on "
        "purpose: domains that are themselves known to take mail, and short names "
        "that others may own.",
        "",
        "## Disposable addresses",
        "",
        "Domains called disposable at depth offline. Held out: 600 that four packages which mailvet does not ship call "
        "so together. Privacy relays forward to a mailbox its owner keeps. Operators' domains: where the operators of "
        "operators.toml have mailboxes. Real: 1,500 universities and schools and the 500 most linked web sites. "
        "Source, licence and date stand in tests/data/disposable_held_out.csv and tests/data/real_domains.csv.",
        "",
        *_table(
            ("verifier", "held out", "privacy relays", "operators' domains", "real domains"),
            (
                (who, *(_percent(row[name]) for name in ("held out", "relays", "operators", "real")))
                for who, row in disposable["verifiers"].items()
            ),
        ),
        "",
        "Not called so by mailvet: "
        + (", ".join(f"{domain} ({why})" for domain, why in disposable["missed"].items()) or "none")
        + ".",
        "",
        "The packaged list is a vote of lineages (mailvet/data/disposable_domains.csv). Each was left out in turn: how "
        "many of the domains that it and at least one other lineage name the rest would find without it. Where the "
        "share is low, most of its entries rest on one other lineage.",
        "",
        *_table(
            ("lineage left out", "found by the rest"),
            ((name, _percent(share)) for name, share in disposable["lineages"].items()),
        ),
        "",
        "## When operators block us",
        "",
        f"A lab world of {blocked['operators']} operators, verified, due again, and verified while "
        f"{blocked['blocking']} of them refuse us at the connection, with newcomers in the table.",
        "",
        *_table(
            ("what", "measured"),
            (
                ("the run ends as degraded", "yes" if blocked["degraded"] else "**no**"),
                ("verdicts settled before", f"{blocked['settled_before']:,}"),
                ("statuses that changed", _percent(blocked["worse"])),
                (
                    "newcomers called undeliverable who have a mailbox or whose operator refuses us",
                    _percent(blocked["condemned"]),
                ),
            ),
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _percent(share: Sequence[float]) -> str:
    hits, of, low, high = share
    return f"{hits:,} of {of:,}: {hits / of:.1%} ({low:.1%} to {high:.1%})" if of else "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|", *body]

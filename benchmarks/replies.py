"""
How replies of mail servers are read, on labelled sets, beside other verifiers.

    python -m benchmarks.replies    writes the section of docs/accuracy.md anew, in some seconds, and nothing else

Wrong: a refusal of us, of the message or of relaying, a temporary reply, or a mailbox that is only full, read as an
undeliverable address. Found: unambiguous replies that there is no such mailbox. All replies are read as replies to
RCPT; mailvet is also told the recipient and its own names, which the others cannot be.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.intervals import wilson
from benchmarks.peers import installed
from benchmarks.processes import ROOT
from mailvet.smtp.reply_reading import read_reply
from mailvet.vocabulary import REASONS, Reason, Status

__all__ = ["HEADING", "PEERS", "markdown", "measure"]

HEADING = "## Replies of mail servers"
PEERS = ("listwash", "pigeontrust")
_DATA = ROOT / "tests" / "data"
_OWN = ("probe@sender.test", "mx.sender.test", "192.0.2.25")

Share = tuple[int, int, float, float]
"""Hits, of how many, and the interval."""


@dataclass(frozen=True, slots=True)
class _Reply:
    code: int
    text: str
    recipient: str
    unknown: bool
    """No such mailbox, beyond doubt."""
    spare: bool
    """Must not be read as undeliverable."""


@dataclass(frozen=True, slots=True)
class _Set:
    name: str
    file: str
    source: str
    licence: str
    date: str
    replies: Sequence[_Reply]


def measure(peers: Sequence[str] | None = None) -> dict[str, Any]:
    """Figures of each set: `rows`, `file`, `source`, `licence`, `date`, and `wrong` and `found` of each verifier."""
    others = [name for name in PEERS if installed(name)] if peers is None else peers
    return {
        kept.name: {
            "verifiers": {
                who: {
                    "wrong": _share(dead(reply) for reply in kept.replies if reply.spare),
                    "found": _share(dead(reply) for reply in kept.replies if reply.unknown),
                }
                for who, dead in _readers(others).items()
            },
            "rows": len(kept.replies),
            "file": kept.file,
            "source": kept.source,
            "licence": kept.licence,
            "date": kept.date,
        }
        for kept in _sets()
    }


def _sets() -> Iterable[_Set]:
    public = _public()
    shown = {_comparable(reply) for reply in public}
    bounces = [
        _reply(row, row["about"] == "unknown", row["about"] in {"us", "temporary", "relay", "full", "throttled"})
        for row in _rows("replies_heldout.csv")
    ]
    written = [
        _reply(row, row["expected"] == "mailbox_not_found", row["about"] in {"sender", "temporary", "relay", "server"})
        for row in _rows("replies.csv")
        if row["stage"] == "rcpt"
    ]
    wordings = [
        _reply(row, row["about"] == "unknown", row["about"] != "unknown") for row in _rows("replies_wordings.csv")
    ]
    ours = ("the authors", "Apache-2.0")
    yield _Set("written by the authors, tuned on", "replies.csv", *ours, "2026-11", written)
    yield _Set("in 32 languages, written by the authors, tuned on", "replies_wordings.csv", *ours, "2026-12", wordings)
    yield _Set(
        "published by others, seen while the rules were mended",
        "replies_public.tsv",
        "pages of providers, bounces and other programs' rules, collected by the authors",
        "facts",
        "2026-12",
        public,
    )
    yield _Set(
        "from bounces others received, held out",
        "replies_heldout.csv",
        "sisimai/set-of-emails, Mailman 2.1; without those that stand in the set above",
        "BSD-2-Clause",
        "2026-11-22",
        [reply for reply in bounces if _comparable(reply) not in shown],
    )


def _public() -> list[_Reply]:
    replies = []
    for row in _rows("replies_public.tsv"):
        names = set(row["expected"].split("|"))
        statuses = {REASONS[Reason(name)].status for name in names if name != "ambiguous"}
        spare = bool(statuses) and Status.undeliverable not in statuses
        if row["stage"] == "rcpt":
            row |= {"text": row["text"].replace("\\n", "\n"), "recipient": "ann@example.com"}
            replies.append(_reply(row, row["expected"].startswith("mailbox_not_found"), spare))
    return replies


def _comparable(reply: _Reply) -> str:
    return " ".join(reply.text.replace(reply.recipient, "<recipient>").split()).casefold()


def _reply(row: dict[str, str], unknown: bool, spare: bool) -> _Reply:
    return _Reply(int(row["code"]), row["text"], row.get("recipient", "ann@example.com"), unknown, spare)


def _rows(name: str) -> list[dict[str, str]]:
    tabs = name.endswith(".tsv")
    with (_DATA / name).open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return list(
            csv.DictReader(lines, dialect="excel-tab", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(lines)
        )


def _readers(peers: Sequence[str]) -> dict[str, Callable[[_Reply], bool]]:
    """Verifier -> whether it calls the recipient of a reply undeliverable."""

    def ours(reply: _Reply) -> bool:
        reading = read_reply("rcpt", reply.code, reply.text, recipient=reply.recipient, own=_OWN)
        return reading.reason is not None and REASONS[reading.reason].status is Status.undeliverable

    readers: dict[str, Callable[[_Reply], bool]] = {"mailvet": ours}
    if "listwash" in peers:
        classify = import_module("listwash.classify").classify_code
        readers["listwash"] = lambda reply: classify(reply.code, reply.text) == "invalid"
    if "pigeontrust" in peers:
        probe = import_module("pigeontrust.smtp_probe")
        readers["pigeontrust"] = lambda reply: (
            probe.classify_reply(reply.code, reply.text) is probe.ProbeStatus.NOT_EXISTS
        )
    readers["any 5xx is invalid"] = lambda reply: 500 <= reply.code <= 599
    return readers


def _share(cases: Iterable[bool]) -> Share:
    seen = list(cases)
    return (sum(seen), len(seen), *wilson(sum(seen), len(seen)))


def markdown(figures: dict[str, Any], about: dict[str, Any]) -> str:
    """The section of docs/accuracy.md from the figures of `measure`."""
    lines = [HEADING, "", " ".join((__doc__ or "").split("\n\n")[2].split()), ""]
    for name, found in figures.items():
        body = [
            f"| {who} | {_percent(of['wrong'])} | {_percent(of['found'])} |" for who, of in found["verifiers"].items()
        ]
        lines += [
            f"{found['rows']} replies {name} (tests/data/{found['file']}; source: {found['source']}; licence: "
            f"{found['licence']}; {found['date']}):",
            "",
            "| verifier | wrong | found |",
            "|---|---|---|",
            *body,
            "",
        ]
    return "\n".join([*lines, f"Replies measured {about['date']}.", ""])


def _percent(share: Share) -> str:
    hits, of, low, high = share
    return f"{hits} of {of}: {hits / max(of, 1):.1%} ({low:.1%} to {high:.1%})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the section of the page anew."""
    parser = argparse.ArgumentParser(description="Write the figures of replies into docs/accuracy.md.")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "accuracy.md")
    page: Path = parser.parse_args(arguments).page
    before = page.read_text(encoding="utf-8")
    if HEADING not in before:
        parser.error(f"{page} has no section {HEADING!r}: write it with benchmarks/run.py --only judgement")
    head, rest = before.split(HEADING, 1)
    following = rest.find("\n## ")
    tail = rest[following + 1 :] if following >= 0 else ""
    page.write_text(f"{head}{markdown(measure(), machine.describe())}\n{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

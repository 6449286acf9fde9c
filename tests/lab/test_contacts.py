"""The contact table that is drawn from a world."""

from __future__ import annotations

from collections import Counter

import email_validator
import pytest

from mailvet.lab import World, contact_table, default_world, truth_table
from mailvet.vocabulary import Status
from tests.lab.worlds import one_server


def test_contacts_are_the_same_every_time(world: World) -> None:
    first, again = contact_table(world, 2_000), contact_table(default_world(), 2_000)
    assert first.equals(again)
    assert not first.equals(contact_table(world, 2_000, seed=8))
    assert first.num_rows == 2_000
    assert first["id"].to_pylist() == list(range(1, 2_001))


def test_contacts_are_as_messy_as_promised(world: World) -> None:
    contacts = contact_table(world)
    truth = truth_table(world, contacts)
    rows = contacts.num_rows
    cells = contacts["email"].to_pylist()
    live = sum(truth["live"].to_pylist()) / rows
    assert 0.60 <= live <= 0.65
    assert 0.12 <= 1 - len({(cell or "").strip().lower() for cell in cells}) / rows <= 0.22
    assert None in cells
    assert "" in cells
    text = "\n".join(cell for cell in cells if cell)
    for mess in (
        "mailto:",
        " <",
        "\uff20",
        "@@",
        "; ",
        "\x07",
        "+news@",
        "@gmail.con",
        "@gmailcom",
        "@bücher",
        "@xn--",
    ):
        assert mess in text, mess
    assert any(cell and cell != cell.strip() and "@" in cell for cell in cells)
    kinds = set(truth["kind"].to_pylist())
    expected = (
        "live unknown_mailbox disabled moved restricted full throttled dead_domain no_mail null_mx "
        "unroutable disposable accept_all unverifiable gateway blocked temporary greylisted_live "
        "greylisted_dead unreachable syntax typo dns_failing no_smtputf8"
    )
    assert kinds >= set(expected.split())
    languages = {language for language in contacts["language"].to_pylist() if language}
    assert len(languages) >= 12


def test_sources_differ_in_quality(world: World) -> None:
    contacts = contact_table(world)
    live = truth_table(world, contacts)["live"].to_pylist()
    good: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for source, alive in zip(contacts["source"].to_pylist(), live, strict=True):
        good[source] += alive
        total[source] += 1
    share = {source: good[source] / total[source] for source in total}
    assert share["webshop"] > share["newsletter"] > share["fair"] > share["import-2019"]
    assert share["webshop"] - share["import-2019"] > 0.3


def test_the_truth_about_syntax_agrees_with_an_independent_judge(world: World) -> None:
    truth = truth_table(world, contact_table(world))
    disagreed = []
    for cell, kind in {(row["email"], row["kind"]) for row in truth.to_pylist()}:
        try:
            email_validator.validate_email(
                (cell or "").strip(), check_deliverability=False, strict=True, test_environment=True
            )
            valid = True
        except email_validator.EmailNotValidError:
            valid = False
        if valid == (kind == "syntax"):
            disagreed.append((cell, kind))
    assert disagreed == []


def test_the_truth_table_follows_the_contacts_row_by_row(world: World) -> None:
    contacts = contact_table(world, 500)
    truth = truth_table(world, contacts)
    assert truth["id"].to_pylist() == contacts["id"].to_pylist()
    assert truth["email"].to_pylist() == contacts["email"].to_pylist()
    statuses = {status.value for status in Status}
    assert all(set(row) <= statuses and row for row in truth["expected_status"].to_pylist())
    assert truth.schema.field("exists").nullable


def test_contacts_come_from_any_world_with_somebody_in_it() -> None:
    table = contact_table(one_server(), 300)
    kinds = set(truth_table(one_server(), table)["kind"].to_pylist())
    assert {"live", "unknown_mailbox", "syntax"} <= kinds
    with pytest.raises(ValueError, match="at least one mailbox"):
        contact_table(World(), 10)

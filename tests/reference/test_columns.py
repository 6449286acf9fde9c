"""What the lists say of an address, and whose list wins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mailvet.data import lists
from mailvet.reference import columns as reference
from mailvet.reference import domains
from mailvet.reference.columns import Reference
from mailvet.reference.own_lists import OwnLists
from mailvet.syntax import columns as syntax

_TEXTS = {"local": pl.String, "domain": pl.String}


def look_up(address: str | None, **own: list[str]) -> dict[str, Any]:
    parsed = syntax.examine(pl.Series([address], dtype=pl.String))
    row: dict[str, Any] = Reference(OwnLists.load(**own)).examine(parsed).row(0, named=True)
    return row


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        ("ann@acme.com", set()),
        ("ann.lee@gmail.com", {"free"}),
        ("vorname.nachname@acme.de", set()),
        ("info@acme.com", {"role"}),
        ("INFO@acme.com", {"role"}),
        ("Kontakt@acme.pl", {"role"}),
        ("info+news@acme.com", {"role", "tagged"}),
        ("information.desk@acme.com", set()),
        ("infos@acme.fr", {"role"}),
        ("büro@acme.de", {"role"}),
        ("x@mailinator.com", {"disposable", "free"}),
        ("x@deep.below.mailinator.com", {"disposable"}),
        ("x@mailinator.acme.com", set()),
        ("x@duck.com", {"relay_alias", "free"}),
        ("x@privaterelay.appleid.com", {"relay_alias"}),
        ("x@me.anonaddy.com", {"relay_alias"}),
        ("noreply@acme.com", {"no_reply"}),
        ("no-reply-7@acme.com", {"no_reply"}),
        ("NoReply+x@acme.com", {"no_reply", "tagged"}),
        ("noreen@acme.com", set()),
        ("mailer-daemon@acme.com", {"no_reply"}),
        ("ann+list@acme.com", {"tagged"}),
        ("+ann@acme.com", set()),
        ("ann@gmial.com", set()),
        (None, set()),
        ("not an address", set()),
    ],
)
def test_an_address_gets_the_flags_of_the_lists_it_is_on(address: str | None, flags: set[str]) -> None:
    row = look_up(address)
    assert {name for name, value in row.items() if value is True} == flags


def test_a_known_misspelling_names_the_provider() -> None:
    row = look_up("Ann@Gmial.com")
    assert row["typo_of"] == "gmail.com"
    assert not row["disposable"]
    assert look_up("ann@gmail.com")["typo_of"] is None


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("Ann@Acme.com", "ann@acme.com"),
        ("Ann+News@acme.com", "ann+news@acme.com"),
        ("ann+news@outlook.com", "ann@outlook.com"),
        ("a.n.n+x@gmail.com", "ann@gmail.com"),
        ("A.nn@googlemail.com", "ann@gmail.com"),
        ("a.nn@acme.com", "a.nn@acme.com"),
        ("+ann@acme.com", "+ann@acme.com"),
        ("Jürgen@Bücher.de", "jürgen@xn--bcher-kva.de"),
        (None, None),
    ],
)
def test_addresses_of_one_mailbox_share_a_key(address: str | None, key: str | None) -> None:
    assert look_up(address)["mailbox"] == key


@pytest.mark.parametrize(
    ("own", "allowed", "suppressed"),
    [
        ({}, False, False),
        ({"allow": ["acme.com"]}, True, False),
        ({"allow": ["Info@Acme.com"]}, True, False),
        ({"allow": ["ann@acme.com"]}, False, False),
        ({"deny": ["acme.com"]}, False, True),
        ({"deny": ["@acme.com"]}, False, True),
        ({"suppress": ["info@acme.com"]}, False, True),
        ({"allow": ["acme.com"], "deny": ["info@acme.com"]}, True, False),
        ({"allow": ["info@acme.com"], "suppress": ["acme.com"]}, False, True),
        ({"allow": ["acme.com"], "deny": ["acme.com"], "suppress": ["acme.com"]}, False, True),
        ({"deny": ["example.com"]}, False, False),
    ],
)
def test_suppress_beats_allow_and_allow_beats_deny(own: dict[str, list[str]], allowed: bool, suppressed: bool) -> None:
    row = look_up("info@acme.com", **own)
    assert (row["allowed"], row["suppressed"]) == (allowed, suppressed)


def test_a_domain_covers_its_subdomains_and_an_exact_domain_does_not() -> None:
    assert look_up("x@mail.acme.com", deny=["acme.com"])["suppressed"]
    assert not look_up("x@mail.acme.com", deny=["@acme.com"])["suppressed"]
    assert not look_up("x@myacme.com", deny=["acme.com"])["suppressed"]


def test_allow_beats_every_public_list() -> None:
    assert not look_up("x@mailinator.com", allow=["mailinator.com"])["disposable"]
    assert not look_up("x@a.mailinator.com", allow=["x@a.mailinator.com"])["disposable"]
    assert not look_up("info@acme.com", allow=["acme.com"])["role"]
    row = look_up("ann@gmial.com", allow=["gmial.com"])
    assert row["typo_of"] is None
    assert look_up("x@mailinator.com", allow=["mailinator.com"], suppress=["x@mailinator.com"])["disposable"]


def test_extra_disposable_adds_to_the_public_list_but_not_against_allow() -> None:
    assert look_up("x@sub.trash.example", extra_disposable=["trash.example"])["disposable"]
    assert not look_up("x@trash.example", extra_disposable=["trash.example"], allow=["trash.example"])["disposable"]


def test_order_length_and_types_are_those_of_the_contract() -> None:
    cells = pl.Series(["b@x.com", None, "info@gmail.com", "b@x.com", "zz", "a@mailinator.com"])
    parsed = syntax.examine(cells)
    layer = Reference()
    for frame in (parsed, parsed[:0], parsed[1:2], parsed.reverse()):
        found = layer.examine(frame)
        assert dict(found.schema) == reference.SCHEMA
        assert found.height == frame.height
    keys = layer.examine(parsed)["mailbox"].to_list()
    assert keys == ["b@x.com", None, "info@gmail.com", "b@x.com", None, "a@mailinator.com"]


def test_every_listed_name_and_what_lies_below_is_told_as_the_sets_tell_it() -> None:
    own = OwnLists.load(allow=["allowed.org"], deny=["@denied.org", "x.acme.com"], extra_disposable=["trash.example"])
    relay, disposable, typos = lists.relay_domains(), domains.disposable_domains(), lists.typo_domains()
    kept = domains.mail_domains() - disposable
    listed = sorted({*disposable, *relay, *typos, *kept, "allowed.org", "denied.org", "x.acme.com", "trash.example"})
    names = [f"{below}{name}" for name in listed for below in ("", "x.", "a.b.", "x")] + ["acme.com", "com", "a..com"]
    found = Reference(own).examine(pl.DataFrame({"local": ["ann"] * len(names), "domain": names}))

    def under(name: str, those: Collection[str]) -> bool:
        return any(name.split(".", places)[-1] in those for places in range(name.count(".") + 1))

    def told(name: str) -> tuple[bool, bool, bool, bool, bool, str | None]:
        allowed = under(name, {"allowed.org"})
        thrown_away = under(name, disposable) and not under(name, relay) and name not in kept
        return (
            name in domains.free_domains(),
            under(name, relay),
            (thrown_away or under(name, {"trash.example"})) and not allowed,
            allowed,
            name == "denied.org" or under(name, {"x.acme.com"}),
            None if allowed else typos.get(name),
        )

    columns = found.select("free", "relay_alias", "disposable", "allowed", "suppressed", "typo_of")
    assert columns.rows() == list(map(told, names))


def test_one_batch_says_nothing_about_the_next() -> None:
    layer = Reference()
    for number in range(3):
        frame = syntax.examine(pl.Series([f"a@x{number}.com", "a@mailinator.com", f"info@y{number}.de", None]))
        found = layer.examine(frame)
        assert found["disposable"].to_list() == [False, True, False, False]
        assert found["role"].to_list() == [False, False, True, False]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_batch_without_any_address_is_examined(rows: int) -> None:
    found = Reference().examine(pl.DataFrame({"local": [None] * rows, "domain": [None] * rows}, schema=_TEXTS))
    assert found.schema == pl.Schema(reference.SCHEMA)
    assert found.height == rows
    assert not found.select(pl.any_horizontal(pl.col(pl.Boolean))).to_series().any()


def test_a_batch_of_several_chunks_is_examined_like_one() -> None:
    """A table read in pieces comes as chunks; domains are numbered over all of them."""
    pieces: list[list[str | None]]
    pieces = [["Ann+x@gmail.com", "b@mailinator.com"], ["info@gmial.com", None, "c@gmail.com"], ["d@mailinator.com"]]
    parsed = [syntax.examine(pl.Series(piece, dtype=pl.String)) for piece in pieces]
    whole = Reference().examine(pl.concat(parsed, rechunk=False))
    assert_frame_equal(whole, pl.concat([Reference().examine(each) for each in parsed]))


def test_every_disposable_domain_is_found_and_no_mail_provider_is() -> None:
    layer = Reference()
    names = sorted(domains.disposable_domains())
    found = layer.examine(pl.DataFrame({"local": ["a"] * len(names), "domain": names}))
    assert found["disposable"].all()
    targets = sorted(lists.suggestion_targets())
    found = layer.examine(pl.DataFrame({"local": ["a"] * len(targets), "domain": targets}))
    assert not found["disposable"].any()
    assert found["typo_of"].null_count() == len(targets)


def test_mailboxes_alone_are_those_of_the_whole_look_up() -> None:
    cells = [
        "a.n.n+x@gmail.com",
        "ann@googlemail.com",
        "ann-x@yahoo.com",
        "ann+x@acme.com",
        "\u00fc+x@gmail.com",
        None,
        "@b.de",
    ]
    frame = pl.DataFrame({"cell": cells}).select(
        local=pl.col("cell").str.extract("^(.*)@"), domain=pl.col("cell").str.extract("@(.*)$")
    )
    assert reference.mailboxes(frame).to_list() == Reference().examine(frame)["mailbox"].to_list()
    assert reference.mailboxes(frame)[0] == "ann@gmail.com"


def test_the_list_of_traps_gives_a_flag_unless_the_address_is_allowed() -> None:
    assert look_up("x@sub.trap.example", traps=["trap.example"])["own_trap"]
    assert look_up("D.o.ts+x@gmail.com", traps=["dots@gmail.com"])["own_trap"]
    assert not look_up("x@trap.example", traps=["trap.example"], allow=["x@trap.example"])["own_trap"]
    assert not look_up("x@other.example", traps=["trap.example"])["own_trap"]

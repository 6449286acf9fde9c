"""One key for all spellings of a mailbox, and for no other mailbox: in Python, Polars and SQL."""

from __future__ import annotations

import hashlib

import duckdb
import polars as pl
import pytest

import mailvet
from mailvet.settings import Settings
from mailvet.syntax.mailbox_key import mailbox_expression, mailbox_key, mailbox_of, mailbox_rules, mailbox_sql, rules
from mailvet.syntax.parser import ascii_domain
from mailvet.verdict import email_key
from mailvet.warehouse.dialects import DuckDB

SAME = (
    ("dots@gmail.com", "d.o.t.s+shop@gmail.com", "DOTS@GoogleMail.com", " Dots+a+b@gmail.com\n", "d.ots@GMAIL.COM"),
    ("ann@acme.com", "Ann@ACME.com", "\tann@acme.com", "ANN@acme.com"),
    ("ann.lee@outlook.com", "Ann.Lee+news@outlook.com"),
    ("ann-shop@yahoo.com", "ann-bank@yahoo.com", "Ann-x-y@yahoo.com"),
    ("ann@icloud.com", "ann@me.com", "ann@mac.com", "ann+x@me.com"),
    ("ann@proton.me", "ann+x@protonmail.com", "ann@pm.me", "a.n-n@proton.me", "A_nn+x.y@protonmail.ch"),
    ("ann-lee@yandex.ru", "ann.lee@ya.ru", "ann.lee+x@yandex.com"),
    ("ann@bücher.de", "ann@xn--bcher-kva.de", "Ann@BÜCHER.de"),
    ("jürgen@bücher.de", "JÜRGEN@xn--bcher-kva.de"),
)
DIFFERENT = (
    ("ann@hotmail.com", "ann@live.com"),
    ("ann@outlook.com", "ann@hotmail.com"),
    ("ann@gmx.de", "ann@gmx.net"),
    ("ann@mail.ru", "ann@bk.ru"),
    ("a.nn@acme.com", "ann@acme.com"),
    ("ann@acme.com", "ann+shop@acme.com"),
    ("a.nn@outlook.com", "ann@outlook.com"),
    ("ann-lee@gmail.com", "ann@gmail.com"),
    ("ann_lee@gmail.com", "annlee@gmail.com"),
    ("ann_lee@yandex.ru", "ann-lee@yandex.ru"),
    ("ann@yahoo.com", "ann@ymail.com"),
    ("ann@yahoo.com", "ann-shop@yahoo.com"),
    ("ann@mail.gmail.com", "ann@gmail.com"),
    ("+ann@gmail.com", "ann@gmail.com"),
)


@pytest.mark.parametrize("spellings", SAME, ids=lambda group: group[0])
def test_spellings_of_one_mailbox_share_a_key(spellings: tuple[str, ...]) -> None:
    assert len({mailbox_key(text) for text in spellings}) == 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_mailboxes_that_two_people_may_have_are_told_apart(one: str, other: str) -> None:
    assert mailbox_key(one) != mailbox_key(other)


@pytest.mark.parametrize("text", [None, "", " ", "ann", "ann@", "ann@@gmail.com", "a b@gmail.com"])
def test_what_is_no_address_has_no_mailbox(text: str | None) -> None:
    assert mailbox_key(text) is None


def test_the_key_is_the_sha_256_of_the_mailbox() -> None:
    assert mailbox_key("D.o.ts@googlemail.com") == hashlib.sha256(b"dots@gmail.com").hexdigest()
    assert mailbox_key("ann@acme.com") == email_key("ann@acme.com")


def test_every_verdict_holds_the_key_of_its_mailbox() -> None:
    texts = [text for group in SAME for text in group] + ["nonsense", ""]
    few = [mailvet.verify(text, depth="offline", settings=Settings()).mailbox_key for text in texts]
    many = mailvet.verify_many([*texts, *(f"{n}@acme.com" for n in range(600))], depth="offline", settings=Settings())
    assert few == [mailbox_key(text) for text in texts]
    assert many["mailbox_key"].to_pylist()[: len(texts)] == few


def _parts() -> list[tuple[str, str]]:
    names = (
        "Ann",
        "a.n.n",
        "ann+x",
        "a.nn+x.y+z",
        "ann-x",
        "a-n.n-x+y",
        "+ann",
        "-ann",
        "ann+",
        "ann.",
        "ÄNN+x",
        "a+b-c",
        "a_n.n-n",
    )
    others = {"acme.com", "gmx.de", "mail.gmail.com", "xn--bcher-kva.de", "bk.ru"}
    return [(name, domain) for domain in sorted(mailbox_rules().domains | others) for name in names]


def test_polars_and_sql_fold_as_python_does() -> None:
    parts = _parts()
    expected = [mailbox_of(local, domain) for local, domain in parts]
    frame = pl.DataFrame(parts, schema={"local": pl.String, "domain": pl.String}, orient="row")
    assert frame.select(mailbox_expression(pl.col("local"), pl.col("domain"))).to_series().to_list() == expected
    with duckdb.connect() as db:
        db.register("parts", frame.with_row_index("place").to_arrow())
        folded = mailbox_sql("lower(local)", "domain", DuckDB())
        assert [row[0] for row in db.execute(f"select {folded} from parts order by place").fetchall()] == expected


def test_every_rule_names_its_page_and_each_domain_once() -> None:
    domains = [domain for row in rules() for domain in row.domains]
    assert len(set(domains)) == len(domains)
    for row in rules():
        assert row.source
        assert row.date.startswith("20")
        assert row.tag in ("", "+", "-")
        assert row.dots in ("kept", "ignored", "hyphens", "signs_ignored")
        assert all(ascii_domain(domain) == domain for domain in row.domains)

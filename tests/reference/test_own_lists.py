"""The user's own lists are read strictly, and named when they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailvet.errors import SettingsError
from mailvet.reference.own_lists import OwnList, OwnLists


def test_entries_are_addresses_domains_and_exact_domains() -> None:
    own = OwnLists.load(allow=["Ann@Acme.COM", "acme.com", "@bücher.de", " "], deny=["x.test"])
    assert own.allow == OwnList(frozenset({"ann@acme.com"}), frozenset({"acme.com"}), frozenset({"xn--bcher-kva.de"}))
    assert own.deny.domains == {"x.test"}
    assert not own.suppress
    assert own


def test_a_file_holds_one_entry_a_line(tmp_path: Path) -> None:
    file = tmp_path / "suppress.csv"
    file.write_bytes(
        b'\xef\xbb\xbfemail,reason\r\n"ann@x.com",unsubscribed\r\n# a comment\r\n\r\nacme.com;x # why\r\n@b.org\r\n'
    )
    own = OwnLists.load(suppress=[str(file), "bob@y.com"])
    assert own.suppress.addresses == {"ann@x.com", "bob@y.com"}
    assert own.suppress.domains == {"acme.com"}
    assert own.suppress.only_domains == {"b.org"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lists\.deny: the file .*gone\.txt cannot be read"):
        OwnLists.load(deny=[str(tmp_path / "gone.txt")])
    with pytest.raises(SettingsError, match=r"lists\.deny: the file gone\.csv cannot be read"):
        OwnLists.load(deny=["gone.csv"])


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not UTF-8"):
        OwnLists.load(allow=[str(file)])


@pytest.mark.parametrize(
    "entry", ["not a domain", "secret.name@@x.com", "@", "@-x.com", "com", "secret.name@x", "*.acme.com"]
)
def test_an_unreadable_entry_is_refused_without_showing_an_address(entry: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lists\.allow, entry 2") as caught:
        OwnLists.load(allow=["acme.com", entry])
    assert "secret.name" not in str(caught.value)
    file = tmp_path / "allow.txt"
    file.write_text(f"acme.com\nx.org\n{entry}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"allow\.txt line 3") as caught:
        OwnLists.load(allow=[str(file)])
    assert "secret.name" not in str(caught.value)


def test_the_digest_changes_with_every_list_and_with_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("b.com\na.com\n", "utf-8")
    assert OwnLists().digest == ""
    assert OwnLists.load(allow=[str(file)]).digest == OwnLists.load(allow=["A.com", "b.com", "a.com"]).digest
    digests = {
        OwnLists.load(allow=["a.com"]).digest,
        OwnLists.load(deny=["a.com"]).digest,
        OwnLists.load(suppress=["a.com"]).digest,
        OwnLists.load(extra_disposable=["a.com"]).digest,
        OwnLists.load(allow=["@a.com"]).digest,
        OwnLists.load(allow=["a@a.com"]).digest,
        OwnLists.load(allow=["a.com", "b.com"]).digest,
    }
    assert len(digests) == 7
    assert all(len(digest) == 12 for digest in digests)

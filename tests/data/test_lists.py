"""Reference data says where it comes from; the user's own lists are read strictly and named when they cannot be."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
from publicsuffixlist import PublicSuffixList

from mailvet.data import lists
from mailvet.reference.updated_list import lists_folder
from mailvet.syntax import parser


def test_data_files_hold_no_entry_twice_and_only_clean_text() -> None:
    for name in (
        "no_reply",
        "relay_aliases",
        "typo_domains",
        "suggestion_targets",
        "ending_slips",
        "not_typos",
        "placeholders",
        "disposable_domains",
        "mailbox_providers",
        "free_domains",
    ):
        rows = lists.read(name).rows
        keys = [row[0] for row in rows]
        assert sorted(keys) == sorted(set(keys)), name
        assert all(key == key.strip().lower() for key in keys), name
    for language, names in lists.read("roles").rows:
        assert sorted(names.split()) == sorted(set(names.split())), language
        assert names == names.lower()
    languages = {language for language, _ in lists.read("roles").rows} - {"everywhere", "certain", "weak"}
    assert languages == {language for language, _ in lists.read("language_endings").rows}


def test_placeholders_are_never_addresses() -> None:
    for text in lists.placeholders():
        assert isinstance(parser.parse(text), parser.SyntaxProblem)


def test_endings_are_those_of_the_public_suffix_list() -> None:
    theirs = PublicSuffixList(only_icann=True, accept_unknown=False)
    rules = {line.lstrip("!*.") for line in theirs._publicsuffix}
    endings = {part for rule in rules for part in (rule, f"x.{rule}", rule.partition(".")[2], rule.rpartition(".")[2])}
    endings |= {ending.encode("idna").decode() for ending in rules if not ending.isascii()}
    endings |= {"con", "gmail.com", "co", "c", "xn--nope", "www.ck", "com.ck", "city.kawasaki.jp", "a.kawasaki.jp"}
    ours = {ending for ending in endings if ending and ending.isascii()}
    assert [e for e in sorted(ours) if lists.is_public_suffix(e) != (theirs.publicsuffix(e) == e)] == []
    labels = [ending for ending in sorted(ours) if "." not in ending]
    assert [e for e in labels if lists.is_top_level_domain(e) != (theirs.publicsuffix(e) is not None)] == []


def test_sorted_rows_hold_what_all_rows_do() -> None:
    rows, names = lists.sorted_disposable_domains(), lists.packaged_disposable_domains()
    assert frozenset(rows) == names
    assert len(rows) == len(names)
    assert all(name in rows for name in names)
    assert not any(name in rows for name in ("", "siemens.com", "domain", "0", "zzzz.zz", "# date"))


def test_the_folder_of_updated_lists_is_the_one_the_library_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILVET_LISTS_FOLDER", raising=False)
    for home in (None, "/srv/data"):
        if home is None:
            monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_DATA_HOME", home)
        assert lists_folder() == Path(platformdirs.user_data_dir("mailvet", appauthor=False)) / "lists"

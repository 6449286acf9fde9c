"""Reference data says where it comes from; the user's own lists are read strictly and named when they cannot be."""

from __future__ import annotations

from mailvet.data import lists
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

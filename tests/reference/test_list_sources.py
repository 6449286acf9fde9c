"""Reference data says where it comes from."""

from __future__ import annotations

from mailvet.reference import list_sources


def test_every_list_says_what_it_is_and_where_it_comes_from() -> None:
    infos = list_sources.list_infos()
    assert {info.name for info in infos} >= {
        "roles",
        "typo_domains",
        "relay_aliases",
        "no_reply",
        "disposable-email-domains",
    }
    for info in infos:
        assert info.entries > 0
        assert info.source
        assert info.version
        assert info.licence
        assert info.date is None or len(info.date) == 10

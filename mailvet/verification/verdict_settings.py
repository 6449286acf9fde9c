"""The settings that one verdict depends on, where nothing is asked of a network.

Those of `mailvet.settings` are checked by a library that takes longer to import than a process needs for its first
verdict. Where no setting is given, these defaults stand for them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from mailvet.vocabulary import Depth, Policy

if TYPE_CHECKING:
    from mailvet.policies import AnyPolicy
    from mailvet.settings import Settings

__all__ = ["VerdictSettings", "environment_has_settings"]


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """Each field is the setting of that name, with its default."""

    depth: Depth = Depth.smtp
    policy: AnyPolicy = Policy.marketing
    allow_special_use: bool = False
    """Whether `smtp.allow_private_networks` allows any."""
    after_greylisting: tuple[timedelta, ...] = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=4))
    whole_table: bool = True
    store_addresses: bool = True
    privacy_key: str | None = field(default=None, repr=False)
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    suppress: tuple[str, ...] = ()
    extra_disposable: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> VerdictSettings:
        """What of all settings a verdict depends on."""
        key = settings.privacy.key
        return cls(
            depth=Depth(settings.depth),
            policy=settings.chosen_policy,
            allow_special_use=bool(settings.smtp.allow_private_networks),
            after_greylisting=settings.retry.after_greylisting,
            whole_table=settings.suspicion.whole_table,
            store_addresses=settings.store.store_addresses,
            privacy_key=None if key is None else key.get_secret_value(),
            **settings.lists.model_dump(),
        )


def environment_has_settings() -> bool:
    """Whether any variable is meant for `mailvet.settings`, rightly spelt or not."""
    return any(name.upper().startswith("MAILVET_") for name in os.environ)

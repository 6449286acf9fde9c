"""All server profiles by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mailvet.errors import SettingsError
from mailvet.lab.endless_profiles import ENDLESS_PROFILES
from mailvet.lab.hostile_profiles import HOSTILE_PROFILES
from mailvet.lab.profile_options import with_options
from mailvet.lab.server_profiles import ORDINARY_PROFILES, ServerProfile

__all__ = ["PROFILES", "profile_named"]

PROFILES: Mapping[str, ServerProfile] = MappingProxyType({**ORDINARY_PROFILES, **HOSTILE_PROFILES, **ENDLESS_PROFILES})
"""Every server profile by name."""


def profile_named(name: str, **options: Any) -> ServerProfile:
    """A server profile with some of its fields changed.

    Raises SettingsError for a name or an option that there is not.
    """
    if name not in PROFILES:
        raise SettingsError(f"no server profile {name!r}. There are: {', '.join(PROFILES)}.")
    return with_options(PROFILES[name], **options)

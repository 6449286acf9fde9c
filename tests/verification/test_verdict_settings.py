"""The settings of a single verdict are those of `mailvet.settings`."""

from __future__ import annotations

import pytest

from mailvet.settings import Settings
from mailvet.verification.api import settings_for
from mailvet.verification.verdict_settings import VerdictSettings, environment_has_settings
from mailvet.vocabulary import Depth, Policy


def test_the_defaults_are_those_of_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILVET_LISTS_FOLDER", raising=False)
    assert not environment_has_settings()
    assert VerdictSettings() == VerdictSettings.of(Settings.load())


def test_every_field_is_taken_over() -> None:
    settings = Settings.load(
        depth="dns",
        policy="signup",
        smtp={"allow_private_networks": True},
        retry={"after_greylisting": ["1h"]},
        suspicion={"whole_table": False},
        store={"store_addresses": False},
        privacy={"key": "0123456789abcdef"},
        lists={
            "allow": ["a.com"],
            "deny": ["b.com"],
            "suppress": ["c.com"],
            "extra_disposable": ["d.com"],
            "traps": ["e.com"],
        },
    )
    found, default = VerdictSettings.of(settings), VerdictSettings()
    assert [name for name in VerdictSettings.__slots__ if getattr(found, name) == getattr(default, name)] == []
    assert "0123456789abcdef" not in repr(found)


@pytest.mark.parametrize("name", ["MAILVET_POLICY", "mailvet_policy"])
def test_a_setting_in_the_environment_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "signup")
    found = settings_for(None, "offline")
    assert isinstance(found, VerdictSettings)
    assert (found.depth, found.policy) == (Depth.offline, Policy.signup)

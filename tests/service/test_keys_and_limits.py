"""Keys as they are kept, and the arithmetic of limits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.service.keys import Keys, webhook_secret_of
from mailvet.service.limits import Limits
from mailvet.service.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state.sqlite")


def test_a_key_is_kept_as_a_hash_in_a_private_file(state: State) -> None:
    key, text = Keys(state).create()
    secret = text.split("_", 2)[2]
    state.rows("pragma wal_checkpoint(truncate)")
    assert secret.encode() not in state.path.read_bytes()
    assert state.path.stat().st_mode & 0o777 == 0o600
    assert key.webhook_secret == webhook_secret_of(text)


def test_another_process_of_the_service_sees_a_change_at_once(state: State) -> None:
    mine, other = Keys(state), Keys(State(state.path))
    key, text = mine.create()
    assert other.find(text) is not None
    mine.revoke(key.id)
    assert other.find(text) is None


def test_an_expired_key_opens_nothing(state: State) -> None:
    keys = Keys(state)
    assert keys.find(keys.create(lifetime=-1.0)[1]) is None


def test_a_publishable_key_has_limits_and_no_other_scope(state: State) -> None:
    key, text = Keys(state).create(scopes=["form"])
    assert text.startswith("mvp_")
    assert (key.per_minute_and_client, key.per_day) == (10, 1000)
    for scopes in (["form", "verify"], [], ["root"]):
        with pytest.raises(SettingsError):
            Keys(state).create(scopes=scopes)


def test_a_revoked_key_is_not_replaced(state: State) -> None:
    keys = Keys(state)
    key, _ = keys.create()
    keys.revoke(key.id)
    with pytest.raises(SettingsError, match="revoked"):
        keys.rotate(key.id, overlap=60)
    with pytest.raises(SettingsError, match="no such key"):
        keys.revoke("nothing")


@pytest.mark.parametrize("shared", [False, True])
def test_a_rate_allows_a_burst_and_then_its_pace(state: State, shared: bool) -> None:
    limits = Limits(state, shared=shared)
    assert [limits.take("a", 5, 1.0, now=100.0) for _ in range(5)] == [0.0] * 5
    assert limits.take("a", 5, 1.0, now=100.0) == pytest.approx(0.2)
    assert limits.take("b", 5, 1.0, now=100.0) == 0.0
    assert limits.take("a", 5, 1.0, now=100.21) == 0.0
    assert limits.take("a", 5, 1.0, now=100.21) > 0.0


def test_a_day_is_counted_in_utc_and_a_batch_is_taken_whole_or_not_at_all(state: State) -> None:
    limits, noon = Limits(state, shared=False), datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    assert limits.take_of_day("k", 11, 10, now=noon) == 12 * 3600
    assert limits.take_of_day("k", 8, 10, now=noon) == 0.0
    assert limits.take_of_day("k", 3, 10, now=noon) == 12 * 3600
    assert limits.take_of_day("k", 2, 10, now=noon) == 0.0
    assert limits.take_of_day("k", 10, 10, now=noon.replace(day=2)) == 0.0


def test_a_file_of_a_later_version_is_refused(state: State) -> None:
    state.rows("pragma user_version = 99")
    state.close()
    with pytest.raises(SourceError, match="later version"):
        State(state.path)


def test_the_command_prints_the_key_once_as_its_last_word(tmp_path: Path) -> None:
    (tmp_path / "mailvet.toml").write_text('[service]\nstate = "state.sqlite"\n')

    def command(*arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILVET_")}
        done = subprocess.run(
            [sys.executable, "-m", "mailvet", "keys", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=True,
        )
        return done.stdout

    text = command("create", "--name", "site").split()[-1]
    keys = Keys(State(tmp_path / "state.sqlite"))
    key = keys.find(text)
    assert key is not None
    assert key.name == "site"
    listed = command("list")
    assert re.search(rf"{key.id}  valid .*site", listed)
    assert text not in listed
    replaced = command("create", "--replaces", key.id, "--overlap", "0s").split()[-1]
    assert keys.find(text) is None
    assert keys.find(replaced) is not None
    assert "revoked" in command("revoke", replaced.split("_")[1])
    assert keys.find(replaced) is None

"""Settings: where they come from, which wins, and what is said of mistakes."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError
from mailvet.settings import Settings, parse_duration, parse_share
from mailvet.vocabulary import Depth, Policy


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    """Write a settings file and load it."""

    def load(text: str, **arguments: Any) -> Settings:
        path = tmp_path / "mailvet.toml"
        path.write_text(text, encoding="utf-8")
        return Settings.load(path, **arguments)

    return load


def test_without_file_and_environment_the_defaults_hold() -> None:
    settings = Settings.load()
    assert (settings.depth, settings.policy, settings.smtp.port) == (Depth.smtp, Policy.marketing, 25)
    assert settings.smtp.allow_private_networks is False


def test_the_environment_beats_the_file_and_arguments_beat_both(toml: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'depth = "offline"\n[smtp]\nport = 1\nhello_name = "a.example.com"\ncommand_timeout = 1\n'
    monkeypatch.setenv("MAILVET_SMTP__PORT", "2")
    monkeypatch.setenv("MAILVET_SMTP__COMMAND_TIMEOUT", "2")
    settings = toml(text, smtp={"command_timeout": 3})
    assert settings.depth is Depth.offline
    assert (settings.smtp.hello_name, settings.smtp.port) == ("a.example.com", 2)
    assert settings.smtp.command_timeout == 3
    assert toml(text, depth="dns").depth is Depth.dns


def test_an_argument_that_is_none_counts_as_not_given(toml: Any) -> None:
    assert toml('policy = "signup"', policy=None).policy is Policy.signup


def test_lists_from_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILVET_DNS__NAMESERVERS", '["192.0.2.1"]')
    assert Settings.load().dns.nameservers == ("192.0.2.1",)
    monkeypatch.setenv("MAILVET_DNS__NAMESERVERS", "192.0.2.1")
    with pytest.raises(SettingsError, match="JSON"):
        Settings.load()


def test_a_misspelt_variable_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MAILVET_DEPHT", "dns")
    with caplog.at_level(logging.WARNING, "mailvet"):
        Settings.load()
    assert "MAILVET_DEPHT" in caplog.text
    caplog.clear()
    monkeypatch.delenv("MAILVET_DEPHT")
    for name in ("MAILVET_DBT_PATH", "MAILVET_EXAMPLE_CONN", "MAILVET_TEST_DUCKDB"):
        monkeypatch.setenv(name, "what an example reads")
    with caplog.at_level(logging.WARNING, "mailvet"):
        Settings.load()
    assert not caplog.text
    monkeypatch.setenv("MAILVET_SMTP__PROT", "25")
    with pytest.raises(SettingsError, match=r"smtp\.prot is no setting; known here: .*\bport\b"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("depht = 'dns'", "depht is no setting; known here: depth"),
        ("[smtp]\nprot = 25", r"smtp\.prot is no setting; known here: .*port"),
        ("[snmp]\nport = 25", "snmp is no setting"),
        ("depth = 'deep'", "depth: Input should be 'offline', 'dns' or 'smtp'"),
        ("[smtp]\nport = 0", r"smtp\.port"),
        ("[smtp]\nport = 'x'", r"smtp\.port"),
        ("[smtp]\ncommand_timeout = 0", r"smtp\.command_timeout"),
        ("[smtp]\nhello_name = 'localhost'", "no fully qualified host name"),
        ("[smtp]\nhello_name = '-a.example.com'", "no fully qualified host name"),
        ("[smtp]\nmail_from = 'nobody'", "no plain address"),
        ("[smtp]\nproxy = 'http://10.0.0.1:1'", "no SOCKS5 proxy"),
        ("[smtp]\nallow_private_networks = ['10.0.0.0/99']", r"smtp\.allow_private_networks"),
        ("[smtp]\nsource_addresses = ['here']", r"smtp\.source_addresses"),
        ("[dns]\nnameservers = ['dns.example.com']", r"dns\.nameservers"),
        ("[pacing]\nquiet_hours = '25-3'", "no span of hours"),
        ("[retry]\nafter_greylisting = ['soon']", r"after_greylisting\.0: 'soon' is no duration"),
        ("[store]\nprefix = 'a b'", r"store\.prefix"),
        ("[store]\nkeep_days = 0", r"store\.keep_days"),
        ("smtp = 3", "smtp: "),
        ("[smtp", "no valid TOML"),
        ("depth = dns", "no valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key(toml: Any, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        toml(text)
    assert "mailvet.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_named_at_once(toml: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        toml("depth = 'deep'\n[smtp]\nport = 0\n")
    assert "depth" in str(caught.value)
    assert "smtp.port" in str(caught.value)


def test_a_message_holds_no_whole_address_and_no_password(toml: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        toml('[smtp]\nhello_name = "ann.lee@acme.test"\nproxy = "http://ann:secret@acme.test:1"\n')
    assert "ann.lee@" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no configuration file"):
        Settings.load(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes('policy = "märketing"'.encode("latin-1"))
    with pytest.raises(SettingsError, match="UTF-8"):
        Settings.load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_passed_over(toml: Any) -> None:
    assert toml('\ufeffdepth = "dns"').depth is Depth.dns


def test_paths_in_a_file_are_relative_to_it(toml: Any, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("acme.test\n")
    settings = toml(
        '[lists]\ndeny = ["deny.txt", "lists/more", "blocked", "acme.test", "ann@acme.test"]\n'
        '[store]\npath = "v.duckdb"\n[history]\nevents = "events.csv"\n'
    )
    assert settings.lists.deny == (
        str(tmp_path / "deny.txt"),
        str(tmp_path / "lists/more"),
        str(tmp_path / "blocked"),
        "acme.test",
        "ann@acme.test",
    )
    assert settings.store.path == tmp_path / "v.duckdb"
    assert settings.history.events == str(tmp_path / "events.csv")
    assert toml('[history]\nevents = "crm.mail_events"').history.events == "crm.mail_events"


def test_settings_loaded_in_two_threads_do_not_mix(tmp_path: Path) -> None:
    for name in ("marketing", "signup"):
        (tmp_path / f"{name}.toml").write_text(f'policy = "{name}"')
    wrong: list[str] = []

    def load(name: str) -> None:
        for _ in range(50):
            if str(Settings.load(tmp_path / f"{name}.toml").policy) != name:
                wrong.append(name)

    threads = [threading.Thread(target=load, args=(name,)) for name in ("marketing", "signup")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_settings_do_not_change_once_made() -> None:
    settings = Settings.load()
    with pytest.raises(ValueError, match="frozen"):
        settings.depth = Depth.dns  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.smtp.port = 26  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("4h", 14400),
        ("2d", 172800),
        ("250ms", 0.25),
        ("1.5 h", 5400),
        (3, 3),
        (0, 0),
        (timedelta(seconds=5), 5),
    ],
)
def test_durations_are_read(value: object, seconds: float) -> None:
    assert parse_duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "10", "10 minutes", "-5s", -5, True, None, float("inf"), float("nan"), 1e300, "9" * 400 + "d"]
)
def test_what_is_no_duration_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(value)


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), (" 2 % ", 0.02), ("0.02", 0.02), ("0", 0), ("100%", 1)])
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "2", "-1%", "101%", "nan", "two"])
def test_what_is_no_share_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no share"):
        parse_share(text)

"""The certificate of the lab's mail servers: made at run time, no authority, soon out of date."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509

import mailvet.lab
from mailvet.errors import SettingsError
from mailvet.lab.certificate import make_certificate, server_context


def test_it_is_no_authority_and_lasts_for_days() -> None:
    certificate = x509.load_pem_x509_certificate(make_certificate()[1])
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.not_valid_after_utc < datetime.now(timezone.utc) + timedelta(days=7)
    assert certificate.subject.rfc4514_string() == "CN=mailvet.lab.invalid"


def test_every_lab_has_a_key_of_its_own() -> None:
    assert make_certificate()[0] != make_certificate()[0]
    assert isinstance(server_context(), ssl.SSLContext)


def test_no_key_is_packaged() -> None:
    folder = Path(mailvet.lab.__file__).parents[1]
    assert [path for path in folder.rglob("*") if path.suffix in (".pem", ".key", ".crt")] == []


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(SettingsError, match=r"mailvet\[lab\]"):
        make_certificate()

"""The box that checks one address: what it answers, who may ask what, and that the address goes nowhere else."""

from __future__ import annotations

import logging
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_mailvet.plugin import checking
from airflow_provider_mailvet.plugin.checking import CheckOptions, RateLimiter
from mailvet.errors import SettingsError
from tests.airflow.conftest import PEOPLE, STRANGERS
from tests.airflow.page.conftest import Login
from tests.airflow.page.test_pages import words

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

LOCAL = "zebra.quagga"
ADDRESS = f"{LOCAL}@gmial.com"

pytestmark = pytest.mark.usefixtures("own_gate")


def token_of(client: TestClient) -> str:
    (token,) = re.findall(r'name="token" value="([^"]+)"', client.get("/mailvet/check").text)
    return str(token)


def ask(client: TestClient, address: str, how: str = "offline", **headers: str) -> Any:
    fields = {"address": address, "how": how, "token": token_of(client)}
    return client.post("/mailvet/check", data=fields, headers=headers)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("info@example.com", "a role such as info@"),
        ("ann at example.com", "the text cannot be an e-mail address"),
        ("zoe@mailinator.com", "a throw-away address service"),
        (ADDRESS, "did you mean …@gmail.com"),
        ("   ", "Enter an address."),
    ],
)
def test_the_answer_gives_the_reason_in_words(viewer: TestClient, address: str, told: str) -> None:
    answer = ask(viewer, address)
    assert answer.status_code == 200
    assert told in words(answer.text)


def test_the_address_is_in_no_log_no_answer_and_not_in_the_metadata_database(
    viewer: TestClient,
    metadata_database: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILVET_DNS__NAMESERVERS", '["127.0.0.1"]')
    monkeypatch.setenv("MAILVET_DNS__PORT", "9")  # nothing listens there
    with caplog.at_level(logging.DEBUG):
        answers = [ask(viewer, ADDRESS, how) for how in ("offline", "dns")]
        answers += [
            ask(viewer, f"{ADDRESS}, {ADDRESS}"),
            ask(viewer, ADDRESS + "x" * 400),
            ask(viewer, ADDRESS, "deep"),
        ]
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "/mailvet/check" in logged  # the log is looked at indeed
    assert LOCAL not in logged
    for answer in answers:
        assert LOCAL not in answer.text
        assert LOCAL not in str(answer.url)
        assert LOCAL not in str(answer.headers)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 400]
    assert "z***@gmial.com" in answers[0].text
    dumped = "\n".join(sqlite3.connect(metadata_database).iterdump())
    assert "manual__" in dumped
    assert LOCAL not in dumped


def test_an_address_in_the_path_is_not_a_way_to_check_it(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/check", params={"address": "info@example.com"})
    assert "The verdict appears here" in page.text
    assert "a role such as" not in words(page.text)


# ----------------------------------------------------------------- from the page only


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_send_the_form(viewer: TestClient, site: str) -> None:
    assert ask(viewer, ADDRESS, **{"sec-fetch-site": site}).status_code == 403
    assert ask(viewer, ADDRESS, **{"sec-fetch-site": "same-origin"}).status_code == 200


def test_the_form_of_another_user_is_refused(viewer: TestClient, login: Login) -> None:
    fields = {"address": ADDRESS, "how": "offline", "token": token_of(login("walter"))}
    assert viewer.post("/mailvet/check", data=fields).status_code == 403
    assert viewer.post("/mailvet/check", data=fields | {"token": "x"}).status_code == 403
    assert viewer.post("/mailvet/check", data={"address": ADDRESS}).status_code == 403


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"address=" + b"x" * 9000, 413),
        ("application/x-www-form-urlencoded", b"address=%ff", 400),
        ("application/x-www-form-urlencoded", b"address=\xff", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % number for number in range(20)), 400),
    ],
)
def test_a_request_that_is_no_form_of_the_page_is_refused(
    viewer: TestClient, content_type: str, body: bytes, status: int
) -> None:
    answer = viewer.post("/mailvet/check", content=body, headers={"content-type": content_type})
    assert answer.status_code == status


def test_many_checks_at_once_are_held_back(viewer: TestClient, login: Login) -> None:
    statuses = [ask(viewer, "info@example.com").status_code for _ in range(12)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert ask(login("walter"), "info@example.com").status_code == 200  # others are not


def test_the_bucket_of_a_user_fills_again() -> None:
    now = [0.0]
    limiter = RateLimiter(burst=2, per_minute=60, clock=lambda: now[0])
    assert [limiter.admits("a") for _ in range(3)] == [True, True, False]
    now[0] = 1.0
    assert [limiter.admits("a"), limiter.admits("a")] == [True, False]


# --------------------------------------------------------------------- mail servers


def test_mail_servers_are_asked_with_a_mailvet_connection(login: Login, lab_connection: str) -> None:
    admin = login("ada", "ADMIN")
    assert f"smtp:{lab_connection}" in admin.get("/mailvet/check").text
    exists, missing = (words(ask(admin, who, f"smtp:{lab_connection}").text) for who in (PEOPLE[0], STRANGERS[0]))
    assert "Send deliverable" in exists
    assert "Do not send undeliverable" in missing
    assert "the server says that there is no such mailbox" in missing
    for page, who in ((exists, PEOPLE[0]), (missing, STRANGERS[0])):
        assert who not in page
        assert who.partition("@")[0] not in page


def test_a_user_who_may_not_read_connections_cannot_ask_mail_servers(viewer: TestClient, lab_connection: str) -> None:
    assert "smtp:" not in viewer.get("/mailvet/check").text
    assert ask(viewer, PEOPLE[0], f"smtp:{lab_connection}").status_code == 403


def test_a_connection_of_another_type_is_no_way_to_ask(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SOME_HTTP", '{"conn_type": "http", "host": "127.0.0.1"}')
    assert ask(login("ada", "ADMIN"), PEOPLE[0], "smtp:some_http").status_code == 403


# --------------------------------------------------------------------- what goes wrong


def test_a_check_that_takes_too_long_is_given_up(viewer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checking.SECONDS, "offline", 0.0)
    text = words(ask(viewer, ADDRESS).text)
    assert "so nothing is known about the address" in text


@pytest.mark.parametrize("kind", [RuntimeError, SettingsError])
def test_an_error_that_quotes_the_address_does_not_give_it_away(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    def fail(how: CheckOptions) -> Any:
        raise kind(f"cannot do this for {ADDRESS}")

    monkeypatch.setattr(checking, "_settings", fail)
    answer = ask(viewer, ADDRESS)
    assert answer.status_code == 200
    assert LOCAL not in answer.text + caplog.text
    assert kind.__name__ in caplog.text
    assert "test_checking.py" in caplog.text  # where it arose
    assert ("The log of the API server says where" in words(answer.text)) == (kind is RuntimeError)


@pytest.mark.parametrize("choice", ["", "smtp", "smtp:", "dns:crm", "offline:x", "all"])
def test_only_the_choices_of_the_form_are_taken(choice: str) -> None:
    assert CheckOptions.of(choice) is None

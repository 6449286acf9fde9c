"""The routes of one address: what they give, and what they refuse."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from pathlib import Path

import duckdb
import pytest

from mailvet.lab import Lab
from mailvet.service import serving
from tests.probing import asked
from tests.service.conftest import service_settings
from tests.service.serving import Client, running


@pytest.mark.parametrize(
    ("address", "depth", "reason"),
    [
        ("ann@acme.test", "dns", "not_probed"),
        ("ann@acme.test", "smtp", "mailbox_accepted"),
        ("carol@acme.test", "smtp", "mailbox_not_found"),
        ("ann@gone.test", "dns", "domain_not_found"),
        ("no address", "dns", "syntax_invalid"),
        ("", "dns", "missing"),
        ("a\u0000\u0007@acme.test", "dns", "syntax_invalid"),
    ],
)
def test_a_check_gives_the_verdict(client: Client, address: str, depth: str, reason: str) -> None:
    found = client.verify(address, depth=depth)
    assert found["reason"] == reason
    assert set(found) == {"status", "reason", "recommendation", "score", "suggestion", "flags", "checked_at", "took_ms"}


def test_the_policy_of_a_request_decides_the_recommendation(client: Client) -> None:
    said = {name: client.verify("info@acme.test", policy=name)["recommendation"] for name in ("marketing", "signup")}
    assert said["marketing"] != said["signup"]
    response = client.ask("POST", "/v1/verify", {"address": "a@acme.test", "policy": "no such"})
    assert response.status == 422
    assert "there are: marketing" in response.json()["detail"]


def test_dead_name_servers_do_not_delay_the_response_and_the_next_call_has_the_verdict(client: Client) -> None:
    first = client.verify("ann@dead.test", deadline_ms=50)
    assert (first["status"], first["reason"]) == ("unknown", "not_probed")
    while (found := client.verify("ann@dead.test", deadline_ms=50))["reason"] == "not_probed":
        pass
    assert found["reason"] == "dns_timeout"


def test_a_mailbox_is_asked_once_also_after_a_restart(world_lab: Lab, tmp_path: Path) -> None:
    settings = service_settings(world_lab, tmp_path, service={"deadline": "50s"})
    before = asked(world_lab)["dora@acme.test"]
    for _ in range(2):
        with running(settings) as client:
            for _ in range(2):
                assert client.verify("dora@acme.test", depth="smtp")["reason"] == "mailbox_not_found"
    assert asked(world_lab)["dora@acme.test"] == before + 1
    with duckdb.connect(str(tmp_path / "verdicts.duckdb"), read_only=True) as db:
        rows = db.execute("select email, reason, depth from mailvet_verdicts").fetchall()
    assert rows == [("dora@acme.test", "mailbox_not_found", "smtp")]


@pytest.mark.parametrize("key", ["", "no key", "mvs_aaaaaaaaaa_" + "x" * 43])
def test_no_key_and_a_wrong_one_are_refused_alike(client: Client, key: str) -> None:
    response = client.ask("POST", "/v1/verify", {"address": "ann@acme.test"}, key=key)
    assert response.status == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 401


def test_a_key_opens_what_its_scopes_say(client: Client) -> None:
    published = client.new_key(scopes=["form"])
    batches = client.new_key(scopes=["batches"])
    for key in (published, batches):
        assert client.ask("POST", "/v1/verify", {"address": "ann@acme.test"}, key=key).status == 403
        assert client.ask("DELETE", "/v1/addresses", {"address": "ann@acme.test"}, key=key).status == 403
    assert client.ask("POST", "/v1/form", {"address": "ann@acme.test"}, key=batches).status == 403
    assert client.ask("POST", "/v1/form", {"address": "ann@acme.test"}, key=published).status == 200


def test_a_revoked_key_opens_nothing_at_once_and_a_replaced_one_when_its_time_is_over(client: Client) -> None:
    keys = client.service.access.keys
    text = client.new_key()
    assert client.ask("POST", "/v1/verify", {"address": "a@acme.test"}, key=text).status == 200
    new, new_text = keys.rotate(text.split("_")[1], overlap=3600)
    for each in (text, new_text):
        assert client.ask("POST", "/v1/verify", {"address": "a@acme.test"}, key=each).status == 200
    keys.revoke(text.split("_")[1])
    keys.revoke(new.id)
    for each in (text, new_text):
        assert client.ask("POST", "/v1/verify", {"address": "a@acme.test"}, key=each).status == 401


def test_over_a_limit_the_response_says_when_to_come_back(client: Client) -> None:
    key = client.new_key(per_second=2)
    statuses = [client.ask("POST", "/v1/verify", {"address": "@@"}, key=key) for _ in range(40)]
    refused = [response for response in statuses if response.status == 429]
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    key = client.new_key(per_day=3)
    found = [client.ask("POST", "/v1/verify", {"address": "@@"}, key=key) for _ in range(4)]
    assert [response.status for response in found] == [200, 200, 200, 429]
    assert int(found[3].headers["retry-after"]) <= 86_400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"address": 5}',
        b'{"address": "a@b.test", "more": 1}',
        b'{"address": "a@b.test", "depth": "deep"}',
        b'{"address": "a@b.test", "deadline_ms": 0}',
        b'{"address": "a@b.test", "deadline_ms": 60001}',
        b'{"address": "\\ud800@b.test"}',
        json.dumps({"address": "a" * 2000}).encode(),
        b"[" * 60_000,
    ],
)
def test_what_does_not_fit_is_told_without_repeating_it(client: Client, body: bytes) -> None:
    response = client.ask("POST", "/v1/verify", body)
    assert response.status in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert b"@b.test" not in response.body
    assert b"aaaa" not in response.body


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: Client) -> None:
    response = client.ask("POST", "/v1/verify", headers={"Content-Length": "100000000"})
    assert response.status == 413
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/verify", iter([b" " * 70_000]), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_that_sends_no_request_is_disconnected(
    world_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_HEADER_SECONDS", 0.2)
    with running(service_settings(world_lab, tmp_path)) as client, socket.socket() as slow:
        slow.settimeout(20)
        slow.connect(("127.0.0.1", client.port))
        slow.sendall(b"POST /v1/verify HTTP/1.1\r\nHost: a\r\n")
        assert slow.recv(100) == b""
        assert client.ask("GET", "/healthz").status == 200


def test_a_body_that_stalls_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailvet.service.guard._CHUNK_SECONDS", 0.2)
    with socket.socket() as slow:
        slow.settimeout(20)
        slow.connect(("127.0.0.1", client.port))
        head = (
            f"POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {client.key}\r\nContent-Length: 50\r\n\r\n{{"
        )
        slow.sendall(head.encode())
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


def test_erasing_an_address_takes_it_out_of_the_database_and_of_memory(client: Client) -> None:
    client.verify("Ed.Erased@acme.test", depth="smtp")
    response = client.ask("DELETE", "/v1/addresses", {"address": "ed.erased@ACME.test"})
    assert response.status == 200
    assert response.json()["verdicts"] == 1
    again = client.ask("DELETE", "/v1/addresses", {"address": "ed.erased@acme.test"})
    assert again.json()["verdicts"] == 0
    for body in ({}, {"address": "a@b.test", "domain": "b.test"}, {"domain": "a@b.test"}):
        assert client.ask("DELETE", "/v1/addresses", body).status == 422


def test_pages_of_listed_sites_alone_may_ask_from_a_browser(client: Client) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = client.ask("OPTIONS", "/v1/form", headers={"Origin": "https://shop.example", **asking}, key="")
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    other = client.ask("OPTIONS", "/v1/form", headers={"Origin": "https://evil.example", **asking}, key="")
    assert "access-control-allow-origin" not in other.headers


def test_health_readiness_and_metrics_need_no_key_and_name_no_address(client: Client) -> None:
    client.verify("very.private@acme.test")
    assert client.ask("GET", "/healthz", key="").json() == {"status": "ok"}
    assert client.ask("GET", "/readyz", key="").json() == {"ready": True, "database": True, "dns": True}
    text = client.ask("GET", "/metrics", key="").body.decode()
    assert 'mailvet_requests_total{route="/v1/verify",status="200"}' in text
    assert "acme" not in text
    assert "private" not in text


def test_no_address_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.verify("very.private@acme.test")
        client.ask("POST", "/v1/verify", {"address": "very.private@acme.test", "depth": "deep"})
        client.ask("GET", "/v1/verify?address=very.private@acme.test")
    assert "private" not in caplog.text


def test_unknown_paths_and_methods_are_problems_too(client: Client) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/verify", 405)):
        response = client.ask(method, path)
        assert (response.status, response.json()["status"]) == (status, status)


def test_openapi_names_every_route_and_its_problems(client: Client) -> None:
    document = client.ask("GET", "/openapi.json", key="").json()
    assert document["openapi"].startswith("3.1")
    responses = document["paths"]["/v1/verify"]["post"]["responses"]
    assert {"200", "401", "403", "413", "422", "429"} <= set(responses)
    assert "application/problem+json" in responses["422"]["content"]


def test_mail_servers_in_private_space_are_never_contacted(world_lab: Lab, tmp_path: Path) -> None:
    settings = service_settings(
        world_lab, tmp_path, service={"deadline": "50s"}, smtp={"allow_private_networks": ("127.77.0.0/16",)}
    )
    with running(settings) as client:
        assert client.verify("ann@private.test", depth="smtp")["reason"] == "mx_unroutable"
    assert world_lab.counters()["mx.private.test"].connections == 0


def test_a_form_learns_about_domains_and_never_about_mailboxes(world_lab: Lab, tmp_path: Path) -> None:
    suppressed = "gone.customer@acme.test"
    settings = service_settings(
        world_lab, tmp_path, service={"deadline": "50s"}, lists={"suppress": (suppressed, "x@gone.test")}
    )
    with running(settings) as client:
        for address in ("ann@acme.test", "nobody.there@acme.test", "bob@acme.test"):
            client.verify(address, depth="smtp")
        assert client.verify(suppressed)["reason"] == "suppressed"
        for local in ("ann", "nobody.there", "bob", "gone.customer", "info"):
            found = client.ask("POST", "/v1/form", {"address": f"{local}@acme.test"}).json()
            assert found == {"result": "accept", "suggestion": None}, local
        for address, result in (("ann@gone.test", "reject"), ("no address", "reject"), ("ann@dead.test", "accept")):
            assert client.ask("POST", "/v1/form", {"address": address}).json()["result"] == result
        found = client.ask("POST", "/v1/form", {"address": "ann@gmial.com"}).json()
        assert found == {"result": "suggest", "suggestion": "ann@gmail.com"}

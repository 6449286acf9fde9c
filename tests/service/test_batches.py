"""Batches: what goes in, what comes out, and what survives."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mailvet.lab import Lab
from mailvet.service import jobs, webhooks
from mailvet.service.keys import webhook_secret_of
from tests.probing import asked
from tests.service.conftest import service_settings
from tests.service.serving import Client, Response, running

CELLS = ["ann@acme.test", "carol@acme.test", None, "ann@acme.test", "@@", "x@gone.test", "=cmd@acme.test"]
REASONS = [
    "mailbox_accepted",
    "mailbox_not_found",
    None,
    "mailbox_accepted",
    "syntax_invalid",
    "domain_not_found",
    "mailbox_not_found",
]


def finished(client: Client, response: Response, **more: Any) -> Any:
    """The batch when it has ended."""
    assert response.status == 202, response.body
    path = f"/v1/batches/{response.json()['id']}"
    while (job := client.ask("GET", path, **more).json())["state"] in ("queued", "running"):
        time.sleep(0.1)
    return job


def rows(client: Client, job: Any, query: str = "") -> list[dict[str, Any]]:
    body = client.ask("GET", f"/v1/batches/{job['id']}/results{query}").body
    return [json.loads(line) for line in body.splitlines()]


def upload(client: Client, cells: list[str | None], query: str = "?depth=dns", **headers: str) -> Response:
    return client.ask("POST", f"/v1/batches{query}", {"addresses": cells}, headers=headers)


def test_a_batch_gives_every_row_its_verdict_in_the_order_of_the_upload(client: Client, world_lab: Lab) -> None:
    job = finished(client, upload(client, CELLS, "?depth=smtp"))
    assert (job["state"], job["rows"], job["due"], job["done"]) == ("done", 7, 5, 5)
    assert job["by_status"]["missing"] == 1
    found = rows(client, job)
    assert [row["address"] for row in found] == CELLS
    assert [row["reason"] for row in found] == REASONS
    assert [row["position"] for row in found] == list(range(7))
    assert client.verify("carol@acme.test", depth="smtp")["reason"] == "mailbox_not_found"
    assert asked(world_lab)["carol@acme.test"] == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-ndjson", b'"ann@gone.test"\n{"email": "@@"}\n\n{"address": null}\n'),
        ("text/csv", b"id,E-Mail\n1,ann@gone.test\n2,@@\n3,\n"),
        ("text/csv; charset=utf-8", "\ufeffemail;name\nann@gone.test;Ann\n@@;Bob\n;x\n".encode()),
        ("application/json", b'{"addresses": ["ann@gone.test", "@@", null]}'),
    ],
)
def test_every_form_of_upload_is_read(client: Client, kind: str, body: bytes) -> None:
    job = finished(client, client.ask("POST", "/v1/batches?depth=dns", body, headers={"Content-Type": kind}))
    assert [row["reason"] for row in rows(client, job)] == ["domain_not_found", "syntax_invalid", None]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"ann@gone.test", 415),
        ("application/json", b'["ann@gone.test"]', 422),
        ("application/json", b'{"addresses": []}', 422),
        ("application/json", b'{"addresses": [5]}', 422),
        ("application/json", b"{" * 50_000, 422),
        ("application/x-ndjson", b"ann@gone.test", 422),
        ("text/csv", b"name,age\nAnn,7\n", 422),
        ("text/csv", b"", 422),
    ],
)
def test_what_cannot_be_read_is_refused_whole(client: Client, kind: str, body: bytes, status: int) -> None:
    response = client.ask("POST", "/v1/batches", body, headers={"Content-Type": kind})
    assert response.status == status
    assert b"ann@gone" not in response.body


def test_results_come_in_pages_and_as_csv_and_parquet(client: Client) -> None:
    job = finished(client, upload(client, ["=a@gone.test", "b@gone.test", "c@gone.test"]))
    path = f"/v1/batches/{job['id']}/results"
    page = client.ask("GET", f"{path}?count=2")
    assert len(page.body.splitlines()) == 2
    following = page.headers["link"].partition(">")[0].removeprefix("<")
    assert [json.loads(line)["position"] for line in client.ask("GET", following).body.splitlines()] == [2]
    text = client.ask("GET", f"{path}?format=csv").body.decode().splitlines()
    assert text[0].startswith("position,address,status,reason")
    assert text[1].startswith("0,'=a@gone.test,undeliverable,domain_not_found")
    table = pq.read_table(io.BytesIO(client.ask("GET", f"{path}?format=parquet").body))
    assert table["reason"].to_pylist() == ["domain_not_found"] * 3
    assert client.ask("GET", f"{path}?count=0").status == 422


def test_a_key_never_reads_the_batch_of_another(client: Client) -> None:
    job = finished(client, upload(client, ["a@gone.test"]))
    other = client.new_key()
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel")):
        assert client.ask(method, f"/v1/batches/{job['id']}{path}", key=other).status == 404
    assert client.ask("GET", f"/v1/batches/{job['id']}", key=client.new_key(scopes=["verify"])).status == 403


def test_a_replacing_key_reads_the_batches_of_the_replaced_one(client: Client) -> None:
    text = client.new_key()
    job = finished(client, client.ask("POST", "/v1/batches", {"addresses": ["@@"]}, key=text), key=text)
    replaced = client.service.access.keys.rotate(text.split("_")[1], overlap=60)[1]
    assert client.ask("GET", f"/v1/batches/{job['id']}", key=replaced).status == 200


def test_a_repeated_request_begins_no_second_batch(client: Client) -> None:
    first = upload(client, ["a@gone.test"], **{"Idempotency-Key": "k1"})
    again = upload(client, ["a@gone.test"], **{"Idempotency-Key": "k1"})
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert upload(client, ["b@gone.test"], **{"Idempotency-Key": "k1"}).status == 422
    other = client.new_key()
    separate = client.ask(
        "POST", "/v1/batches?depth=dns", {"addresses": ["a@gone.test"]}, key=other, headers={"Idempotency-Key": "k1"}
    )
    assert separate.json()["id"] != first.json()["id"]


def test_a_batch_counts_against_the_day_with_all_of_its_addresses(client: Client) -> None:
    key = client.new_key(per_day=3)
    assert client.ask("POST", "/v1/batches", {"addresses": ["@@"] * 4}, key=key).status == 429
    assert client.ask("POST", "/v1/batches", {"addresses": ["@@"] * 3}, key=key).status == 202


def test_a_cancelled_batch_stops_and_keeps_what_it_found(client: Client) -> None:
    cells: list[str | None] = [f"p{n}@d{n}.dead.test" for n in range(50)]
    job = upload(client, cells).json()
    cancelled = client.ask("POST", f"/v1/batches/{job['id']}/cancel")
    assert cancelled.status == 202
    while (found := client.ask("GET", f"/v1/batches/{job['id']}").json())["state"] == "running":
        time.sleep(0.1)
    assert found["state"] == "cancelled"
    assert client.ask("POST", f"/v1/batches/{job['id']}/cancel").status == 409
    assert client.ask("GET", f"/v1/batches/{job['id']}/results").status == 200


def test_an_erased_address_is_gone_from_batches(client: Client) -> None:
    job = finished(client, upload(client, ["Fay.Away@gone.test", "x@gone.test", "fay.away@gone.test"]))
    erased = client.ask("DELETE", "/v1/addresses", {"address": "fay.away@gone.test"}).json()
    assert (erased["verdicts"], erased["batch_rows"]) == (2, 2)
    assert [row["address"] for row in rows(client, job)] == [None, "x@gone.test", None]
    assert client.ask("DELETE", "/v1/addresses", {"domain": "gone.test"}).json()["batch_rows"] >= 1
    assert [row["address"] for row in rows(client, job)] == [None, None, None]


def test_a_batch_goes_on_after_a_restart_and_asks_no_recipient_twice(world_lab: Lab, tmp_path: Path) -> None:
    settings = service_settings(world_lab, tmp_path, service={"deadline": "50s"})
    cells: list[str | None] = [f"restart{n}@acme.test" for n in range(30)]
    with running(settings) as client:
        key, job = client.key, upload(client, cells, "?depth=smtp").json()
        while client.ask("GET", f"/v1/batches/{job['id']}").json()["state"] == "queued":
            time.sleep(0.05)
    with running(settings) as client:
        client.key = key
        response = client.ask("GET", f"/v1/batches/{job['id']}")
        job = finished(client, Response(202, {}, response.body))
        assert job["state"] == "done"
        assert {row["reason"] for row in rows(client, job)} == {"mailbox_accepted"}
    assert max(asked(world_lab)[str(cell)] for cell in cells) == 1


def test_a_batch_is_deleted_when_its_time_is_over(
    world_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_TIDY_SECONDS", 0.1)
    with running(service_settings(world_lab, tmp_path, service={"retention": "0s"})) as client:
        job = upload(client, ["@@"]).json()
        while client.ask("GET", f"/v1/batches/{job['id']}").status != 404:
            time.sleep(0.1)
        assert client.service.database.batches() == []


# -------------------------------------------------------------------- webhooks


@pytest.fixture
def receiver() -> Iterator[tuple[int, list[tuple[str, dict[str, str], bytes]], list[int]]]:
    """A server that keeps what it is sent, and replies with the statuses of a list, then 200."""
    received: list[tuple[str, dict[str, str], bytes]] = []
    statuses: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, dict(self.headers.items()), body))
            status = statuses.pop(0) if statuses else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], received, statuses
    server.shutdown()
    server.server_close()


def told(client: Client, job: Any) -> Any:
    while (found := client.ask("GET", f"/v1/batches/{job['id']}").json())["webhook"] == "waiting":
        time.sleep(0.1)
    return found["webhook"]


def test_the_end_of_a_batch_is_told_signed_again_where_it_failed_and_without_redirects(
    world_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Any
) -> None:
    monkeypatch.setattr(webhooks, "_AGAIN", (0.0,) * 5)
    port, received, statuses = receiver
    statuses += [500, 302]
    with running(service_settings(world_lab, tmp_path, service={"webhook_networks": ("127.0.0.0/8",)})) as client:
        job = upload(client, ["@@"], f"?webhook=http://127.0.0.1:{port}/hook?a=b").json()
        assert told(client, job) == "delivered"
        key = client.key
    assert [path for path, _, _ in received] == ["/hook?a=b"] * 3
    _, headers, body = received[-1]
    at, digest = (part.partition("=")[2] for part in headers["Mailvet-Signature"].split(","))
    expected = hmac.new(webhook_secret_of(key).encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert digest == expected
    assert json.loads(body) == {"id": job["id"], "state": "done", "rows": 1, "done": 1}


def test_no_webhook_goes_to_a_private_address(
    world_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Any
) -> None:
    monkeypatch.setattr(webhooks, "_AGAIN", ())
    port, received, _ = receiver
    with running(service_settings(world_lab, tmp_path)) as client:
        for url in (f"http://127.0.0.1:{port}/", "ftp://a.example/", "https://u:p@a.example/", "https://"):
            assert upload(client, ["@@"], f"?webhook={url}").status == 422
        for host in ("127.0.0.1", "localhost", "169.254.169.254", "[::1]", "2130706433"):
            job = upload(client, ["@@"], f"?webhook=https://{host}:{port}/").json()
            assert told(client, job) == "failed", host
    assert received == []

"""Senders' webhooks: which are believed, what becomes of their events, and which are refused."""

from __future__ import annotations

import base64
import dataclasses
import http.server
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailvet.errors import LockedError, SettingsError
from mailvet.lab import Lab
from mailvet.runs.event_import import import_events
from mailvet.service.amazon import Amazon, fetch
from mailvet.service.app import create_app
from mailvet.service.problems import ProblemError
from mailvet.service.signatures import SignatureError, amazon_url, check_amazon, check_resend, secret_problem
from mailvet.settings import Settings
from mailvet.warehouse.opening import open_events
from tests.service.conftest import service_settings
from tests.service.senders import (
    AMAZON,
    CERTIFICATE_URL,
    MAILGUN,
    PASSWORD,
    SECRETS,
    SENDGRID,
    SUBSCRIBE_URL,
    TOPIC,
    Webhook,
    by_password,
    certificate,
    key_of,
    mailgun_failure,
    of_mailgun,
    of_resend,
    of_sendgrid,
    of_ses,
    resend_bounce,
    send,
    sendgrid_bounce,
    ses_bounce,
    sns_message,
    verification_key,
    webhook,
    with_password,
)
from tests.service.serving import Client, running
from tests.service.test_batches import finished, rows, upload

# -------------------------------------------------------------------- a service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webhooks")


@pytest.fixture(scope="module")
def receiver(world_lab: Lab, folder: Path) -> Iterator[Client]:
    with running(service_settings(world_lab, folder, service={"events": SECRETS})) as client:
        client.service.events.amazon.fetch = lambda url: certificate() if url == CERTIFICATE_URL else b""
        yield client


def kept(client: Client) -> list[tuple[Any, ...]]:
    """vendor, event, email_key and source of every event."""
    with duckdb.connect(str(client.service.database.place)) as db:
        if not db.execute("select 1 from duckdb_tables() where table_name = 'mailvet_events'").fetchall():
            return []
        return db.execute("select vendor, event, email_key, source from mailvet_events").fetchall()


def metric(client: Client, line: str) -> float:
    text = client.ask("GET", "/metrics", key="").body.decode()
    return next((float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line)), 0.0)


@pytest.mark.parametrize("vendor", list(SECRETS))
def test_a_webhook_of_its_sender_is_kept_once_however_often_it_comes(receiver: Client, vendor: str) -> None:
    address = f"gone.{vendor}@acme.test"
    found = webhook(vendor, address, at=time.time())
    for _ in range(3):
        response = send(receiver, vendor, found)
        assert (response.status, response.json()) == (200, {"records": 1}), response.body
    rows = [row for row in kept(receiver) if row[2] == key_of(address)]
    assert rows == [(vendor, "hard_bounce", key_of(address), "webhook")]
    assert metric(receiver, f'mailvet_events_received_total{{vendor="{vendor}"}}') == 3.0


def test_the_import_of_the_same_events_adds_nothing(receiver: Client) -> None:
    event = sendgrid_bounce("twice@acme.test")
    assert send(receiver, "sendgrid", of_sendgrid([event], at=time.time())).status == 200
    store = open_events(receiver.service.database.place)
    try:
        assert import_events([event], store, "sendgrid").added == 0
    finally:
        store.close()


def test_a_bounce_that_came_by_webhook_decides_the_next_batch(receiver: Client) -> None:
    cells: list[str | None] = ["bounced.by.webhook@acme.test", "ann@acme.test"]
    before = rows(receiver, finished(receiver, upload(receiver, cells)))
    assert [row["reason"] for row in before] == ["not_probed", "not_probed"]
    assert send(receiver, "ses", webhook("ses", "Bounced.by.Webhook@ACME.test", at=time.time())).status == 200
    after = rows(receiver, finished(receiver, upload(receiver, cells)))
    assert [row["reason"] for row in after] == ["hard_bounced", "not_probed"]


def test_a_repeated_webhook_of_resend_is_known_by_its_id(receiver: Client) -> None:
    document = resend_bounce("repeated@acme.test")
    for second in ("00", "59"):
        moved = {**document, "created_at": f"{datetime.now(timezone.utc):%Y-%m-%dT00:00}:{second}Z"}
        assert send(receiver, "resend", of_resend(moved, at=time.time(), message="msg_again")).status == 200
    assert [row[2] for row in kept(receiver)].count(key_of("repeated@acme.test")) == 1


# -------------------------------------------------------------------- what is refused


def changed(found: Webhook) -> Webhook:
    return dataclasses.replace(found, body=found.body.replace(b"forged", b"victim"))


def forged(vendor: str) -> list[Webhook]:
    """Webhooks that this sender did not send."""
    now, address = time.time(), "forged@acme.test"
    right = webhook(vendor, address, at=now)
    unsigned = Webhook(right.body)
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    own: dict[str, Callable[[], list[Webhook]]] = {
        "sendgrid": lambda: [
            unsigned,
            changed(right),
            of_sendgrid([sendgrid_bounce(address)], at=now, key=ec.generate_private_key(ec.SECP256R1())),
            Webhook(right.body, {**right.headers, "X-Twilio-Email-Event-Webhook-Timestamp": str(int(now) + 1)}),
            Webhook(right.body, {**right.headers, "X-Twilio-Email-Event-Webhook-Signature": "no base64!"}),
        ],
        "mailgun": lambda: [
            of_mailgun(mailgun_failure(address), at=now, key="another key"),
            Webhook(right.body.replace(b'"token"', b'"tokens"')),
            Webhook(json.dumps({"event-data": mailgun_failure(address)}).encode()),
            Webhook(b'{"signature": {"timestamp": "1", "token": "\\ud800", "signature": "\\ud800"}}'),
            Webhook(b"no JSON"),
            Webhook(b"[" * 100_000),
        ],
        "ses": lambda: [
            changed(right),
            of_ses(ses_bounce(address), at=now, key=other),
            of_ses(ses_bounce(address), at=now, TopicArn="arn:aws:sns:eu-west-1:123456789012:other"),
            Webhook(right.body.replace(b"SigningCertURL", b"SigningCert")),
            Webhook(right.body.replace(b'"Type": "Notification"', b'"Type": "Other"')),
            Webhook(json.dumps(ses_bounce(address)).encode()),
            Webhook(b"[]"),
        ],
        "resend": lambda: [
            unsigned,
            changed(right),
            of_resend(resend_bounce(address), at=now, key="whsec_" + base64.b64encode(b"another key").decode()),
            Webhook(right.body, {**right.headers, "svix-id": "msg_other"}),
            Webhook(
                right.body, {**right.headers, "svix-signature": right.headers["svix-signature"].replace("v1,", "v2,")}
            ),
        ],
    }
    return (
        own[vendor]()
        if vendor in own
        else [
            unsigned,
            with_password(by_password(vendor, address), pair="mailvet:another-password"),
            Webhook(right.body, {"authorization": "Basic ?"}),
            Webhook(right.body, {"authorization": f"Bearer {PASSWORD}"}),
        ]
    )


@pytest.mark.parametrize("vendor", list(SECRETS))
def test_forged_webhooks_are_refused_and_nothing_of_them_is_kept(receiver: Client, vendor: str) -> None:
    before, refused = len(kept(receiver)), metric(receiver, f'mailvet_webhooks_refused_total{{vendor="{vendor}"}}')
    found = forged(vendor)
    for number, each in enumerate(found):
        response = send(receiver, vendor, each)
        assert response.status == 401, (number, response.body)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers.get("www-authenticate", "Basic").startswith("Basic")
        assert b"acme" not in response.body
    assert len(kept(receiver)) == before
    assert metric(receiver, f'mailvet_webhooks_refused_total{{vendor="{vendor}"}}') == refused + len(found)


@pytest.mark.parametrize(
    ("vendor", "repeated_for"), [("sendgrid", 86_400), ("mailgun", 28_800), ("ses", 3600), ("resend", 0)]
)
def test_an_old_time_stamp_is_refused_when_the_sender_repeats_no_more(
    receiver: Client, vendor: str, repeated_for: int
) -> None:
    now = time.time()
    late = webhook(vendor, f"late.{vendor}@acme.test", at=now - repeated_for)
    assert send(receiver, vendor, late).status == 200
    for at, why in ((now - repeated_for - 400, "too old"), (now + 400, "in the future")):
        response = send(receiver, vendor, webhook(vendor, "old@acme.test", at=at))
        assert response.status == 401
        assert why in response.json()["detail"]
    assert key_of("old@acme.test") not in {row[2] for row in kept(receiver)}


def test_a_token_of_mailgun_comes_with_one_event_alone(receiver: Client) -> None:
    now = time.time()
    assert send(receiver, "mailgun", of_mailgun(mailgun_failure("first@acme.test"), at=now, token="once")).status == 200
    response = send(receiver, "mailgun", of_mailgun(mailgun_failure("second@acme.test"), at=now, token="once"))
    assert response.status == 401
    assert key_of("second@acme.test") not in {row[2] for row in kept(receiver)}


def test_the_key_of_a_parent_account_fits_the_events_of_a_subaccount(receiver: Client) -> None:
    found = of_mailgun(mailgun_failure("child@acme.test"), at=time.time(), token="parent", parent=True)
    assert send(receiver, "mailgun", found).status == 200


def test_senders_that_are_unknown_or_not_set_up_are_not_found(world_lab: Lab, tmp_path: Path, receiver: Client) -> None:
    for vendor in ("mandrill", "acme", "%00", "SendGrid"):
        assert send(receiver, vendor, webhook("sendgrid", "a@acme.test", at=time.time())).status == 404
    with running(service_settings(world_lab, tmp_path)) as client:
        assert send(client, "sendgrid", webhook("sendgrid", "a@acme.test", at=time.time())).status == 404


def test_a_webhook_that_is_too_large_is_refused_before_it_is_read(receiver: Client) -> None:
    response = receiver.ask("POST", "/v1/events/sendgrid", key="", headers={"Content-Length": "5000001"})
    assert response.status == 413


@pytest.mark.parametrize("vendor", ["mailgun", "ses"])
def test_a_large_body_is_not_parsed_before_it_is_known_whose_it_is(receiver: Client, vendor: str) -> None:
    assert send(receiver, vendor, Webhook(b'{"a": "' + b"a" * 1_000_000 + b'"}')).status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"5", b'"a"', b"[" * 100_000, b"\xff\xfe"], ids=range(6))
def test_a_body_that_holds_no_record_is_told_so(receiver: Client, body: bytes) -> None:
    found = with_password({})
    response = send(receiver, "postmark", dataclasses.replace(found, body=body))
    assert response.status == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_records_that_give_no_event_are_counted_and_the_others_kept(
    receiver: Client, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = sendgrid_bounce("unknown@acme.test", event="teleported.to.someone@acme.test")
    other = by_password("postmark", "other@acme.test")
    records = [unknown, other, sendgrid_bounce("among.them@acme.test"), {"sg_event_id": [{}], "event": {"a": 1}}]
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            response = send(receiver, "sendgrid", of_sendgrid(records, at=time.time()))
            assert (response.status, response.json()) == (200, {"records": 4})
        assert send(receiver, "postmark", with_password([unknown])).json() == {"records": 1}
    assert metric(receiver, 'mailvet_events_unusable_total{vendor="postmark",why="other_sender"}') == 1.0
    found = {row[2] for row in kept(receiver)}
    assert key_of("among.them@acme.test") in found
    assert not {key_of("unknown@acme.test"), key_of("other@acme.test")} & found
    for why in ("unknown_word", "other_sender", "no_word"):
        assert metric(receiver, f'mailvet_events_unusable_total{{vendor="sendgrid",why="{why}"}}') == 2.0, why
    assert caplog.text.count("is not known") == 1
    assert "someone" not in caplog.text


def test_no_secret_and_no_address_is_logged_or_counted(receiver: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for vendor in SECRETS:
            send(receiver, vendor, webhook(vendor, "hushed.person@acme.test", at=time.time()))
            for each in forged(vendor):
                send(receiver, vendor, each)
    text = caplog.text + receiver.ask("GET", "/metrics", key="").body.decode() + repr(receiver.service.settings)
    assert "hushed" not in text
    for vendor, secret in SECRETS.items():
        assert secret not in text or vendor == "ses", vendor  # an ARN opens nothing


def test_requests_that_come_together_are_each_told_what_became_of_them(receiver: Client) -> None:
    statuses: list[int] = []

    def one(number: int) -> None:
        found = of_sendgrid([sendgrid_bounce(f"crowd{number}@acme.test")], at=time.time())
        statuses.append(send(receiver, "sendgrid", found).status)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 20
    assert {key_of(f"crowd{number}@acme.test") for number in range(20)} <= {row[2] for row in kept(receiver)}


def test_a_database_that_is_held_lets_the_sender_come_again(receiver: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: Any, **__: Any) -> Any:
        raise LockedError("Another process holds it.")

    found = webhook("postmark", "later@acme.test", at=time.time())
    with monkeypatch.context() as patch:
        patch.setattr("mailvet.service.events.import_events", held)
        response = send(receiver, "postmark", found)
        assert (response.status, "retry-after" in response.headers) == (503, True)
        assert send(receiver, "brevo", webhook("brevo", "later@acme.test", at=time.time())).status == 429
    assert send(receiver, "postmark", found).status == 200


def test_a_database_that_does_not_reply_lets_the_sender_come_again_and_loses_nothing(
    receiver: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, free = receiver.service.events, threading.Event()
    real = events._import_now

    def slow(*arguments: Any) -> Any:
        free.wait(60)
        return real(*arguments)

    monkeypatch.setattr(events, "_import_now", slow)
    monkeypatch.setattr("mailvet.service.events._WRITE_SECONDS", 0.1)
    monkeypatch.setattr("mailvet.service.events._MOST_WAITING", 2)
    for number in range(3):  # the third one would be one too many
        assert send(receiver, "postmark", webhook("postmark", f"slow{number}@acme.test", at=0)).status == 503
    free.set()
    while events._held:
        time.sleep(0.01)
    found = {row[2] for row in kept(receiver)}
    assert [key_of(f"slow{number}@acme.test") in found for number in range(3)] == [True, True, False]


# -------------------------------------------------------------------- Amazon SNS


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event Notification\n"}])
def test_both_versions_of_amazons_signature_are_read(version: str, more: dict[str, str]) -> None:
    document = sns_message("Notification", "a\nb", at=time.time(), version=version, **more)
    check_amazon(document, certificate(), time.time())
    with pytest.raises(SignatureError):
        check_amazon({**document, "Message": "a\nc"}, certificate(), time.time())


@pytest.mark.parametrize("found", [b"", b"no certificate", certificate(days=-1)], ids=["nothing", "a text", "expired"])
def test_a_certificate_that_is_none_or_not_valid_is_refused(found: bytes) -> None:
    with pytest.raises(SignatureError):
        check_amazon(sns_message("Notification", "a", at=time.time()), found, time.time())


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERTIFICATE_URL.replace("sns.eu-west-1.amazonaws.com", "evil.example"),
        CERTIFICATE_URL.replace("sns.eu-west-1", "sns.us-east-1"),
        CERTIFICATE_URL.replace("https://", "https://evil.example\\@"),
        CERTIFICATE_URL.replace("https://", "https://user@"),
        CERTIFICATE_URL.replace(".com/", ".com:8443/"),
        CERTIFICATE_URL.replace("/Simple", "/../Simple"),
        CERTIFICATE_URL + "?a=b",
        CERTIFICATE_URL + "#a",
        CERTIFICATE_URL + "\r\nHost: evil.example",
        "https://[::1/SimpleNotificationService-0.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0.pem",
        "",
        None,
        5,
    ],
)
def test_a_certificate_comes_from_sns_of_the_topics_region_alone(url: Any) -> None:
    good = {"TopicArn": TOPIC, "SigningCertURL": CERTIFICATE_URL}
    assert amazon_url(good, [TOPIC], "SigningCertURL") == CERTIFICATE_URL
    with pytest.raises(SignatureError):
        amazon_url({**good, "SigningCertURL": url}, [TOPIC], "SigningCertURL")


def test_the_region_in_china_has_hosts_of_its_own() -> None:
    topic = TOPIC.replace("aws", "aws-cn").replace("eu-west-1", "cn-north-1")
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem"
    assert amazon_url({"TopicArn": topic, "SigningCertURL": url}, [topic], "SigningCertURL") == url
    with pytest.raises(SignatureError):
        amazon_url({"TopicArn": topic, "SigningCertURL": url[: -len(".cn")]}, [topic], "SigningCertURL")


def test_a_subscription_is_confirmed_when_its_message_is_signed_and_leads_to_amazon(
    receiver: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return certificate()

    monkeypatch.setattr(receiver.service.events.amazon, "fetch", fetch)
    kind, now = "SubscriptionConfirmation", time.time()
    evil = sns_message(kind, "m", at=now, SubscribeURL="https://evil.example/", Token="abc")
    forged_one = {**sns_message(kind, "m", at=now, SubscribeURL=SUBSCRIBE_URL, Token="abc"), "Token": "abd"}
    for document in (evil, forged_one):
        assert send(receiver, "ses", Webhook(json.dumps(document).encode())).status == 401
    assert not {url for url in asked if url != CERTIFICATE_URL}
    right = sns_message(kind, "m", at=now, SubscribeURL=SUBSCRIBE_URL, Token="abc")
    response = send(receiver, "ses", Webhook(json.dumps(right).encode()))
    assert (response.status, response.json()) == (200, {"records": 0})
    assert asked[-1] == SUBSCRIBE_URL


async def test_certificates_are_fetched_once_and_seldom_where_there_are_none() -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        if url != CERTIFICATE_URL:
            raise OSError("status 404")
        return b"pem"

    amazon = Amazon(fetch)
    for _ in range(3):
        assert await amazon.certificate(CERTIFICATE_URL) == b"pem"
        amazon.keep(CERTIFICATE_URL, b"pem")
    assert asked == [CERTIFICATE_URL]
    for number in range(100):
        with pytest.raises(ProblemError) as refused:
            await amazon.certificate(CERTIFICATE_URL.replace("0123", f"{number:04}"))
        assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    assert len(asked) == 20
    assert await amazon.certificate(CERTIFICATE_URL) == b"pem"


class _Amazon(http.server.BaseHTTPRequestHandler):
    """Stands in for SNS, on loopback."""

    def do_GET(self) -> None:
        status, body = {"/right": (200, b"pem"), "/large": (200, b"a" * 70_000)}.get(self.path, (302, b""))
        self.send_response(status)
        self.send_header("Location", "/right")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_what_is_fetched_is_small_trusted_and_no_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, AMAZON.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    own = tmp_path / "own.pem"
    own.write_bytes(
        made.sign(AMAZON, SHA256()).public_bytes(Encoding.PEM)
        + AMAZON.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Amazon) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"https://localhost:{server.server_port}"
            with pytest.raises(OSError, match="CertVerification"):
                fetch(f"{url}/right")
            monkeypatch.setenv("SSL_CERT_FILE", str(own))
            assert fetch(f"{url}/right") == b"pem"
            with pytest.raises(OSError, match="302"):
                fetch(f"{url}/redirect")
            with pytest.raises(OSError, match="too much"):
                fetch(f"{url}/large")
        finally:
            server.shutdown()
            thread.join(10)


# -------------------------------------------------------------------- secrets


def test_the_example_of_svix_fits() -> None:
    # The key, the message and the signature that Svix shows, https://docs.svix.com/receiving/verifying-payloads/how.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = {"svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "svix-timestamp": "1614265330", "svix-signature": signature}
    assert check_resend([secret], headers, body, 1_614_265_330.0) == headers["svix-id"]


@pytest.mark.parametrize(
    ("vendor", "secret"),
    [
        ("sendgrid", "no key"),
        ("sendgrid", base64.b64encode(b"no key").decode()),
        pytest.param("sendgrid", verification_key(ec.generate_private_key(ec.SECP384R1())), id="another curve"),
        ("mailgun", ""),
        ("mailgun", "schl\u00fcssel"),
        ("ses", "https://sns.eu-west-1.amazonaws.com/"),
        ("ses", "arn:aws:sqs:eu-west-1:123456789012:mail"),
        ("resend", "whsec_?"),
        ("resend", "whsec_YQ=="),
        ("postmark", "a-long-password-alone"),
        ("postmark", "mailvet:short"),
        ("brevo", ":a-long-password-of-tests"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_at_the_start_and_not_repeated(
    vendor: str, secret: str, world_lab: Lab, tmp_path: Path
) -> None:
    assert secret_problem(vendor, secret) is not None
    with pytest.raises(SettingsError) as refused:
        create_app(service_settings(world_lab, tmp_path, service={"events": {vendor: secret}}))
    assert f"service.events.{vendor}" in str(refused.value)
    assert not secret or secret not in str(refused.value)


def test_two_secrets_hold_side_by_side_while_one_is_replaced(world_lab: Lab, tmp_path: Path) -> None:
    new = ec.generate_private_key(ec.SECP256R1())
    secrets = {"sendgrid": f"{verification_key(SENDGRID)} {verification_key(new)}"}
    with running(service_settings(world_lab, tmp_path, service={"events": secrets})) as client:
        for number, key in enumerate((SENDGRID, new)):
            found = of_sendgrid([sendgrid_bounce(f"key{number}@acme.test")], at=time.time(), key=key)
            assert send(client, "sendgrid", found).status == 200


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILVET_SERVICE__EVENTS__MAILGUN", MAILGUN)
    found = Settings.load().service.events["mailgun"]
    assert found.get_secret_value() == MAILGUN
    assert MAILGUN not in repr(found)

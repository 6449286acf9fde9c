"""What senders post: webhooks signed with keys of the tests' own."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.service.serving import Client, Response

SENDGRID = ec.generate_private_key(ec.SECP256R1())
AMAZON = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=abc"
MAILGUN = "mailgun-key-of-the-tests"
RESEND = "whsec_" + base64.b64encode(b"resend key of the tests!").decode()
PASSWORD = "mailvet:a long password of tests".replace(" ", "-")
BY_PASSWORD = ("postmark", "brevo", "mailjet", "sparkpost")


def verification_key(private: ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


SECRETS = {
    "sendgrid": verification_key(SENDGRID),
    "mailgun": MAILGUN,
    "ses": TOPIC,
    "resend": RESEND,
    **dict.fromkeys(BY_PASSWORD, PASSWORD),
}


def certificate(*, days: int = 1, key: rsa.RSAPrivateKey = AMAZON) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    end = datetime.now(timezone.utc) + timedelta(days=days)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    return (
        made.not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


# -------------------------------------------------------------------- what senders send


@dataclasses.dataclass(frozen=True)
class Webhook:
    body: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def of_sendgrid(document: Any, *, at: float, key: ec.EllipticCurvePrivateKey = SENDGRID) -> Webhook:
    body = json.dumps(document).encode()
    stamp = str(int(at))
    signature = base64.b64encode(key.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode()
    return Webhook(
        body,
        {"X-Twilio-Email-Event-Webhook-Signature": signature, "X-Twilio-Email-Event-Webhook-Timestamp": stamp},
    )


def of_mailgun(event: Any, *, at: float, key: str = MAILGUN, token: str = "t" * 50, parent: bool = False) -> Webhook:
    stamp = str(int(at))
    signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    told = {"timestamp": stamp, "token": token, "signature": signature}
    if parent:
        told = {**told, "signature": "0" * 64, "parent-signature": signature}
    return Webhook(json.dumps({"signature": told, "event-data": event}).encode())


def of_resend(document: Any, *, at: float, key: str = RESEND, message: str = "msg_1") -> Webhook:
    body, stamp = json.dumps(document).encode(), str(int(at))
    secret = base64.b64decode(key.removeprefix("whsec_"))
    digest = hmac.new(secret, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signatures = f"v1,{base64.b64encode(b'of an older key').decode()} v1,{base64.b64encode(digest).decode()}"
    return Webhook(body, {"svix-id": message, "svix-timestamp": stamp, "svix-signature": signatures})


def sns_message(kind: str, message: str, *, at: float, version: str = "2", key: Any = AMAZON, **more: str) -> Any:
    stamp = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    told = {"Type": kind, "MessageId": "22b80b92", "TopicArn": TOPIC, "Message": message, "Timestamp": stamp, **more}
    names = sorted(told)  # the order of what SNS signs, which leaves out what is added below
    signed = "".join(f"{name}\n{told[name]}\n" for name in names).encode()
    signature = key.sign(signed, padding.PKCS1v15(), SHA1() if version == "1" else SHA256())
    return {
        **told,
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    }


def of_ses(document: Any, *, at: float, **more: Any) -> Webhook:
    return Webhook(json.dumps(sns_message("Notification", json.dumps(document), at=at, **more)).encode())


def with_password(document: Any, *, pair: str = PASSWORD) -> Webhook:
    return Webhook(
        json.dumps(document).encode(), {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    )


def sendgrid_bounce(address: str, **more: Any) -> Any:
    event = {"email": address, "timestamp": int(time.time()), "event": "bounce", "type": "bounce"}
    return {**event, "sg_event_id": f"of-{address}", "reason": f"550 5.1.1 <{address}> unknown", **more}


def mailgun_failure(address: str) -> Any:
    event = {"event": "failed", "severity": "permanent", "id": f"of-{address}", "timestamp": time.time()}
    return {**event, "recipient": address, "log-level": "error", "delivery-status": {"code": 550, "message": "no"}}


def ses_bounce(address: str) -> Any:
    at = datetime.now(timezone.utc).isoformat()
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "timestamp": at}
    return {
        "notificationType": "Bounce",
        "bounce": {**bounce, "bouncedRecipients": [{"emailAddress": address}]},
        "mail": {"messageId": "m1", "timestamp": at, "destination": [address]},
    }


def resend_bounce(address: str) -> Any:
    data = {"email_id": "e1", "to": [address], "bounce": {"type": "Permanent", "subType": "General"}}
    return {"type": "email.bounced", "created_at": datetime.now(timezone.utc).isoformat(), "data": data}


def by_password(vendor: str, address: str) -> Any:
    now = datetime.now(timezone.utc).isoformat()
    if vendor == "postmark":
        return {"RecordType": "Bounce", "Type": "HardBounce", "ID": 1, "Email": address, "BouncedAt": now}
    if vendor == "brevo":
        return {"event": "hard_bounce", "email": address, "ts_epoch": int(time.time() * 1000), "message-id": "<b@c>"}
    if vendor == "mailjet":
        told = {"event": "bounce", "email": address, "time": int(time.time()), "MessageID": 7, "hard_bounce": True}
        return [{**told, "mj_campaign_id": 1}]
    event = {"type": "bounce", "bounce_class": "10", "rcpt_to": address, "event_id": "9", "timestamp": now}
    return [{"msys": {"message_event": event}}]


def webhook(vendor: str, address: str, *, at: float) -> Webhook:
    """A hard bounce of this address."""
    if vendor == "sendgrid":
        return of_sendgrid([sendgrid_bounce(address)], at=at)
    if vendor == "mailgun":
        return of_mailgun(mailgun_failure(address), at=at, token=address)
    if vendor == "ses":
        return of_ses(ses_bounce(address), at=at)
    if vendor == "resend":
        return of_resend(resend_bounce(address), at=at, message=f"msg_{address}")
    return with_password(by_password(vendor, address))


def send(client: Client, vendor: str, found: Webhook) -> Response:
    return client.ask("POST", f"/v1/events/{vendor}", found.body, key="", headers=found.headers)


def key_of(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()

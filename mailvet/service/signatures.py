"""Whether a webhook comes from the sender whose name it bears: signatures and passwords, as pure functions.

Where each rule stands, as read on 2026-12-01:

* SendGrid: the page getting-started-event-webhook-security-features under
  https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/
* Mailgun: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks and, for how long one
  is repeated, https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries
* Amazon SNS: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html and
  https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
* Resend: https://resend.com/docs/webhooks/verify-webhooks-requests, by the rules of
  https://docs.svix.com/receiving/verifying-payloads/how-manual and, of the time, .../verifying-payloads/why
* a user name and a password in the URL: https://postmarkapp.com/developer/webhooks/webhooks-overview,
  https://developers.brevo.com/docs/secured-webhooks, https://developers.sparkpost.com/api/webhooks,
  https://documentation.mailjet.com/hc/en-us/articles/360043578154-Event-Tracking-API
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from mailvet.history.records import time_of

__all__ = [
    "BY_PASSWORD",
    "MAILGUN_SECONDS",
    "SignatureError",
    "Token",
    "amazon_url",
    "check_amazon",
    "check_mailgun",
    "check_password",
    "check_resend",
    "check_sendgrid",
    "secret_problem",
]

BY_PASSWORD: Final = frozenset({"brevo", "mailjet", "postmark", "sparkpost"})
"""Senders that sign nothing; the URL that they are given holds a user name and a password."""

_AHEAD: Final = 300.0
"""Seconds that a clock may be ahead, or that a request may be under way."""
_RESEND_SECONDS: Final = 300.0
"""Each attempt is signed anew."""
MAILGUN_SECONDS: Final = 8 * 3600 + _AHEAD
"""Mailgun repeats for eight hours and does not say that it signs anew."""
_SENDGRID_SECONDS: Final = 24 * 3600 + _AHEAD
"""A day, since the page does not say for how long a webhook is repeated, nor that it is signed anew."""
_AMAZON_SECONDS: Final = 3600 + _AHEAD
"""Amazon SNS repeats for an hour at most; the time is that of the message."""

_SHORTEST_PASSWORD: Final = 16
_TOPIC: Final = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,40}):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
)
_CERTIFICATE: Final = re.compile(r"SimpleNotificationService-[0-9A-Za-z]{1,100}\.pem")
_LONGEST_URL: Final = 2000
_SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_OPTIONAL: Final = "Subject"


class SignatureError(Exception):
    """A webhook that is not to be believed; the text says why and repeats nothing of it."""


_WRONG: Final = "The signature is missing or wrong."


@dataclass(frozen=True, slots=True)
class Token:
    """What Mailgun signs instead of the body: it may come with one body alone."""

    digest: bytes
    """SHA-256 of the token."""
    body: bytes
    """SHA-256 of the event beside it."""


def check_sendgrid(keys: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Check ECDSA with SHA-256 over time stamp and body.

    Args:
        keys: verification keys (base64), of which one has to fit.
        headers: of the request, found in lower case.
        body: as it came.
        now: seconds since 1970.

    Raises:
        SignatureError: it does not fit, or is too old.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    stamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
    signature = _decoded(headers.get("x-twilio-email-event-webhook-signature", ""))
    at = _seconds(stamp)
    for key in keys:
        try:
            _sendgrid_key(key).verify(signature, stamp.encode() + body, ECDSA(SHA256()))
        except InvalidSignature:
            continue
        _check_age(at, now, _SENDGRID_SECONDS)
        return
    raise SignatureError(_WRONG)


def check_mailgun(keys: Sequence[str], document: Any, now: float) -> Token:
    """Check HMAC-SHA256 over time stamp and token, and tell what was signed.

    The body is not signed. The caller has to see that a token comes with one body alone.

    Args:
        keys: signing keys, of which one has to fit; that of a parent account fits the events of its subaccounts.
        document: the body.
        now: seconds since 1970.

    Raises:
        SignatureError: it does not fit, or is too old.
    """
    told = document.get("signature") if isinstance(document, Mapping) else None
    if not isinstance(told, Mapping):
        raise SignatureError(_WRONG)
    stamp, token = str(told.get("timestamp", "")), told.get("token")
    at = _seconds(stamp)
    if not isinstance(token, str) or not token:
        raise SignatureError(_WRONG)
    sent = [_octets(told[name]) for name in ("signature", "parent-signature") if isinstance(told.get(name), str)]
    signed = _octets(stamp + token)
    expected = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest().encode() for key in keys]
    # Of all pairs, so that the time does not tell which.
    if not any([hmac.compare_digest(each, one) for each in sent for one in expected]):
        raise SignatureError(_WRONG)
    _check_age(at, now, MAILGUN_SECONDS)
    event = json.dumps(document.get("event-data"), sort_keys=True).encode()
    return Token(hashlib.sha256(_octets(token)).digest(), hashlib.sha256(event).digest())


def check_resend(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check HMAC-SHA256 over id, time stamp and body, as Svix signs; the id, which stays when a webhook is repeated.

    Args:
        secrets: `whsec_` and base64, of which one has to fit.
        headers: of the request, found in lower case.
        body: as it came.
        now: seconds since 1970.

    Raises:
        SignatureError: it does not fit, or is too old.
    """
    message, stamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    at = _seconds(stamp)
    if not message:
        raise SignatureError(_WRONG)
    sent = [
        _octets(each.removeprefix("v1,"))
        for each in headers.get("svix-signature", "").split(" ")
        if each.startswith("v1,")
    ]
    signed = _octets(f"{message}.{stamp}.") + body
    expected = [base64.b64encode(hmac.new(_resend_key(each), signed, hashlib.sha256).digest()) for each in secrets]
    if not any([hmac.compare_digest(each, one) for each in sent for one in expected]):
        raise SignatureError(_WRONG)
    _check_age(at, now, _RESEND_SECONDS)
    return message


def check_password(pairs: Sequence[str], header: str) -> None:
    """Check `Authorization: Basic`.

    Args:
        pairs: `user:password`, of which one has to fit.
        header: `Authorization`.

    Raises:
        SignatureError: it does not fit.
    """
    scheme, _, credentials = header.partition(" ")
    sent = b""
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(credentials.strip(), validate=True)
        except (binascii.Error, ValueError):
            sent = b""
    if not any([hmac.compare_digest(sent, pair.encode()) for pair in pairs]):
        raise SignatureError("The user name or the password is missing or wrong.")


# -------------------------------------------------------------------- Amazon SNS


def amazon_url(document: Any, topics: Sequence[str], name: str) -> str:
    """The URL in a message of one of these topics, if it leads to SNS of the topic's region and nowhere else.

    Args:
        document: the message.
        topics: ARNs of the topics that messages are taken from.
        name: `SigningCertURL` or `SubscribeURL`.

    Raises:
        SignatureError: another topic, or another URL.
    """
    topic, url = (document.get("TopicArn"), document.get(name)) if isinstance(document, Mapping) else (None, None)
    known = _TOPIC.fullmatch(topic) if isinstance(topic, str) and topic in topics else None
    if known is None or not isinstance(url, str) or len(url) > _LONGEST_URL:
        raise SignatureError("The message is of no topic that is known, or not signed.")
    start = f"https://sns.{known[2]}.amazonaws.com{'.cn' if known[1] == 'aws-cn' else ''}/"
    fits = url.startswith(start) and url.isascii() and url.isprintable() and not {" ", "#", "\\"} & set(url)
    if fits and name == "SigningCertURL":
        fits = _CERTIFICATE.fullmatch(url[len(start) :]) is not None
    if not fits:
        raise SignatureError("The message names a URL that is not one of Amazon SNS.")
    return url


def check_amazon(document: Mapping[str, Any], certificate: bytes, now: float) -> None:
    """Check RSA (SHA-1 in version 1, SHA-256 in version 2) over the names and values that SNS signs.

    Args:
        document: the message.
        certificate: as it came from `amazon_url` (PEM).
        now: seconds since 1970.

    Raises:
        SignatureError: it does not fit, or is too old.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    version, signature = document.get("SignatureVersion"), document.get("Signature")
    names = _SIGNED.get(str(document.get("Type")))
    if names is None or version not in ("1", "2") or not isinstance(signature, str):
        raise SignatureError(_WRONG)
    present = [name for name in names if name != _OPTIONAL or document.get(name) is not None]
    if not all(isinstance(document.get(name), str) for name in present):
        raise SignatureError(_WRONG)
    signed = "".join(f"{name}\n{document[name]}\n" for name in present)
    try:
        found = x509.load_pem_x509_certificate(certificate)
        key = found.public_key()
        if not isinstance(key, RSAPublicKey):
            raise SignatureError(_WRONG)
        key.verify(_decoded(signature), _octets(signed), PKCS1v15(), SHA1() if version == "1" else SHA256())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise SignatureError(_WRONG) from None
    moment = datetime.fromtimestamp(now, timezone.utc)
    if not found.not_valid_before_utc <= moment <= found.not_valid_after_utc:
        raise SignatureError("The certificate of the signature is not valid now.")
    at = time_of(document["Timestamp"])
    if at is None:
        raise SignatureError(_WRONG)
    _check_age(at.timestamp(), now, _AMAZON_SECONDS)


# -------------------------------------------------------------------- secrets


def secret_problem(vendor: str, secret: str) -> str | None:
    """What is wrong with a secret by its form, in words that do not repeat it; None where nothing is."""
    if not secret.isascii() or not secret.isprintable() or not secret:
        return "it is empty, or has other than printable ASCII characters"
    if vendor in BY_PASSWORD:
        user, colon, password = secret.partition(":")
        if not user or not colon or len(password) < _SHORTEST_PASSWORD:
            return f"write user:password, the password with {_SHORTEST_PASSWORD} characters or more"
    elif vendor == "ses" and _TOPIC.fullmatch(secret) is None:
        return "write the ARN of the SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME"
    elif vendor == "resend":
        try:
            fits = len(_resend_key(secret)) >= _SHORTEST_PASSWORD
        except ValueError:
            fits = False
        return None if fits else "write the signing secret as Resend shows it: whsec_ and base64"
    elif vendor == "sendgrid":
        try:
            _sendgrid_key(secret)
        except ValueError:
            return "write the verification key as SendGrid shows it: base64 of a public key on the curve P-256"
    return None


def _sendgrid_key(text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("no public key on P-256")
    return key


def _resend_key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(_WRONG) from None


def _octets(text: str) -> bytes:
    """JSON may name half of a surrogate pair, which no sender signs."""
    return text.encode("utf-8", "replace")


def _seconds(stamp: str) -> float:
    if re.fullmatch(r"[0-9]{1,12}", stamp) is None:
        raise SignatureError(_WRONG)
    return float(stamp)


def _check_age(at: float, now: float, oldest: float) -> None:
    if at < now - oldest:
        raise SignatureError("The time stamp is too old.")
    if at > now + _AHEAD:
        raise SignatureError("The time stamp is in the future. Check the clock of this machine.")

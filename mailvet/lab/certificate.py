"""The certificate of the lab's mail servers.

Made when a lab starts, known to no one else, no authority, and soon out of date, so that it is of no use to anyone who
finds it.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

from mailvet.errors import SettingsError
from mailvet.private_files import PrivateFolder

__all__ = ["make_certificate", "server_context"]

LASTS = timedelta(days=2)


def make_certificate(name: str = "mailvet.lab.invalid") -> tuple[bytes, bytes]:
    """A private key and a certificate signed with it, both in PEM; RFC 5280.

    Args:
        name: of the server; reserved, so that no client can take it for a real one (RFC 6761).

    Raises:
        SettingsError: the library that makes it is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError:
        raise SettingsError("The lab's mail servers need one more package: pip install 'mailvet[lab]'") from None
    key = ec.generate_private_key(ec.SECP256R1())
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(own_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


@lru_cache(maxsize=1)
def server_context() -> ssl.SSLContext:
    """The TLS context of all mail servers of this process; the key is on the disk only while it is read."""
    private, certificate = make_certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with PrivateFolder() as folder:
        path = Path(folder.new(".pem"))
        path.write_bytes(private + certificate)
        context.load_cert_chain(path)
    return context

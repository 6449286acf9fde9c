"""Object stores on loopback: moto's server speaks S3, the emulator speaks Google Cloud Storage."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECRET = "wJalrXUtnFEMI-not-for-logs"


@contextlib.contextmanager
def s3_server(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of moto's, as the beginning of URLs; the environment holds its place and credentials."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        bucket = f"lists-{uuid.uuid4().hex[:8]}"
        system = filesystem("s3")
        system.mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        server.stop()
        filesystem("s3", clear=True)


@contextlib.contextmanager
def gcs_server(environment: pytest.MonkeyPatch, folder: Path) -> Iterator[str]:
    """The same of the emulator of Google Cloud Storage."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, data_dir=str(folder))
    server.start()
    try:
        port = server._api._httpd.server_port
        environment.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        environment.setenv("NO_GCE_CHECK", "true")  # no look-up of a metadata server
        system = filesystem("gs")
        system.mkdir("lists")
        yield "gs://lists"
    finally:
        server.stop()
        filesystem("gs", clear=True)


def filesystem(protocol: str, *, clear: bool = False) -> Any:
    """The file system as fsspec gives it for this environment, without what earlier tests left in its cache."""
    import fsspec

    kind: Any = fsspec.get_filesystem_class(protocol)
    kind.clear_instance_cache()
    return None if clear else fsspec.filesystem(protocol)

"""The service in this process on a free port of loopback, and a client."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from mailvet.service import serving
from mailvet.service.app import Service, create_app
from mailvet.settings import Settings

__all__ = ["Client", "Response", "running"]


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks a service."""

    port: int
    service: Service
    key: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def new_key(self, **options: Any) -> str:
        return self.service.access.keys.create(**options)[1]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request; a body that is not bytes is sent as JSON."""
        sent = {"Authorization": f"Bearer {self.key if key is None else key}", **self.headers, **(headers or {})}
        if key == "":
            del sent["Authorization"]
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())
        finally:
            connection.close()

    def verify(self, address: str, **more: Any) -> Any:
        response = self.ask("POST", "/v1/verify", {"address": address, **more})
        assert response.status == 200, response.body
        return response.json()


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Client]:
    """A service with these settings, and a client with a key for everything."""
    app = create_app(settings)
    options = serving._options(settings, host="127.0.0.1", port=0)
    server = uvicorn.Server(uvicorn.Config(app, **options))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
            assert thread.is_alive()
        client = Client(listener.getsockname()[1], app.state.service)
        client.key = client.new_key(name="tests", per_second=10_000)
        try:
            yield client
        finally:
            server.should_exit = True
            thread.join(30)

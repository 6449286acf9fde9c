"""The server: one process or several, with time limits for clients that send nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailvet.errors import SettingsError, SourceError
from mailvet.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["app_of_worker", "serve"]

_HEADER_SECONDS: Final = 10.0
"""From the connection to a complete request head, and of an idle connection until it is closed."""
_SHUTDOWN_SECONDS: Final = 5
"""For requests under way when the service is stopped."""
_MOST_CONNECTIONS: Final = 2048
_PASSED_ON: Final = "_MAILVET_WORKERS"
_CONFIG: Final = "_MAILVET_CONFIG"


def serve(settings: Settings, *, config: Path | None, host: str, port: int, workers: int) -> None:
    """Serve until a signal says stop.

    Args:
        settings: of the service.
        config: the file that they were read from, for the workers.
        host: address to listen on.
        port: 0 takes a free one.
        workers: processes.

    Raises:
        SettingsError: the extra is not installed, or the settings do not go together.
        SourceError: the address cannot be listened on.
    """
    try:
        import uvicorn

        from mailvet.service.app import create_app
        from mailvet.service.database import Database
    except ImportError as error:
        raise SettingsError(
            f"The service needs packages that are not installed ({error.name}): pip install 'mailvet[service]'."
        ) from None
    Database(settings).check_workers(workers)
    options = _options(settings, host=host, port=port)
    folder: str | None = None
    if workers > 1:
        folder = tempfile.mkdtemp(prefix="mailvet-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ[_PASSED_ON] = str(workers)
        os.environ[_CONFIG] = json.dumps(None if config is None else str(config.resolve()))
        made = uvicorn.Config("mailvet.service.serving:app_of_worker", factory=True, workers=workers, **options)
    else:
        made = uvicorn.Config(create_app(settings), **options)
    try:
        listener = made.bind_socket()
    except SystemExit:
        raise SourceError(f"{host}:{port} cannot be listened on. Choose another --host or --port.") from None
    try:
        _run(made, listener, workers)
    finally:
        listener.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _run(made: uvicorn.Config, listener: Any, workers: int) -> None:
    print(f"Serving on http://{made.host}:{listener.getsockname()[1]}", flush=True)
    if workers > 1:
        from uvicorn import Server
        from uvicorn.supervisors import Multiprocess

        Multiprocess(made, Server(made).run, [listener]).run()
        return
    import uvicorn

    server = uvicorn.Server(made)
    server.run([listener])
    if not server.started:
        sys.exit(3)


def _options(settings: Settings, *, host: str, port: int) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "http": _protocol(),
        "log_level": "warning",
        "access_log": False,  # with client addresses, and paths with ids of batches
        "server_header": False,
        "proxy_headers": True,
        "forwarded_allow_ips": ",".join(settings.service.trusted_proxies),
        "timeout_keep_alive": int(_HEADER_SECONDS),
        "timeout_graceful_shutdown": _SHUTDOWN_SECONDS,
        "limit_concurrency": _MOST_CONNECTIONS,
        "ws": "none",
    }


def _protocol() -> type[Any]:
    """uvicorn's protocol, with a limit for the head of the first request, which it waits for without end."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol  # type: ignore[assignment]

    class Limited(Protocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._mailvet_timer = self.loop.call_later(_HEADER_SECONDS, self._close_silent)

        def _close_silent(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._mailvet_timer.cancel()
            super().connection_lost(exc)

    return Limited


def app_of_worker() -> FastAPI:
    """The application of a worker process, which has its settings from the environment."""
    from mailvet.service.app import create_app

    workers, config = int(os.environ.pop(_PASSED_ON)), json.loads(os.environ.pop(_CONFIG))
    return create_app(Settings.load(config), workers=workers)

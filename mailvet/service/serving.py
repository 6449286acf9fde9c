"""The server: one process or several, with time limits for clients that send nothing."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailvet.errors import SettingsError, SourceError
from mailvet.settings import Settings

if TYPE_CHECKING:
    import uvicorn

__all__ = ["serve"]

log = logging.getLogger("mailvet")

_HEADER_SECONDS: Final = 10.0
"""From the connection to a complete request head, and of an idle connection until it is closed."""
_SHUTDOWN_SECONDS: Final = 5
"""For requests under way when the service is stopped."""
_MOST_CONNECTIONS: Final = 2048
_LEAST_SECONDS: Final = 10.0
"""A worker that ends sooner could not start, and would not the next time."""
_LOOK_SECONDS: Final = 0.2
_WORKERS: Final = "_MAILVET_WORKERS"
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
    made = uvicorn.Config(create_app(settings) if workers == 1 else "", **_options(settings, host=host, port=port))
    try:
        listener = made.bind_socket()
    except SystemExit:
        raise SourceError(f"{host}:{port} cannot be listened on. Choose another --host or --port.") from None
    print(f"Serving on http://{host}:{listener.getsockname()[1]}", flush=True)
    try:
        if workers == 1:
            _run(uvicorn.Server(made), listener)
        else:
            _supervise(listener, config, workers)
    finally:
        listener.close()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    server.run([listener])
    if not server.started:
        sys.exit(3)


def _supervise(listener: socket.socket, config: Path | None, workers: int) -> None:
    """Keep so many processes serving; one that ends is replaced, unless it ended at once."""
    folder = tempfile.mkdtemp(prefix="mailvet-metrics-")
    passed_on = {
        "PROMETHEUS_MULTIPROC_DIR": folder,
        _CONFIG: json.dumps(None if config is None else str(config.resolve())),
        _WORKERS: f"{workers} {listener.fileno()}",
    }
    running: dict[subprocess.Popen[bytes], float] = {}
    try:
        while True:
            for process, began in list(running.items()):
                if process.poll() is not None:
                    del running[process]
                    if time.monotonic() - began < _LEAST_SECONDS:
                        sys.exit(process.returncode or 4)
                    log.error("a worker ended with %s and is replaced", process.returncode)
            while len(running) < workers:
                command = [sys.executable, "-m", "mailvet.service.serving"]
                process = subprocess.Popen(command, env={**os.environ, **passed_on}, pass_fds=[listener.fileno()])
                running[process] = time.monotonic()
            time.sleep(_LOOK_SECONDS)
    finally:
        for process in running:
            process.terminate()
        until = time.monotonic() + _SHUTDOWN_SECONDS + 1.5
        for process in running:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _serve_as_worker() -> None:
    """The process of a worker: its settings and its socket are told by the environment."""
    import uvicorn

    from mailvet.cli.messages import log_to_stderr
    from mailvet.service.app import create_app

    workers, descriptor = map(int, os.environ.pop(_WORKERS).split())
    config = json.loads(os.environ.pop(_CONFIG))
    log_to_stderr()
    settings = Settings.load(config)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with socket.socket(fileno=descriptor) as listener:
        made = uvicorn.Config(create_app(settings, workers=workers), **_options(settings, host="", port=0))
        with contextlib.suppress(KeyboardInterrupt):
            _run(uvicorn.Server(made), listener)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


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
    from importlib import import_module

    try:
        protocol: Any = import_module("uvicorn.protocols.http.httptools_impl").HttpToolsProtocol
    except ImportError:
        protocol = import_module("uvicorn.protocols.http.h11_impl").H11Protocol

    class Limited(protocol):  # type: ignore[misc]
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


if __name__ == "__main__":
    _serve_as_worker()

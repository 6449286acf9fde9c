"""Airflow's API server with its UI in this process, on a free port of loopback, and a browser to look at it."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.programs import find, require

__all__ = ["browse", "served"]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application; gives its address without a slash at the end."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
            assert thread.is_alive()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def browse(address: str, *more: str, size: tuple[int, int] = (1440, 1200), seconds: float = 90) -> str:
    """Open an address in a fresh headless Chromium with more flags (`--dump-dom`, `--screenshot=…`); what it prints.

    A Chromium that has not said anything in time is tried once more: with a clock of its own it now and then waits
    for ever.
    """
    program = find("chromium") or find("chromium-browser") or find("google-chrome")
    if program is None:
        require("chromium")
    assert program is not None
    for is_last in (False, True):
        with tempfile.TemporaryDirectory(prefix="mailvet-chromium-", ignore_cleanup_errors=True) as profile:
            command = [program, *_FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
            try:
                done = subprocess.run(
                    [*command, *more, address], capture_output=True, text=True, timeout=seconds, check=True
                )
            except subprocess.TimeoutExpired:
                if is_last:
                    raise
            else:
                return done.stdout
    raise AssertionError


def picture(address: str, path: Path, size: tuple[int, int], *more: str) -> None:
    """A screenshot of an address."""
    browse(address, f"--screenshot={path}", *more, size=size)
    assert path.stat().st_size > 10_000, f"{path} is empty"

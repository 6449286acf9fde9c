"""Start, wait for and stop the server processes of one test session; only our own, each by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

__all__ = ["Daemon", "free_port", "wait_until"]

START_SECONDS = 20.0
STOP_SECONDS = 10.0


def free_port(hosts: Iterable[str], *, kinds: Sequence[socket.SocketKind] = (socket.SOCK_STREAM,)) -> int:
    """A port above 1023 that is free on every one of the hosts, for each kind of socket."""
    hosts = list(hosts)
    for _ in range(100):
        with socket.socket(socket.AF_INET, kinds[0]) as first:
            first.bind((hosts[0], 0))
            port = int(first.getsockname()[1])
        try:
            for host in hosts:
                for kind in kinds:
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind((host, port))
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free on all of: " + ", ".join(hosts))


def wait_until(ready: Callable[[], bool], what: str, *, seconds: float = START_SECONDS) -> None:
    """Return as soon as `ready()` holds; an OSError counts as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{what} was not ready within {seconds:g} s")


class Daemon:
    """One server in the foreground, in a process group of its own, so that its children end with it."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, ready: Callable[[], bool]) -> None:
        """Wait for the server to answer; if it ended or hangs, raise with the end of its log."""

        def ready_or_dead() -> bool:
            return self.process.poll() is not None or ready()

        name = Path(self.command[0]).name
        try:
            wait_until(ready_or_dead, name)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; its log ends:\n{self.log_tail()}") from None
        if self.process.poll() is not None:
            raise RuntimeError(f"{name} ended at once; its log ends:\n{self.log_tail()}")

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of what the server wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask the server to end, then end what is left of its process group."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

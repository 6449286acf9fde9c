"""
Processes of their own: one for what is measured, so that nothing is warm by accident and its CPU time is its own; one
for the lab's servers, so that they never share an interpreter with a client.

Run as a module it is such a process: `python -m benchmarks.processes job IN OUT` or `... lab WORLD OPTIONS`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "JobFailedError", "LabProcess", "call", "cores", "environment", "name_server", "run_python"]

ROOT = Path(__file__).resolve().parent.parent
_JOB_SECONDS = 600.0
_START_SECONDS = 60.0


class JobFailedError(RuntimeError):
    """A measured process failed; the message is the end of what it wrote."""


def environment() -> dict[str, str]:
    """The caller's environment without its mailvet settings, and with nothing that would fetch lists by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILVET_")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return kept | {"PY3VE_IGNORE_UPDATER": "1", "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def cores() -> tuple[int, int] | None:
    """Two cores to keep client and server apart, if this process may use two."""
    with contextlib.suppress(AttributeError):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) >= 2:
            return allowed[0], allowed[1]
    return None


def _pin(core: int | None) -> Any:
    return None if core is None else (lambda: os.sched_setaffinity(0, {core}))


def call(function: str, *, core: int | None = None, **arguments: Any) -> Any:
    """
    Call `package.module:function` with JSON-able arguments in a fresh interpreter; its JSON-able result.

    Raises:
        JobFailedError: it raised, or took ten minutes.
    """
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as home:
        given, result, log = (Path(home, name) for name in ("in.json", "out.json", "log"))
        given.write_text(json.dumps({"function": function, "arguments": arguments}))
        run_python("-m", "benchmarks.processes", "job", str(given), str(result), log=log, core=core)
        return json.loads(result.read_text())


def run_python(
    *arguments: str,
    log: Path,
    core: int | None = None,
    ok: Sequence[int] = (0,),
    limit: float = _JOB_SECONDS,
    codes: list[int] | None = None,
) -> float:
    """
    Run this Python with arguments in a process of its own, its output in `log`, for at most `limit` seconds; seconds
    it took. Its exit code is added to `codes`.

    Raises:
        JobFailedError: its exit code is not one of `ok`.
    """
    began = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_pin(core),
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    seconds = time.perf_counter() - began
    if code not in ok:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise JobFailedError(f"{' '.join(arguments)} ended with {code}:\n{tail}")
    if codes is not None:
        codes.append(code)
    return seconds


class LabProcess:
    """
    A lab in a process of its own; use it as a context manager.

    Attributes:
        about: `config` (text of a mailvet.toml), `names` (host -> addresses), `nameserver`, `smtp_port`, `ipv6`.
    """

    def __init__(self, world: str, *, latency: float = 0.0, core: int | None = None, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.processes", "lab", world, json.dumps({"latency": latency} | options)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_pin(core),
        )
        self.about: dict[str, Any] = self._read()

    def __enter__(self) -> LabProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise JobFailedError("the lab's process ended")
        return json.loads(line)

    def _ask(self, word: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._read()

    def reset(self) -> None:
        """Start counting anew."""
        self._ask("reset")

    def counters(self) -> dict[str, Any]:
        """
        What clients did since: by host `peak`, `connections`, `aborted`; and over all `data`, `rcpt`, and `asked`,
        how many times each recipient was named (address -> times).
        """
        counted: dict[str, Any] = self._ask("counters")
        return counted

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class NameServer:
    """A name server for a zone of ours."""

    software: str
    address: str
    port: int


@contextlib.contextmanager
def name_server(zone: str, text: str, *, core: int | None = None) -> Iterator[NameServer | None]:
    """Serve a zone (master file format) with NSD on loopback; None where NSD is not installed."""
    program = shutil.which("nsd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-nsd-") as name:
        home = Path(name)
        port = _free_port()
        (home / "zone").write_text(text)
        (home / "nsd.conf").write_text(
            f'server:\n  ip-address: 127.0.0.1@{port}\n  username: ""\n  chroot: ""\n  zonesdir: "{home}"\n'
            f'  database: ""\n  pidfile: ""\n  xfrdfile: "{home}/xfrd.state"\n  xfrdir: "{home}"\n'
            f'  zonelistfile: "{home}/zone.list"\n  server-count: 1\n  rrl-ratelimit: 0\n'
            f'remote-control:\n  control-enable: no\nzone:\n  name: "{zone}"\n  zonefile: "zone"\n'
        )
        version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
        first = (version.stderr or version.stdout).strip().splitlines()[:1]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, "-d", "-c", str(home / "nsd.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_pin(core),
            )
        try:
            _wait_for_answer(zone, port, process, home / "log")
            yield NameServer(first[0] if first else "NSD", "127.0.0.1", port)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):  # its own children, in the group it leads
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                return port


def _wait_for_answer(zone: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import dns.exception
    import dns.message
    import dns.query
    import dns.rcode

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(dns.exception.DNSException, OSError):
            query = dns.message.make_query(zone, "SOA")
            if dns.query.udp(query, "127.0.0.1", timeout=0.5, port=port).rcode() == dns.rcode.NOERROR:
                return
        time.sleep(0.1)
    raise JobFailedError(f"NSD does not answer; its log ends:\n{log.read_text(errors='replace')[-2000:]}")


# -------------------------------------------------------------------- inside the processes


def _job(given: str, result: str) -> None:
    job = json.loads(Path(given).read_text())
    module, _, name = job["function"].partition(":")
    answer = getattr(importlib.import_module(module), name)(**job["arguments"])
    Path(result).write_text(json.dumps(answer))


def _lab(world: str, options: str) -> None:
    from benchmarks import worlds
    from mailvet.lab import Lab

    chosen = json.loads(options)
    latency = chosen.pop("latency")
    built = getattr(worlds, world)(**chosen)
    with Lab(built, latency=latency) as lab:
        names = worlds.addresses(built, ipv6=lab.ipv6)
        about = {
            "config": lab.config(),
            "names": names,
            "nameserver": lab.nameserver,
            "smtp_port": lab.smtp_port,
            "ipv6": lab.ipv6,
        }
        print(json.dumps(about), flush=True)
        for line in sys.stdin:
            answer: dict[str, Any] = {}
            if line.strip() == "reset":
                lab.reset_counters()
            else:
                answer = _counted(lab)
            print(json.dumps(answer), flush=True)


def _counted(lab: Any) -> dict[str, Any]:
    counters = lab.counters()
    asked: dict[str, int] = {}
    for each in counters.values():
        for address, times in each.recipients.items():
            asked[address] = asked.get(address, 0) + times
    used = {name: each for name, each in counters.items() if each.connections}
    return {
        "hosts": {
            name: {"peak": each.peak_connections, "connections": each.connections, "aborted": each.aborted}
            for name, each in used.items()
        },
        "data": sum(each.data for each in used.values()),
        "rcpt": sum(each.commands["RCPT"] for each in used.values()),
        "asked": asked,
    }


if __name__ == "__main__":
    {"job": _job, "lab": _lab}[sys.argv[1]](*sys.argv[2:])

"""A real Airflow for a test: its processes, each in a group of its own, and its REST API, all on loopback."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import airflow_provider_mailvet

__all__ = ["Deployment", "free_port"]

ROOT = Path(airflow_provider_mailvet.__file__).parent.parent


def free_port() -> int:
    """A port of loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """Use it as a context manager: at the end every process it started is gone, and only those.

    Attributes:
        home: AIRFLOW_HOME; the DAG folder is `home / "dags"`, the logs of tasks lie in `home / "logs"`.
        environment: of every process; complete it before the first start.
    """

    def __init__(self, folder: Path, *, seconds: float = 300) -> None:
        port = free_port()
        self.home = folder / "home"
        (self.home / "dags").mkdir(parents=True)
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MAILVET_"))
        } | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.address,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(48),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._folder = folder
        self._until = time.monotonic() + seconds
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---------------------------------------------------------------- processes

    def start(self, name: str, command: Sequence[str], **environment: str) -> None:
        """Start a process that stays; what it says goes to `log(name)`."""
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a process to its end."""
        self.start(name, command)
        code = self._processes.pop(name).wait(max(self._until - time.monotonic(), 1))
        assert code == 0, self.log(name)[-3000:]

    def stop(self) -> None:
        """End what was started, the latest first: workers before the broker they talk to."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def log(self, name: str) -> str:
        """What a process said so far."""
        return self._log(name).read_text(errors="replace")

    def wait_for_log(self, name: str, text: str) -> None:
        """Until a process has said so; fails the test when it ends or the time is up."""
        while text not in self.log(name):
            assert self._processes[name].poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
            assert time.monotonic() < self._until, f"{name} never said {text!r}: {self.log(name)[-3000:]}"
            time.sleep(0.2)

    def task_logs(self) -> str:
        """The logs of all tasks, one after the other."""
        files = (path for path in (self.home / "logs").rglob("*") if path.is_file())
        return "".join(path.read_text(errors="replace") for path in files)

    # ---------------------------------------------------------------- REST API

    def call(self, path: str, body: Any = None) -> Any:
        """The answer to a GET, or to a POST of `body`."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def wait_for(self, path: str, wanted: Callable[[Any], bool] = lambda found: True, body: Any = None) -> Any:
        """Call until the answer is as wanted; fails the test when a process ends or the time is up."""
        while time.monotonic() < self._until:
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
            try:
                found = self.call(path, body)
                if wanted(found):
                    return found
            except OSError:
                pass
            time.sleep(0.5)
        pytest.fail("\n".join(f"{name}:\n{self.log(name)[-2000:]}" for name in self._processes))

    def run_dag(self, dag_id: str) -> tuple[str, str, list[dict[str, Any]]]:
        """Trigger a DAG as soon as it is known and wait for its end: path of the run, state, task instances."""
        self._token = self.wait_for("/auth/token")["access_token"]
        dag = f"/api/v2/dags/{dag_id}"
        self.wait_for(dag)
        run = self.wait_for(f"{dag}/dagRuns", body={"logical_date": None})["dag_run_id"]
        path = f"{dag}/dagRuns/{run}"
        state = self.wait_for(path, lambda found: found["state"] in ("success", "failed"))["state"]
        return path, state, self.call(f"{path}/taskInstances")["task_instances"]

    def xcom(self, run: str, task_id: str, map_index: int = -1) -> Any:
        """What a task returned."""
        path = f"{run}/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
        value = self.call(path)["value"]
        return json.loads(value) if isinstance(value, str) else value

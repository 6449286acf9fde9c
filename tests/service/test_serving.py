"""The command: its workers, its signals, and what it refuses before it listens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from mailvet.errors import SettingsError
from mailvet.lab import Lab
from mailvet.service.database import Database
from mailvet.service.keys import Keys
from mailvet.service.state import State
from mailvet.settings import Settings
from tests.postgresql import PostgresServer
from tests.service.conftest import service_settings
from tests.service.senders import SECRETS, key_of, send, webhook
from tests.service.serving import Client, running
from tests.service.test_batches import CELLS, REASONS, finished, rows, upload


def config_of(lab: Lab, folder: Path, database: str) -> Path:
    path = folder / "mailvet.toml"
    address, port = lab.nameserver
    path.write_text(
        f'[dns]\nnameservers = ["{address}"]\nport = {port}\n'
        f'[smtp]\nport = {lab.smtp_port}\nallow_private_networks = ["127.0.0.0/8"]\n'
        f'[service]\ndatabase = "{database}"\nstate = "state.sqlite"\ndeadline = "50s"\n'
    )
    return path


@contextmanager
def command(config: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mailvet serve` on a free port."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILVET_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "mailvet", "serve", "--config", str(config), "--port", "0", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        out: IO[str] | None = process.stdout
        assert out is not None
        line = out.readline()
        found = re.search(r":(\d+)$", line.strip())
        if found is None:
            raise AssertionError(process.communicate(timeout=30))
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60).read()
            return
        except OSError:
            continue
    raise AssertionError(process.communicate(timeout=30))


def client_of(folder: Path, port: int) -> Client:
    text = Keys(State(folder / "state.sqlite")).create()[1]
    return Client(port, None, text)  # type: ignore[arg-type]  # the service is in another process


def test_a_signal_ends_the_service_and_what_was_known_is_saved(world_lab: Lab, tmp_path: Path) -> None:
    with command(config_of(world_lab, tmp_path, "v.duckdb")) as (process, port):
        wait_until_ready(process, port)
        assert client_of(tmp_path, port).verify("ann@gone.test")["reason"] == "domain_not_found"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Stopped. What was known is saved" in errors
    assert "Traceback" not in errors
    store = Database(Settings.load(service={"database": str(tmp_path / "v.duckdb")})).open_store()
    from mailvet.verdict import email_key

    assert store.verdicts([email_key("ann@gone.test")])["reason"].to_pylist() == ["domain_not_found"]
    store.close()


def test_a_duckdb_file_serves_one_worker(world_lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has one writer"):
        Database(service_settings(world_lab, tmp_path)).check_workers(2)
    Database(service_settings(world_lab, tmp_path)).check_workers(1)


def test_other_databases_are_refused() -> None:
    with pytest.raises(SettingsError, match="DuckDB file or in PostgreSQL"):
        Database(Settings.load(service={"database": "mysql://u@h/d"}))


def test_a_port_that_is_taken_is_told_in_a_sentence(world_lab: Lab, tmp_path: Path) -> None:
    with command(config_of(world_lab, tmp_path, "v.duckdb")) as (process, port):
        wait_until_ready(process, port)
        again = subprocess.run(
            [sys.executable, "-m", "mailvet", "serve", "--port", str(port)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "MAILVET_SERVICE__DATABASE": str(tmp_path / "other.duckdb")},
            check=False,
        )
    assert again.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in again.stderr


def test_verdicts_are_kept_in_postgresql(world_lab: Lab, tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database("service_one")
    settings = service_settings(world_lab, tmp_path, service={"database": url, "deadline": "50s"})
    for _ in range(2):
        with running(settings) as client:
            assert client.verify("fay@acme.test", depth="smtp")["reason"] == "mailbox_not_found"
    with running(settings) as client:
        assert client.ask("DELETE", "/v1/addresses", {"address": "fay@acme.test"}).json()["verdicts"] == 1


def test_events_are_kept_in_postgresql_and_after_it_broke_the_connection_off(
    world_lab: Lab, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.new_database("service_webhooks")
    with running(service_settings(world_lab, tmp_path, service={"events": SECRETS, "database": url})) as client:
        for _ in range(2):
            assert send(client, "sendgrid", webhook("sendgrid", "first@acme.test", at=time.time())).status == 200
        with client.service.database._session() as session:
            session.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = "
                "current_database() and pid <> pg_backend_pid()"
            )
        second = webhook("sendgrid", "second@acme.test", at=time.time())
        assert send(client, "sendgrid", second).status in (200, 503)
        assert send(client, "sendgrid", second).status == 200
        with client.service.database._session() as session:
            found = session.rows("select email_key, event from mailvet_events")
        keys = {key_of("first@acme.test"), key_of("second@acme.test")}
        assert sorted(found) == sorted((key, "hard_bounce") for key in keys)


def test_several_workers_share_keys_limits_and_a_postgresql_database(
    world_lab: Lab, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.new_database("service_two")
    with command(config_of(world_lab, tmp_path, url), "--workers", "2") as (process, port):
        wait_until_ready(process, port)
        client = client_of(tmp_path, port)
        for n in range(20):
            assert client.verify(f"p{n % 3}@gone.test")["reason"] == "domain_not_found"
        limited = Keys(State(tmp_path / "state.sqlite")).create(per_day=5)[1]
        statuses = [client.ask("POST", "/v1/verify", {"address": "@@"}, key=limited).status for _ in range(8)]
        assert sorted(statuses) == [200] * 5 + [429] * 3
        text = client.ask("GET", "/metrics").body.decode()
        assert re.search(r'mailvet_requests_total\{route="/v1/verify",status="200"\} 25.0', text)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors


def test_batches_run_in_postgresql(world_lab: Lab, tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database("service_batches")
    with running(service_settings(world_lab, tmp_path, service={"database": url})) as client:
        job = finished(client, upload(client, CELLS, "?depth=smtp"))
        assert [row["reason"] for row in rows(client, job)] == REASONS
        assert client.ask("DELETE", "/v1/addresses", {"address": "ann@acme.test"}).json()["batch_rows"] == 2

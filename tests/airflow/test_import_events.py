"""Events come into the database of the contacts by a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_mailvet.operators.import_events import MailvetImportEventsOperator
from tests.airflow.conftest import connect, rows
from tests.postgresql import PostgresServer


def task(source: Path, **arguments: Any) -> MailvetImportEventsOperator:
    return MailvetImportEventsOperator(
        task_id="events", **{"conn_id": "crm", "source": str(source), "sender": "sendgrid"} | arguments
    )


@pytest.fixture
def webhooks(tmp_path: Path) -> Path:
    file = tmp_path / "webhooks.jsonl"
    records = [
        {"email": "ann@acme.test", "timestamp": 1795168800, "event": event, "sg_event_id": event}
        for event in ("delivered", "open", "processed")
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def test_a_task_imports_what_is_new_and_returns_counts(crm: Path, webhooks: Path) -> None:
    result = task(webhooks).execute({})
    assert result["events"] == {"delivered": 1, "open": 1}
    assert (result["records"], result["added"], result["unusable"]) == (3, 2, {"ignored": 1})
    assert task(webhooks).execute({})["records"] == 0
    assert task(webhooks, from_start=True).execute({})["added"] == 0
    assert rows(crm, "select event from mailvet_events order by event") == [("delivered",), ("open",)]
    assert "ann" not in json.dumps(result)


def test_a_task_writes_to_postgresql_by_its_hook(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, webhooks: Path
) -> None:
    postgres_server.new_database("events")
    connect(
        monkeypatch,
        "warehouse",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="events",
    )
    assert task(webhooks, conn_id="warehouse").execute({})["added"] == 2


def test_unknown_words_and_missing_files_fail_the_task_for_good(crm: Path, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="There is no file"):
        task(tmp_path / "none.jsonl").execute({})
    file = tmp_path / "odd.jsonl"
    file.write_text('{"email": "ann@acme.test", "timestamp": 1795168800, "event": "teleported", "sg_event_id": "1"}\n')
    with pytest.raises(AirflowFailException, match="'teleported'"):
        task(file).execute({})
    assert task(file, allow_unknown=True).execute({})["unknown_words"] == 1

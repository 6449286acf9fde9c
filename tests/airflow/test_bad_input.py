"""What does not fit fails the task at once, says what to do, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from airflow_provider_mailvet.shards import plan_shards
from mailvet.lab import Lab
from tests.airflow.conftest import PEOPLE, connect
from tests.postgresql import PostgresServer
from tests.probing import asked


def verify(**arguments: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"conn_id": "crm", "table": "contacts", "mailvet_conn_id": "mail_lab", **arguments}
    return MailvetVerifyOperator(task_id="verify", outlets=[], **given).execute({})


def refused(match: str, lab: Lab, **arguments: Any) -> str:
    with pytest.raises(AirflowFailException, match=match) as failure:
        verify(**arguments)
    assert not asked(lab), "a server was asked"
    assert "@" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"conn_id": "nowhere"}, "nowhere.*Make the Airflow connection"),
        ({"mailvet_conn_id": "nowhere"}, "nowhere"),
        ({"table": "customers"}, "no table customers.*there are: contacts"),
        ({"email_column": "mail"}, "no column mail.*there are: id, email"),
        ({"email_column": "id"}, "not text"),
        ({"where": "emial is not null"}, "condition where does not work"),
        ({"where": "true); drop table contacts; --"}, "condition where does not work on contacts: Parser Error"),
        ({"where": "true; drop table contacts"}, "condition where does not work on contacts: Parser Error"),
        ({"columns": ["mood"]}, "no status column 'mood'"),
        ({"key_columns": ["number"]}, "no column number"),
        ({"depth": "deep"}, "depth"),
        ({"max_undeliverable_rate": "a few"}, "max_undeliverable_rate: 'a few' is no share"),
        ({"table": "{{ None }}", "email_column": "None"}, "no table {{ None }}"),
        ({"table": "None"}, "table is not given: its template rendered to nothing"),
        ({"conn_id": "None"}, "conn_id is not given"),
        ({"max_addresses": "-3"}, "max_addresses='-3': give a whole number"),
        ({"wait_for_greylisting": "soon"}, "wait_for_greylisting: 'soon' is no duration"),
        ({"shard": {"plan_id": "p", "shard": 0}}, "one writer at a time"),
    ],
)
def test_it_is_refused_before_anything_is_asked(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, arguments: dict[str, Any], match: str
) -> None:
    refused(match, lab, **arguments)


def test_duckdb_files_that_are_missing_unnamed_or_held(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "crm", conn_type="duckdb", host=str(crm.with_name("none.duckdb")))
    refused("There is no file", lab)
    assert not crm.with_name("none.duckdb").exists()
    connect(monkeypatch, "crm", conn_type="duckdb")
    refused("names no DuckDB file", lab)
    connect(monkeypatch, "crm", conn_type="duckdb", host=str(crm))
    with pytest.raises(AirflowFailException, match="never verified in shards"):
        plan_shards(conn_id="crm", table="contacts", shards=2, mailvet_conn_id="mail_lab")


def retried(match: str, lab: Lab, **arguments: Any) -> str:
    """The try fails in a way that Airflow retries."""
    with pytest.raises(AirflowException, match=match) as failure:
        verify(**arguments)
    assert not isinstance(failure.value, AirflowFailException)
    assert not asked(lab), "a server was asked"
    return str(failure.value)


def test_a_duckdb_file_that_another_program_holds_is_tried_again(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str
) -> None:
    import subprocess
    import sys

    program = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(crm)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert str(holder.pid) in retried("open in another program", lab)
        with pytest.raises(AirflowException, match="open in another program") as failure:
            MailvetCheckOperator(task_id="gate", conn_id="crm", table="contacts").execute({})
        assert not isinstance(failure.value, AirflowFailException)
    finally:
        holder.communicate("", timeout=20)
    assert verify(depth="offline")["checked"] == 23


def test_a_connection_of_a_type_without_a_hook_or_that_is_no_database_fails_at_once(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "crm", conn_type="oracel", host="127.0.0.1")
    assert "connection crm" in refused('Unknown hook type "oracel"', lab)
    with pytest.raises(AirflowFailException, match="Unknown hook type"):
        plan_shards(conn_id="crm", table="contacts", shards=2, mailvet_conn_id="mail_lab")
    connect(monkeypatch, "crm", conn_type="mailvet", host="probe.example.com")
    refused("connection crm", lab)


def test_messages_use_the_names_of_the_arguments_in_the_dag(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    with duckdb.connect(str(crm)) as database:
        database.execute("create view seen as select * from contacts")
        database.execute("create table two as select email, email as e_mail from contacts")
    for said in (
        refused("write_back=False", lab, table="seen"),
        refused("condition where", lab, where="nothing = 1"),
        refused("condition where", lab, where="true; select 1"),
    ):
        assert "--" not in said
    connect(monkeypatch, "mail_lab", conn_type="mailvet", extra={"config": str(crm.with_name("none.toml"))})
    said = refused("There is no configuration file", lab)
    assert "'Settings file' (config)" in said
    assert "--config" not in said


NOTHING = ["None", "", " None ", None]


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_template_that_renders_to_nothing_counts_as_not_given_in_every_argument(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, nothing: str | None
) -> None:
    required = {"conn_id", "table"}
    given: dict[str, Any] = {"conn_id": "crm", "table": "contacts", "task_id": "verify", "outlets": []}
    operator = MailvetVerifyOperator(**given)
    for name in set(MailvetVerifyOperator.template_fields) - required:
        setattr(operator, name, [nothing] if name in ("columns", "key_columns") else nothing)
    # The default connection does not exist, so the name of this host is said, and nothing is asked at the depth dns.
    operator.mailvet_conn_id, operator.depth = lab_connection, "offline"
    assert operator.execute({})["checked"] == 23
    gate = MailvetCheckOperator(**given | {"task_id": "gate"})
    for name in set(MailvetCheckOperator.template_fields) - required:
        setattr(gate, name, nothing)
    result = gate.execute({})
    assert (result["among"], result["policy"], result["rows"]) == ([], "marketing", 25)
    assert [limit["name"] for limit in result["limits"]] == ["max_unverified_rate"]
    export = MailvetExportOperator(**given | {"task_id": "lists", "output_path": str(crm.with_name("out.csv"))})
    for name in set(MailvetExportOperator.template_fields) - required - {"output_path"}:
        setattr(export, name, nothing)
    assert len(export.execute({})) == 4  # and the rows without an address
    export.output_path = nothing
    with pytest.raises(AirflowFailException, match="Give either output_path"):
        export.execute({})


@pytest.fixture
def database(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    url = postgres_server.new_database("airflow_bad_input")
    connect(
        monkeypatch,
        "pg",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="airflow_bad_input",
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('create table "order" (id int, "select" text, "it""s" text)')
        connection.execute('insert into "order" values (1, %s, %s), (1, null, %s)', (PEOPLE[1], PEOPLE[2], ""))
        connection.execute('create view seen as select * from "order"')
        connection.execute("drop role if exists reader")
        connection.execute("create role reader login")
        connection.execute('grant select on "order" to reader')
        yield connection
        connection.execute("reassign owned by reader to postgres")
        connection.execute("drop owned by reader")


def test_postgresql_views_roles_keys_and_servers_that_do_not_fit(
    database: psycopg.Connection[Any],
    metadata_database: Path,
    lab: Lab,
    lab_connection: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    common = {"conn_id": "pg", "table": "order", "email_column": "select"}
    refused("is a view", lab, **{**common, "table": "seen"})
    refused("share the same id", lab, **common, key_columns="id")
    refused("no plan p of shards", lab, **common, shard={"plan_id": "p", "shard": 0})
    refused("does not work", lab, **common, where="id = 'x'")
    connect(
        monkeypatch,
        "pg",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="reader",
        schema="airflow_bad_input",
    )
    assert "grant" in refused("lacks rights", lab, **common)
    connect(monkeypatch, "pg", conn_type="postgres", host="127.0.0.1", port=1, login="reader", schema="x")
    retried("Connection refused", lab, **common)
    connect(
        monkeypatch,
        "pg",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="stranger",
        schema="airflow_bad_input",
    )
    refused('role "stranger" does not exist', lab, **common)
    connect(
        monkeypatch,
        "pg",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="no_such_database",
    )
    refused('database "no_such_database" does not exist', lab, **common)


def test_a_wrong_password_fails_at_once(
    database: psycopg.Connection[Any],
    metadata_database: Path,
    lab: Lab,
    lab_connection: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = database.execute("show hba_file").fetchone()
    assert row is not None
    rules = Path(row[0])
    before = rules.read_text()
    database.execute("alter role reader password 'right'")
    rules.write_text("host all reader 127.0.0.1/32 scram-sha-256\n" + before)
    database.execute("select pg_reload_conf()")
    try:
        connect(
            monkeypatch,
            "pg",
            conn_type="postgres",
            host="127.0.0.1",
            port=postgres_server.port,
            login="reader",
            password="wrong",
            schema="airflow_bad_input",
        )
        said = refused("password authentication failed", lab, conn_id="pg", table="order", email_column="select")
        assert "wrong" not in said
    finally:
        rules.write_text(before)
        database.execute("select pg_reload_conf()")


def test_reserved_words_and_quotes_in_names_work(
    database: psycopg.Connection[Any], metadata_database: Path, lab: Lab, lab_connection: str
) -> None:
    verify(conn_id="pg", table="order", email_column='it"s', depth="offline")
    assert database.execute('select count(mailvet_status) from "order"').fetchone() == (1,)


def test_a_table_that_another_session_locks_is_tried_again_and_no_server_is_asked(
    database: psycopg.Connection[Any],
    metadata_database: Path,
    lab: Lab,
    lab_connection: str,
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: PostgresServer,
) -> None:
    connect(
        monkeypatch,
        "pg",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="airflow_bad_input",
        extra={"options": "-c lock_timeout=300"},
    )
    with psycopg.connect(postgres_server.url("airflow_bad_input")) as other:
        other.execute('lock table "order" in access exclusive mode')
        retried("lock", lab, conn_id="pg", table="order", email_column="select")

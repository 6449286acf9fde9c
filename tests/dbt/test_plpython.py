"""The core inside PostgreSQL, where PL/Python is; where it is not, what to do instead."""

from __future__ import annotations

import json
import os
import socket
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from mailvet import verify_many
from mailvet.dbt.plpython import verdict_rows
from mailvet.errors import MailvetError
from mailvet.settings import Settings
from mailvet.verdict import verdict_schema
from tests.dbt.conftest import ROOT, DbtProject

if TYPE_CHECKING:
    from tests.postgresql import PostgresServer

CREATE = ("run-operation", "mailvet.create_functions", "--vars")


def readable_by_others(path: Path) -> bool:
    """Whether the server's user, who is not us, may look into a folder."""
    return all(os.stat(part).st_mode & 0o005 == 0o005 for part in (path, *path.parents))


def paths() -> str:
    """Where the server finds mailvet and what it needs: this checkout and this environment."""
    return json.dumps({"mailvet_python_path": [str(ROOT), sysconfig.get_paths()["purelib"]]})


def can_run_here(server: PostgresServer) -> bool:
    """PL/Python is there, of this Python's version, and may read this environment."""
    if not server.has_plpython:
        return False
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create extension if not exists plpython3u")
        connection.execute(
            "create or replace function pg_temp.python() returns text language plpython3u as "
            "$$ import sys; return '%d.%d' % sys.version_info[:2] $$"
        )
        row = connection.execute("select pg_temp.python()").fetchone()
    assert row is not None
    same = row[0] == sysconfig.get_python_version()
    return same and readable_by_others(ROOT) and readable_by_others(Path(sysconfig.get_paths()["purelib"]))


def test_the_functions_give_the_cores_answers_in_bulk_or_say_what_is_missing(
    make_project: Callable[..., DbtProject], postgres_server: PostgresServer
) -> None:
    project = make_project("postgres")
    if not postgres_server.has_plpython:
        message = project.refused(*CREATE, paths())
        assert "this server has no PL/Python (plpython3u)" in message
        assert "`mailvet dbt run` between `dbt run` and `dbt test`" in message
        return
    message = project.refused(*CREATE, json.dumps({"mailvet_python_path": "/nowhere"}))
    if "mailvet cannot be imported" in message:
        assert "name the folder in the dbt variable mailvet_python_path" in message
        # Nothing is left half-made.
        assert project.rows("select 1 from pg_proc where proname = 'verify'") == []
    if not can_run_here(postgres_server):  # the message above is what this environment can show
        assert "mailvet cannot be imported" in message
        return
    project.built(*CREATE, paths())
    cells = ["ann@gmial.com", None, "x@mailinator.com", "info@acme.com", "not an address", "ann@gmial.com"]
    with psycopg.connect(project.url) as connection:
        cursor = connection.execute("select * from mailvet.verify(%s)", [cells])
        assert [column.name for column in cursor.description or ()] == verdict_schema().names
        answers = [row[2:8] for row in cursor.fetchall()]
        core = verify_many(cells, depth="offline", settings=Settings())
        assert answers == [tuple(row.values())[2:8] for row in core.to_pylist()]
        assert connection.execute("select count(*) from mailvet.verify(null)").fetchone() == (0,)
        with pytest.raises(psycopg.Error, match="depth: Input should be"):
            connection.execute("select * from mailvet.verify(array['x'], 'deep')")
        connection.rollback()
        # A cancelled query ends, long before its million addresses are through.
        connection.execute("set statement_timeout = '1500ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(
                "select count(*) from (select array_agg('user' || i || '@dom' || i % 1000 || '.com') as a "
                "from generate_series(1, 1000000) as i) as x, lateral mailvet.verify(x.a)"
            )
        connection.rollback()
        assert connection.execute("select reason from mailvet.verify(array['x'])").fetchone() == ("syntax_invalid",)

    project.write("models/verified.sql", "{{ mailvet.verified(ref('contacts')) }}")
    project.built("run", "--vars", paths())
    assert project.rows("select count(*) from dbt.verified") == [(5,)]


def test_without_dns_a_query_fails_and_gives_no_rows_that_say_nothing(tmp_path: Path) -> None:
    config = tmp_path / "mailvet.toml"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        config.write_text(f"[dns]\nnameservers = ['127.0.0.1']\nport = {port}\ntimeout = 0.2\n")
        with pytest.raises(MailvetError, match="No DNS answers"):
            list(verdict_rows(["ann@acme.example"], "dns", str(config), lambda: None))
        assert len(list(verdict_rows(["ann@acme.example", None], "offline", str(config), lambda: None))) == 2


def test_only_a_superuser_may_make_them_and_is_told_to(
    make_project: Callable[..., DbtProject], postgres_server: PostgresServer
) -> None:
    project = make_project("postgres")
    project.rows("drop role if exists dbt_plain; create role dbt_plain login")
    project.rows("grant all on database dbt_shop to dbt_plain")
    profiles = (project.folder / "profiles.yml").read_text()
    project.write("profiles.yml", profiles.replace("user: postgres", "user: dbt_plain"))
    message = project.refused(*CREATE, paths())
    expected = "only a superuser may create functions" if postgres_server.has_plpython else "has no PL/Python"
    assert expected in message

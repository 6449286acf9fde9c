"""A small dbt project of a user's, with the package in it, on DuckDB or PostgreSQL; and a mail world to ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from mailvet.lab import Lab, World

if TYPE_CHECKING:
    from tests.postgresql import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "dbt_macros"

PLANTED = [
    (1, "ann@acme.test"),
    (2, "bob@acme.test"),
    (3, "ann@acme.test"),
    (4, "nobody@acme.test"),
    (5, "eve@nomail.test"),
    (6, "not an address"),
    (7, None),
]
"""Of six rows with a value, three are deliverable and three are not."""

WITHOUT_LISTS = ("--exclude", "resource_type:seed")
"""For a build that reads none of the package's lists: to load their 56,000 rows takes seconds."""

_PROJECT = """
name: shop
version: 1.0.0
config-version: 2
profile: shop
flags: {send_anonymous_usage_stats: false, require_ref_prefers_node_package_to_root: true}
models: {shop: {+materialized: table}}
"""

_PROFILES = """
shop:
  target: {target}
  outputs:
    duckdb: {{type: duckdb, path: shop.duckdb, schema: dbt, threads: 1{plugins}}}
    postgres:
      {{type: postgres, host: 127.0.0.1, port: {port}, user: postgres, password: '', dbname: {database}, schema: dbt,
       threads: 1}}
"""

_CONTACTS = "select cast(id as integer) as id, cast(email as {text}) as email from (values {rows}) as v(id, email)\n"

_MODELS = """
models:
  - name: contacts
    config: {meta: {mailvet: {email_column: email}}}
"""


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]).domain("nomail.test", [(0, ".")])
    with Lab(world.mailbox("ann@acme.test").mailbox("bob@acme.test")) as running:
        yield running


@pytest.fixture
def lab(session_lab: Lab) -> Lab:
    """The running mail world, its counters at nothing."""
    session_lab.reset_counters()
    return session_lab


def asked(lab: Lab) -> int:
    """Recipients named to mail servers and questions put to name servers, together."""
    return sum(sum(counters.recipients.values()) for counters in lab.counters().values()) + sum(
        lab.dns_queries().values()
    )


_PARSED: dict[str, bytes] = {}
"""Target -> what dbt has parsed of such a project, the package above all; it parses only what differs."""


@dataclass
class DbtProject:
    """A project's folder, and dbt in this process."""

    folder: Path
    target: str
    url: str

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def dbt(self, *arguments: str) -> tuple[bool, str]:
        """Whether the command succeeded, and everything it said."""
        from dbt.cli.main import dbtRunner

        said: list[str] = []
        runner = dbtRunner(callbacks=[lambda event: said.append(str(getattr(event.info, "msg", "")))])
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            answer = runner.invoke([*arguments, "--quiet", "--no-use-colors"])
        finally:
            os.chdir(here)
            _forget_connections()
        parsed = self.folder / "target" / "partial_parse.msgpack"
        if self.target not in _PARSED and parsed.exists():
            _PARSED[self.target] = parsed.read_bytes()
        return answer.success, "\n".join([*said, str(answer.exception or "")])

    def built(self, *arguments: str) -> str:
        """The output of a command that has to succeed."""
        fine, text = self.dbt(*arguments)
        assert fine, text[-4000:]
        return text

    def refused(self, *arguments: str) -> str:
        """The output of a command that has to fail, on one line."""
        fine, text = self.dbt(*arguments)
        assert not fine, text[-4000:]
        return " ".join(text.split())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if self.target == "duckdb":
            with duckdb.connect(str(self.folder / "shop.duckdb")) as database:
                return database.execute(query).fetchall()
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def make_project(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., DbtProject]:
    """A function that makes the project for a target; `plugins` goes into the DuckDB profile."""

    def make(target: str = "duckdb", *, plugins: str = "", rows: list[tuple[int, str | None]] = PLANTED) -> DbtProject:
        url, port = "", 0
        if target == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url, port = server.new_database("dbt_shop"), server.port
        project = DbtProject(tmp_path / "shop", target, url)
        project.write("dbt_project.yml", _PROJECT)
        profiles = _PROFILES.format(target=target, port=port, database="dbt_shop", plugins=plugins)
        project.write("profiles.yml", profiles)
        values = ", ".join(f"({number}, {_literal(email)})" for number, email in rows)
        text = "varchar" if target == "duckdb" else "text"
        project.write("models/contacts.sql", _CONTACTS.format(text=text, rows=values))
        project.write("models/contacts.yml", _MODELS)
        if target in _PARSED:
            (project.folder / "target").mkdir()
            (project.folder / "target" / "partial_parse.msgpack").write_bytes(_PARSED[target])
        packages = project.folder / "dbt_packages"
        packages.mkdir()
        (packages / "mailvet").symlink_to(PACKAGE, target_is_directory=True)
        return project

    return make


def _forget_connections() -> None:
    """dbt-duckdb keeps its database open for the next command with the same (relative) path."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    DuckDBConnectionManager._ENV = None


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"

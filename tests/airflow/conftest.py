"""One Airflow for all these tests: its own folder, a metadata database on SQLite, no servers.

Its settings are read when `airflow` is imported, and test modules import it while they are collected; so they are set
here, where nothing has imported it yet.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailvet.lab import Lab, World
from mailvet.lab.world import MAIL_FROM

if TYPE_CHECKING:
    from airflow.sdk import DAG

HOME = Path(tempfile.mkdtemp(prefix="mailvet-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "dags").mkdir()
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(HOME / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="false",
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="true",
    AIRFLOW__API_AUTH__JWT_SECRET="a secret for tests only, " * 4,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="false",
)

PEOPLE = [f"person{number}@acme.test" for number in range(12)]
STRANGERS = [f"stranger{number}@acme.test" for number in range(4)]
SHY = [f"shy{number}@grey.test" for number in range(3)]
CELLS: list[str | None] = [
    *PEOPLE,
    *STRANGERS,
    *SHY,
    "ann@null.test",
    "ann at acme.test",
    None,
    " ",
    "bob@all.test",
    PEOPLE[0].upper(),
]
MISSING = 2
"""Of them hold no address; they get no status."""


def small_world() -> World:
    """acme.test answers honestly, grey.test asks strangers to come back, all.test accepts everybody."""
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    world.host("mx.grey.test", "greylisting").domain("grey.test", [(10, "mx.grey.test")])
    for address in (*PEOPLE, *SHY):
        world.mailbox(address)
    world.host("mx.all.test", "catch_all").domain("all.test", [(10, "mx.all.test")])
    world.domain("null.test", [(0, ".")])
    return world


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    with Lab(small_world(), greylist_delay=0.5) as lab:
        yield lab


@pytest.fixture
def lab(session_lab: Lab) -> Lab:
    """The running mail world, its counters at nothing."""
    session_lab.reset_counters()
    return session_lab


@pytest.fixture
def lab_connection(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Airflow connection `mail_lab`, of the type mailvet, to the mail world."""
    config = tmp_path / "mailvet.toml"
    lab.write_config(config)
    config.write_text(config.read_text().replace('["2s", "4s"]', '["1s", "1s", "1s"]'))
    # A sender of this test's own: greylisting servers remember whom they have seen.
    sender = f"{uuid.uuid4().hex[:12]}.{MAIL_FROM}"
    connect(monkeypatch, "mail_lab", conn_type="mailvet", login=sender, extra={"config": str(config)})
    return "mail_lab"


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    """An Airflow connection for this test."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


def make_contacts(path: Path, cells: Sequence[str | None] = CELLS) -> None:
    """A DuckDB database with `contacts(id, email)`."""
    import duckdb

    with duckdb.connect(str(path)) as database:
        database.execute(
            "create table contacts as select unnest(range(1, len($1) + 1))::integer as id, "
            "unnest($1::varchar[]) as email",
            [list(cells)],
        )


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as database:
        return list(database.execute(query).fetchall())


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DuckDB file with the table `contacts`, and the Airflow connection `crm` to it."""
    path = tmp_path / "crm.duckdb"
    make_contacts(path)
    connect(monkeypatch, "crm", conn_type="duckdb", host=str(path))
    return path


@pytest.fixture(scope="session")
def metadata_database() -> Path:
    """Airflow's metadata database, made once."""
    from airflow.utils.db import initdb

    initdb()
    return HOME / "airflow.db"


class Finished:
    """A run of a DAG that has ended."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.state = str(run.state)
        self.tasks = {(task.task_id, task.map_index): str(task.state) for task in run.get_task_instances()}

    def xcom(self, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.scalars(
                XComModel.get_many(
                    run_id=self.run.run_id, dag_ids=self.run.dag_id, task_ids=task_id, map_indexes=map_index, key=key
                )
            ).first()
            return None if found is None else XComModel.deserialize_value(found)

    def asset_events(self) -> list[Any]:
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            events = session.scalars(
                select(AssetEvent).where(
                    AssetEvent.source_run_id == self.run.run_id, AssetEvent.source_dag_id == self.run.dag_id
                )
            ).all()
            return [(event.asset.uri, event.extra) for event in events]


@pytest.fixture
def run_dag(metadata_database: Path) -> Callable[[DAG], Finished]:
    """Run a DAG in this process, as `dag.test()` does for a file in the DAG folder."""

    def work(dag: DAG) -> Finished:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.models.dagbundle import DagBundleModel
        from airflow.utils.session import create_session

        for operator in dag.tasks:
            operator.retries = 0  # dag.test() waits for the time of a retry, however long it is
        with create_session() as session:
            session.merge(DagBundleModel(name="tests"))
        bag = DagBag(dag_folder=os.devnull)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, bundle_name="tests", bundle_version=None)
        return Finished(dag.test())

    return work


RunDag = Callable[..., Finished]
Opened = AbstractContextManager[Any]

"""What one set of versions is tried with, in an environment of its own.

`python smoke.py FOLDER PART...` prints one line of JSON, the rows that each part came to.

The parts are the same work on the same contacts, at a lab on loopback: `table` (a DuckDB table by the command line),
`dag` (verify, gate and export by `dag.test()`), `dbt` (`dbt build` over the verdicts), `checkpoint` (Great
Expectations), `spark`. Nothing of the checkout is imported but the examples that users are shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailvet.lab import World

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MAILVET = [sys.executable, "-m", "mailvet"]
COUNTS = "select mailvet_reason, count(*) from contacts group by 1 order by 1"


def cells() -> list[str]:
    """Twenty-five contacts of most kinds."""
    people = [f"{first}.{last}@acme.test" for first in ("ann", "bob", "eve", "dan") for last in "abcde"]
    return [*people, "gone@acme.test", "ann@nomail.test", "bob at acme.test", "eve@broken.test", "dan@gmial.com"]


def world() -> World:
    """The mail servers and domains behind them."""
    from mailvet.lab import World

    made = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    made = made.domain("nomail.test", [(0, ".")]).domain("broken.test", dns="servfail")
    for cell in cells()[:20]:
        made.mailbox(cell)
    return made


def rows() -> dict[str, list[Any]]:
    """The contact table, by column."""
    return {"id": list(range(1, len(cells()) + 1)), "email": cells()}


def new_table(database: Path) -> None:
    """The contacts as the table `contacts` of a new DuckDB file."""
    import duckdb

    with duckdb.connect(str(database)) as db:
        given = rows()
        db.execute(
            "create table contacts as select unnest($1::bigint[]) as id, unnest($2::varchar[]) as email",
            [given["id"], given["email"]],
        )


def count(database: Path, query: str) -> dict[str, int]:
    """What a query of names and numbers gives."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as db:
        return {str(name): int(number) for name, number in db.execute(query).fetchall()}


def command(folder: Path, *words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """What a program says; a code that is not expected ends the smoke with its words."""
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(map(str, words[1:4]))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def table(folder: Path, config: Path) -> dict[str, Any]:
    """`mailvet verify`, `gate` and `export` on a DuckDB table."""
    database = folder / "crm.duckdb"
    new_table(database)
    common = (database, "--table", "contacts", "--config", config)
    command(folder, *MAILVET, "verify", *common, codes=(0, 3))
    command(folder, *MAILVET, "gate", *common, "--max-undeliverable-rate", "50%")
    command(folder, *MAILVET, "gate", *common, "--max-undeliverable-rate", "0%", codes=(1,))
    return count(database, COUNTS)


def dag(folder: Path, config: Path) -> dict[str, Any]:
    """The example DAG, over DuckDB where its provider is installed, else over PostgreSQL."""
    url = os.environ.get("MATRIX_POSTGRES", "")
    if url:
        import psycopg

        with psycopg.connect(url, autocommit=True) as db:
            db.execute("drop schema public cascade")
            db.execute("create schema public")
            db.execute("create table contacts (id bigint, email text)")
            for pair in zip(*rows().values(), strict=True):
                db.execute("insert into contacts values (%s, %s)", pair)
        connection = url
    else:
        new_table(folder / "dag.duckdb")
        connection = json.dumps({"conn_type": "duckdb", "host": str(folder / "dag.duckdb")})
    home = folder / "airflow"
    (home / "dags").mkdir(parents=True)
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
        AIRFLOW__API_AUTH__JWT_SECRET="only for this trial, " * 4,
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="false",
        AIRFLOW_CONN_CRM=connection,
        AIRFLOW_CONN_MAIL=json.dumps({"conn_type": "mailvet", "extra": {"config": str(config)}}),
    )
    sys.path.insert(0, str(EXAMPLES))
    import airflow_campaign

    run = airflow_campaign.run_campaign()
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    if set(states.values()) != {"success"}:
        sys.exit(f"The DAG failed: {states}")
    lists = " union all ".join(
        f"select '{name}', count(*) from audience_{name}" for name in ("send", "reverify", "do_not_send")
    )
    if url:
        with psycopg.connect(url) as db:
            found = dict(db.execute(lists).fetchall())
    else:
        found = count(folder / "dag.duckdb", lists)
    return found


def dbt(folder: Path, _config: Path) -> dict[str, Any]:
    """The example project's `dbt build` over the table that the command line verified."""
    sys.path.insert(0, str(EXAMPLES))
    import dbt_demo

    dbt_demo.PACKAGE = Path(command(folder, *MAILVET, "dbt", "path").strip())
    code, words = dbt_demo.build(folder / "crm.duckdb", folder)
    if code:
        sys.exit(words)
    query = "select 'contacts', count(*) from contacts_verified union all select 'audience', count(*) from audience"
    return count(folder / "newsletter" / "crm.duckdb", query)


def checkpoint(folder: Path, config: Path) -> dict[str, Any]:
    """The example checkpoint over the table that the command line verified."""
    sys.path.insert(0, str(EXAMPLES))
    import gx_checkpoint

    outcome = gx_checkpoint.gate(folder / "crm.duckdb", str(config), folder / "gx")
    results = json.loads((folder / "gx" / "gate.json").read_text())["expectations"]
    return {"outcome": outcome} | {each["expectation"]: each.get("unexpected_count") for each in results}


def spark(folder: Path, config: Path) -> dict[str, Any]:
    """A job on two cores."""
    os.environ.update(PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    from pyspark.sql import SparkSession

    import mailvet
    from mailvet.settings import Settings

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.sql.warehouse.dir", str(folder / "w"))
    session = builder.getOrCreate()
    try:
        frame = session.createDataFrame(list(zip(*rows().values(), strict=True)), "id long, email string")
        verdicts = mailvet.spark.verify(frame, "email", settings=Settings.load(config), staging=str(folder / "staging"))
        return {row["reason"]: row["count"] for row in verdicts.groupBy("reason").count().collect()}
    finally:
        session.stop()


PARTS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "table": table,
    "dag": dag,
    "dbt": dbt,
    "checkpoint": checkpoint,
    "spark": spark,
}


def main(folder: Path, parts: list[str]) -> None:
    """The parts in turn; the result goes to result.json in the folder."""
    from mailvet.lab import Lab

    found: dict[str, Any] = {}
    with Lab(world()) as lab:
        config = folder / "mailvet.toml"
        lab.write_config(config)
        for part in parts:
            found[part] = PARTS[part](folder, config)
    (folder / "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

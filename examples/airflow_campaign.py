"""A campaign's DAG, run by `dag.test()` against a lab.

A contact table in a DuckDB file is verified, waits for a greylisting server without a worker, passes the gate, and
hands over its lists.

Run it with `make demo`, or `python examples/airflow_campaign.py`; it needs the extra `airflow-duckdb`. It writes to
`demo/airflow/` and connects to no other machine. `--verbose` shows what Airflow logs.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "demo" / "airflow"
ROWS = 2_000
HOME = OUT / "home"


def settle(verbose: bool) -> None:
    """Airflow reads its settings when it is imported: a home of its own, quiet, without example DAGs."""
    shutil.rmtree(OUT, ignore_errors=True)
    (HOME / "dags").mkdir(parents=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(
        AIRFLOW_HOME=str(HOME),
        AIRFLOW__CORE__DAGS_FOLDER=str(HOME / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
        AIRFLOW__API_AUTH__JWT_SECRET="only for this demonstration, " * 3,
        AIRFLOW__LOGGING__LOGGING_LEVEL="INFO" if verbose else "ERROR",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="false",
        AIRFLOW_CONN_CRM=json.dumps({"conn_type": "duckdb", "host": str(OUT / "crm.duckdb")}),
        AIRFLOW_CONN_MAIL=json.dumps({"conn_type": "mailvet", "extra": {"config": str(OUT / "mailvet.toml")}}),
    )


def run_campaign() -> Any:
    """The example DAG, as a file in the DAG folder would be run."""
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from airflow_provider_mailvet.example_dags.example_verify_and_gate import dag

    for operator in dag.tasks:
        operator.retries = 0  # a demo does not wait for a retry
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="demo"))
    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, bundle_name="demo", bundle_version=None)
    return dag.test()


def summary_of(run: Any) -> dict[str, Any]:
    """What the task `verify` left in XCom."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.scalars(
            XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids="verify", key="return_value")
        ).first()
        value: dict[str, Any] = XComModel.deserialize_value(found) if found is not None else {}
        return value


def main(verbose: bool) -> int:
    """Exit code 0 when the DAG succeeded."""
    settle(verbose)
    import duckdb
    from rich.console import Console
    from rich.table import Table

    from mailvet.lab import Lab
    from mailvet.lab.contacts import contact_table, write_contacts

    console = Console()

    def show(title: str, query: str) -> None:
        with duckdb.connect(str(OUT / "crm.duckdb"), read_only=True) as database:
            result = database.execute(query)
            table = Table(box=None, header_style="dim", padding=(0, 1))
            for column in result.description or ():
                justify: Literal["left", "right"] = "right" if column[0] in ("rows", "score") else "left"
                table.add_column(column[0], justify=justify, overflow="fold")  # folded: nothing is cut off
            for row in result.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
        console.print(f"\n{title}", highlight=False)
        console.print(table)

    with Lab() as lab:
        write_contacts(contact_table(lab.world, ROWS), OUT / "crm.duckdb")
        lab.write_config(OUT / "mailvet.toml")
        some = "where id % 97 = 3 or id in (12, 43) order by id limit 10"
        show(f"contacts in crm.duckdb, {ROWS:,} rows, as they are:", f"select id, email, source from contacts {some}")
        console.print("\n[bold]verify >> gate >> lists >> send[/], run by dag.test() ...")
        if not verbose:
            logging.disable(logging.WARNING)
        began = time.perf_counter()
        if verbose:
            run = run_campaign()
        else:
            with (OUT / "airflow.log").open("w") as log:
                out, err, sys.stdout, sys.stderr = sys.stdout, sys.stderr, log, log
                try:
                    run = run_campaign()
                finally:
                    sys.stdout, sys.stderr = out, err
        for task in sorted(run.get_task_instances(), key=lambda task: task.end_date):
            style = "green" if str(task.state) == "success" else "red"
            console.print(f"  {task.task_id:<8} [{style}]{task.state}[/]", highlight=False)
        console.print(f"  {time.perf_counter() - began:.0f} s, Airflow's start included", highlight=False)
        show(
            "The same rows, with their status columns:",
            "select id, mailvet_recommendation as recommendation, mailvet_reason as reason, "
            f"mailvet_score as score, mailvet_suggestion as suggestion from contacts {some}",
        )
        show(
            "The lists:",
            " union all ".join(
                f"select 'audience_{name}' as \"table\", count(*) as rows from audience_{name}"
                for name in ("send", "reverify", "do_not_send")
            ),
        )
        console.print("\nWhat stands in XCom, for the page in Airflow's UI:\n")
        console.print_json(data=summary_of(run), indent=None)
        asked = lab.counters().values()
        console.print(
            f"\nThe mail servers saw {sum(each.connections for each in asked):,} conversations and "
            f"{sum(each.data for each in asked)} messages. Everything is in {OUT.relative_to(ROOT)}.",
            highlight=False,
        )
    return 0 if str(run.state) == "success" else 1


if __name__ == "__main__":
    sys.exit(main("--verbose" in sys.argv[1:]))

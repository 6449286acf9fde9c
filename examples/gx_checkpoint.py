"""A gate before a send: verify a contact table, validate it with Great Expectations, and stop unless it is clean.

Run it with `python examples/gx_checkpoint.py [folder]`: it makes a contact table in a DuckDB file, verifies it against
a mail world on loopback, runs the checkpoint and leaves Data Docs in the folder (default: demo/out/gx). Nothing leaves
the machine. Needs the extra gx-duckdb.

The function `gate` is what an Airflow task calls between verification and send; no provider for Great Expectations is
needed (`docs/great-expectations.md` has the DAG):

    @task
    def gate() -> dict: ...      # fails the task if an expectation fails, retries if mailvet could not verify
    verify >> gate() >> send
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
from great_expectations.expectations.metadata_types import FailureSeverity

import ge_expectations as mx  # before any suite is loaded: it registers the expectations


def expectations(config: str) -> list[Any]:
    """What must hold for a contact table before a send."""
    return [
        mx.ExpectColumnValuesToBeEmailSyntax(
            column="email", config=config, mostly=0.95, severity=FailureSeverity.WARNING
        ),
        mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", config=config, max_age="30d"),
        mx.ExpectColumnValuesToBeDeliverableEmail(
            column="email", config=config, verify="never", mostly=0.9, severity=FailureSeverity.CRITICAL
        ),
        mx.ExpectColumnBounceRateToBeBelow(
            column="email",
            config=config,
            verify="never",
            max_rate="2%",
            among=["send"],
            severity=FailureSeverity.CRITICAL,
        ),
        mx.ExpectNoUndeliverableRows(
            column="email", config=config, id_columns=["id"], severity=FailureSeverity.CRITICAL
        ),
    ]


def gate(database: Path, config: str, folder: Path) -> str:
    """Run the checkpoint over the table `contacts` of a DuckDB file: "passed" or "failed".

    Raises:
        VerificationError: mailvet could not verify (no DNS, wrong column): try again later, the table may be fine.
    """
    context = gx.get_context(mode="file", project_root_dir=folder)
    name = "contacts"
    source = context.data_sources.add_or_update_sql(name, connection_string=f"duckdb+mailvet:///{database}")
    rows = source.add_table_asset(name).add_batch_definition_whole_table("all")
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations(config)))
    validation = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=name, data=rows, suite=suite)
    )
    checkpoint = context.checkpoints.add_or_update(
        gx.Checkpoint(
            name=name,
            validation_definitions=[validation],
            actions=[
                gx.checkpoint.actions.UpdateDataDocsAction(name="docs"),
                mx.MailvetReportAction(name="report", path=str(folder / "gate.json"), on_error="raise"),
            ],
            result_format=mx.private_result_format("id"),
        )
    )
    return mx.outcome_of(checkpoint.run())


def main(folder: Path) -> int:
    """Exit code 0 when the gate opens, 1 when it stays shut."""
    import duckdb

    from mailvet import Settings, run
    from mailvet.lab import Lab, World
    from mailvet.sdk import open_source

    folder.mkdir(parents=True, exist_ok=True)
    database, config = folder / "warehouse.duckdb", folder / "mailvet.toml"
    database.unlink(missing_ok=True)
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    world = world.domain("nomail.test", [(0, ".")]).domain("broken.test", dns="servfail")
    people = [
        f"{first}.{last}" for first in ("ann", "bob", "eve", "dan") for last in ("lee", "kim", "roy", "fox", "may")
    ]
    for person in people:
        world.mailbox(f"{person}@acme.test")
    cells = [f"{person}@acme.test" for person in people]
    cells += ["gone@acme.test", "left@acme.test", "ann@nomail.test", "bob at acme.test", "eve@broken.test"]
    with duckdb.connect(str(database)) as db:
        db.execute(
            "create table contacts as select unnest(range(1, $1)) as id, unnest($2::varchar[]) as email",
            [len(cells) + 1, cells],
        )
    with Lab(world) as lab:
        lab.write_config(config)
        settings = Settings.load(config)
        warehouse = open_source(str(database), settings, table="contacts", column="email")
        run(warehouse, settings)
        warehouse.close()
    outcome = gate(database, str(config), folder)
    print(f"The gate {'opens' if outcome == 'passed' else 'stays shut'}: {outcome}.")
    print(f"Why: {folder / 'gx' / 'uncommitted' / 'data_docs' / 'local_site' / 'index.html'}")
    return 0 if outcome == "passed" else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/out/gx").resolve()))

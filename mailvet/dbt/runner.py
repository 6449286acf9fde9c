"""`mailvet dbt run`: read a dbt project, verify what its models and sources hold, fill the verdict table that dbt owns.

It works on every adapter, since the network is asked by this process and not by the database. dbt is asked for the
selection, the relations and the credentials; it must not run at the same time on a DuckDB file.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet import SettingsError, SourceError

if TYPE_CHECKING:
    from mailvet import Settings
    from mailvet.sdk import Warehouse

__all__ = ["Project", "Selected", "open_selected", "read_project"]

VERDICTS = "mailvet_verdicts"


@dataclass(frozen=True, slots=True)
class Selected:
    """A model, seed, snapshot or source with a column of addresses."""

    name: str
    database: str
    schema: str
    identifier: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Its `meta: {mailvet: {...}}`: email_column, where, depth, policy."""
    marked_column: str | None = None
    """The column whose own meta says `mailvet: email`."""


@dataclass(frozen=True, slots=True)
class Project:
    """What a run needs to know of a dbt project."""

    folder: Path
    credentials: Any
    """The adapter's credentials of the target."""
    verdict_database: str
    verdict_schema: str
    selected: Sequence[Selected]


def read_project(
    folder: Path,
    *,
    select: Sequence[str] = (),
    profiles_dir: Path | None = None,
    profile: str | None = None,
    target: str | None = None,
    variables: str | None = None,
) -> Project:
    """Ask dbt for a project's selection, relations and credentials; changes nothing but dbt's own `target` folder.

    Args:
        folder: with dbt_project.yml.
        select: as dbt's `--select`; empty: everything whose meta speaks of mailvet.
        profiles_dir: as dbt's `--profiles-dir`.
        profile: as dbt's `--profile`.
        target: as dbt's `--target`.
        variables: as dbt's `--vars`, YAML.

    Raises:
        SettingsError: dbt or its adapter is not installed, nothing fits the selection, or there is no verdict model.
        SourceError: dbt cannot read the project; its words are in the message.
    """
    if not (folder / "dbt_project.yml").is_file():
        raise SourceError(f"There is no dbt_project.yml in {folder}. Name the project's folder with --project-dir.")
    try:
        from dbt.cli.main import dbtRunner
    except ImportError:
        raise SettingsError("dbt is not installed here: pip install 'mailvet[dbt]'.") from None
    options = ["--project-dir", str(folder)]
    for name, value in (("profiles-dir", profiles_dir), ("profile", profile), ("target", target), ("vars", variables)):
        options += [f"--{name}", str(value)] if value is not None else []
    with _quiet_in(folder):
        manifest = _asked(dbtRunner(), ["parse", *options]).result
        found = dbtRunner(manifest=manifest)
        if select:
            listing = ["list", *options, "--output", "json", "--output-keys", "unique_id", "--select", *select]
            for kind in ("model", "seed", "snapshot", "source"):
                listing += ["--resource-type", kind]
            lines = _asked(found, listing).result or []
            chosen = [json.loads(line)["unique_id"] for line in lines if line.startswith("{")]
        else:
            chosen = [
                name for name, node in {**manifest.nodes, **manifest.sources}.items() if _options_of(node) is not None
            ]
        credentials = _credentials(folder, profile, target, variables)
    verdicts = _verdict_model(manifest)
    nodes = {**manifest.nodes, **manifest.sources}
    selected = [_selected(nodes[name]) for name in sorted(chosen) if name != verdicts.unique_id]
    if not selected:
        raise SettingsError(
            f"--select {' '.join(select)} finds no model, seed, snapshot or source in {folder.name}. Try the same with "
            "`dbt list`."
            if select
            else f"Nothing in {folder.name} is marked for verification. Name it with --select, or give a model "
            "`meta: {mailvet: {email_column: email}}`."
        )
    return Project(folder, credentials, verdicts.database or "", verdicts.schema, selected)


def open_selected(
    project: Project, selected: Selected, settings: Settings, *, column: str | None = None, updatable: bool = False
) -> Warehouse:
    """The table of one selected node, with dbt's verdict table beside it.

    Raises:
        SettingsError: the adapter is one that mailvet has no address for.
        SourceError: the table is not there yet, or does not fit; LockedError: dbt or another program holds the file.
    """
    from mailvet import open_table

    named: dict[str, Any] = {
        "where": selected.options.get("where"),
        "policy": settings.chosen_policy,
        "prefix": settings.store.prefix,
        "events": settings.history,
        "updatable": updatable,
    }
    chosen = column or selected.options.get("email_column") or selected.marked_column
    table = f"{selected.schema}.{selected.identifier}"
    database, close = _database(project, selected)
    try:
        return open_table(database, table, chosen, **named)
    except SourceError as error:
        close()
        if "There is no table" in str(error):
            raise SourceError(f"{error} Run `dbt run --select {selected.name}` first.") from None
        raise
    except BaseException:
        close()
        raise


# -------------------------------------------------------------------- dbt


@contextlib.contextmanager
def _quiet_in(folder: Path) -> Iterator[None]:
    """Dbt changes the working directory and prints; neither is meant for our user."""
    here = Path.cwd()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.chdir(here)


def _asked(runner: Any, arguments: Sequence[str]) -> Any:
    answer = runner.invoke(["--quiet", "--no-use-colors", "--no-send-anonymous-usage-stats", *arguments])
    if not answer.success:
        words = " ".join(str(answer.exception or "").split())
        raise SourceError(f"dbt cannot read the project: {words[:1000] or 'it did not say why'}")
    return answer


def _credentials(folder: Path, profile: str | None, target: str | None, variables: str | None) -> Any:
    import yaml
    from dbt.config.runtime import load_profile

    loaded = load_profile(str(folder), yaml.safe_load(variables or "{}") or {}, profile, target)
    return loaded.credentials


def _verdict_model(manifest: Any) -> Any:
    # The package's, or the project's own under that alias.
    models = [node for node in manifest.nodes.values() if node.resource_type == "model" and node.alias == VERDICTS]
    if not models:
        raise SettingsError(
            f"The project has no model with the name or alias {VERDICTS}. Add the package to packages.yml "
            "(`mailvet dbt path` says where it lies) and run `dbt deps`."
        )
    return models[0]


def _options_of(node: Any) -> Mapping[str, Any] | None:
    """The `mailvet` part of a node's meta; None where neither it nor a column has one."""
    meta = {**(getattr(node, "meta", None) or {}), **(getattr(node.config, "meta", None) or {})}
    options = meta.get("mailvet")
    if options is None and _marked_column(node) is None:
        return None
    if options is not None and not isinstance(options, Mapping):
        raise SettingsError(f"{node.name}: write its meta as `mailvet: {{email_column: email}}`.")
    return options or {}


def _marked_column(node: Any) -> str | None:
    for column in node.columns.values():
        meta = {**(column.meta or {}), **(getattr(getattr(column, "config", None), "meta", None) or {})}
        if meta.get("mailvet") in ("email", True) or (
            isinstance(meta.get("mailvet"), Mapping) and meta["mailvet"].get("email")
        ):
            return str(column.name)
    return None


def _selected(node: Any) -> Selected:
    options = _options_of(node) or {}
    known = {"email_column", "where", "depth", "policy"}
    if unknown := sorted(set(options) - known):
        raise SettingsError(
            f"{node.name}: meta.mailvet knows no {', '.join(unknown)}; there are: {', '.join(sorted(known))}."
        )
    if getattr(node.config, "materialized", None) == "ephemeral":
        raise SettingsError(
            f"{node.name} is ephemeral: there is no table of it to verify. Select the model it is made from, or "
            "materialise it."
        )
    return Selected(
        node.name,
        node.database or "",
        node.schema,
        getattr(node, "alias", None) or node.identifier,
        options,
        _marked_column(node),
    )


# -------------------------------------------------------------------- databases


def _database(project: Project, selected: Selected) -> tuple[Any, Callable[[], None]]:
    """What `open_table` takes, so that the verdict table it finds is the one dbt made; and how to close it again."""
    credentials = project.credentials
    kind = str(credentials.type)
    if kind == "duckdb":
        return _duckdb(project, selected)
    if kind == "postgres":
        return _postgres(credentials, project.verdict_schema), lambda: None
    from mailvet.dbt.credentials import ENGINES, engine_of

    if kind not in ENGINES:
        raise SettingsError(
            f"mailvet has no connection for dbt's adapter {kind}. Verify the table with the Airflow operator, or "
            "with `mailvet verify URL --table ...` if there is a SQLAlchemy dialect for it."
        )
    engine = engine_of(credentials, project.verdict_schema)
    return engine, engine.dispose


def _duckdb(project: Project, selected: Selected) -> tuple[Any, Callable[[], None]]:
    from mailvet.sdk import literal, open_database, quoted

    credentials = project.credentials
    path = str(credentials.path)
    if path == ":memory:" or path.startswith(("md:", "motherduck:")):
        raise SettingsError(
            f"The target's database is {'in memory' if path == ':memory:' else 'at MotherDuck'}, out of reach of "
            "another program. Verify in dbt itself, with a Python model that calls mailvet.dbt.verdicts."
        )
    file = Path(path).expanduser()
    if not file.is_absolute():
        file = project.folder / file
    if not file.exists():
        raise SourceError(f"There is no database {file} yet. Run `dbt run` first.")
    if selected.database.lower() != str(credentials.database).lower():
        raise SettingsError(
            f"{selected.name} lies in the attached database {selected.database}, its verdicts in "
            f"{credentials.database}. Materialise it beside them, or verify it with `mailvet verify` on its own file."
        )
    connection = open_database(file)
    try:
        found = connection.execute(
            "select 1 from duckdb_schemas() where schema_name = ? and database_name = current_database()",
            [project.verdict_schema],
        ).fetchall()
        if not found:
            raise SourceError(
                f"The schema {project.verdict_schema} of the verdict table is not there yet. Run "
                f"`dbt run --select {VERDICTS}` first."
            )
        connection.execute(f"set schema = {literal(quoted(project.verdict_schema))}")
    except BaseException:
        connection.close()
        raise
    return connection, connection.close


def _url(dialect: str, credentials: Any, query: Mapping[str, Any], **parts: Any) -> str:
    try:
        from sqlalchemy import URL
    except ImportError:
        raise SettingsError("SQLAlchemy is not installed here: pip install 'mailvet[postgres]'.") from None
    given = {name: str(value) for name, value in query.items() if value is not None}
    return URL.create(dialect, query=given, **parts).render_as_string(hide_password=False)


def _postgres(credentials: Any, schema: str) -> str:
    from mailvet.sdk import quoted

    def written(name: str) -> str:
        named = name if name.isidentifier() and name == name.lower() else quoted(name)
        return named.replace("\\", "\\\\").replace(" ", "\\ ")

    options = f"-csearch_path={written(schema)}"
    if credentials.role:
        options += f" -crole={written(credentials.role)}"
    query = {
        "options": options,
        "sslmode": credentials.sslmode,
        "sslcert": credentials.sslcert,
        "sslkey": credentials.sslkey,
        "sslrootcert": credentials.sslrootcert,
        "connect_timeout": credentials.connect_timeout,
        "keepalives_idle": credentials.keepalives_idle or None,
    }
    return _url(
        "postgresql",
        credentials,
        query,
        username=credentials.user,
        password=credentials.password or None,
        host=credentials.host,
        port=credentials.port,
        database=credentials.database,
    )

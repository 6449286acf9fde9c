"""`mailvet dbt run`: the project is read by dbt, the verdict table is the one dbt owns, and nothing is asked twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailvet.cli.commands import app
from mailvet.errors import MailvetError
from mailvet.lab import Lab
from tests.dbt.conftest import PACKAGE, ROOT, DbtProject, asked
from tests.dns.name_servers import in_thread, split_horizon

STATUSES = "select c.id, v.reason from dbt.contacts c join dbt.mailvet_verdicts v on v.email = c.email order by c.id"
EXPECTED = [
    (1, "mailbox_accepted"),
    (2, "mailbox_accepted"),
    (3, "mailbox_accepted"),
    (4, "mailbox_not_found"),
    (5, "null_mx"),
    (6, "syntax_invalid"),
]


def run(project: DbtProject, *arguments: str) -> tuple[int, str]:
    """The command in this process: exit code and what it printed, or the error's words."""
    here = Path.cwd()
    result = CliRunner().invoke(
        app, ["dbt", "run", "--project-dir", str(project.folder), "--profiles-dir", str(project.folder), *arguments]
    )
    assert Path.cwd() == here
    if isinstance(result.exception, MailvetError):
        return 2, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_resolver_that_finds_nothing_degrades_the_run_and_makes_nobody_undeliverable(
    make_project: Callable[..., DbtProject],
) -> None:
    project = make_project("duckdb")
    with in_thread(split_horizon, knows_controls=False) as server:
        (project.folder / "mailvet.toml").write_text(
            f'depth = "dns"\n[dns]\nnameservers = ["{server.host}"]\nport = {server.port}\ntimeout = 0.5\n'
            "lifetime = 1.0\n[smtp]\nallow_private_networks = true\n"
        )
        project.built("run")
        code, output = run(project)
    assert code == 3, output
    assert "[dns] controls" in " ".join(output.split())
    found = project.rows("select email, status, reason from dbt.mailvet_verdicts where domain is not null order by 1")
    assert found == [
        ("ann@acme.test", "unknown", "dns_error"),
        ("bob@acme.test", "unknown", "dns_error"),
        ("eve@nomail.test", "unknown", "dns_error"),
        # What the lists say of a name needs no resolver.
        ("nobody@acme.test", "risky", "no_reply"),
    ]


@pytest.mark.parametrize("target", ["duckdb", "postgres"])
def test_a_run_fills_the_table_that_dbt_owns_and_a_second_asks_and_changes_nothing(
    target: str, make_project: Callable[..., DbtProject], lab: Lab
) -> None:
    project = make_project(target)
    lab.write_config(project.folder / "mailvet.toml")
    project.built("run")
    assert project.rows("select count(*) from dbt.mailvet_verdicts") == [(0,)]

    code, output = run(project)
    assert code == 0, output
    assert "contacts" in output
    assert "@" not in output
    assert project.rows(STATUSES) == EXPECTED
    assert asked(lab) > 0

    lab.reset_counters()
    versions = "select email_key, checked_at"
    versions += ", xmin::text from dbt.mailvet_verdicts order by 1" if target == "postgres" else ", rowid from "
    versions += "" if target == "postgres" else "dbt.mailvet_verdicts order by 1"
    before = project.rows(versions)
    code, output = run(project, "--select", "contacts")
    assert code == 0, output
    assert asked(lab) == 0
    # dbt has nothing to do with these rows either, whatever it is told.
    project.built("run", "--full-refresh", "--select", "mailvet_verdicts")
    assert project.rows(versions) == before


def test_a_recheck_asks_fresh_verdicts_again_each_once_in_a_command(
    make_project: Callable[..., DbtProject], lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project()
    lab.write_config(project.folder / "mailvet.toml")
    project.write("models/others.sql", "select 9 as id, email from {{ ref('contacts') }}\n")
    project.write("models/others.yml", "models: [{name: others, config: {meta: {mailvet: {email_column: email}}}}]\n")
    project.built("run")
    assert run(project)[0] == 0
    lab.reset_counters()
    code, output = run(project, "--recheck", "reason=mailbox_not_found")
    assert code == 0, output
    assert [int(due) for due in re.findall(r"(\d+) due", caplog.text)] == [5, 0, 1, 0]
    assert asked(lab) > 0
    assert len(project.rows("select distinct run_id from dbt.mailvet_verdicts")) == 2
    assert "'gone' is no reason" in run(project, "--recheck", "reason=gone")[1]


def test_write_back_puts_the_columns_on_the_selected_table(make_project: Callable[..., DbtProject], lab: Lab) -> None:
    project = make_project()
    lab.write_config(project.folder / "mailvet.toml")
    project.built("run")
    code, output = run(project, "--write-back", "--policy", "transactional")
    assert code == 0, output
    rows = project.rows("select id, mailvet_status from dbt.contacts order by id")
    assert rows[3] == (4, "undeliverable")


def test_a_run_is_quiet_or_tells_in_json_what_it_did(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.built("run")
    code, output = run(project, "--depth", "offline", "--json", "--quiet")
    assert code == 0, output
    told = json.loads(output)
    assert (told["model"], told["rows"], told["addresses"], told["checked"]) == ("contacts", 7, 5, 5)
    assert told["by_status"] == {"undeliverable": 6}, "rows; the seventh is blank"
    assert "@" not in output
    assert run(project, "--depth", "offline", "--quiet") == (0, "")


def test_a_column_may_be_marked_instead_of_the_model(make_project: Callable[..., DbtProject], lab: Lab) -> None:
    project = make_project()
    lab.write_config(project.folder / "mailvet.toml")
    project.write("models/contacts.sql", "select 1 as id, 'ann@acme.test' as email, 'x' as email_2\n")
    project.write(
        "models/contacts.yml",
        "models: [{name: contacts, columns: [{name: email, config: {meta: {mailvet: email}}}]}]\n",
    )
    project.built("run")
    code, output = run(project, "--depth", "offline")
    assert code == 0, output
    assert project.rows("select reason from dbt.mailvet_verdicts") == [("not_probed",)]


def test_mistakes_are_named_before_anything_is_asked(make_project: Callable[..., DbtProject], lab: Lab) -> None:
    project = make_project()
    lab.write_config(project.folder / "mailvet.toml")
    assert "Run `dbt run` first" in run(project)[1]
    project.built("run", "--select", "mailvet_verdicts")
    assert "Run `dbt run --select contacts` first" in run(project)[1]
    project.built("run", "--select", "contacts")
    assert "finds no model, seed, snapshot or source" in run(project, "--select", "customers")[1]
    assert "There is no column mail" in run(project, "--email-column", "mail")[1]
    assert "does not have a target named 'moon'" in run(project, "--target", "moon")[1]
    assert "no dbt_project.yml" in run(DbtProject(project.folder / "models", "duckdb", ""))[1]
    project.write("models/contacts.yml", "models: [{name: contacts, config: {meta: {mailvet: {emial: x}}}}]\n")
    assert "knows no emial" in run(project)[1]
    project.write("models/contacts.yml", "")
    assert "marked for verification" in run(project)[1]
    (project.folder / "dbt_packages" / "mailvet").unlink()
    assert "has no model with the name or alias mailvet_verdicts" in run(project, "--select", "contacts")[1]
    assert asked(lab) == 0


def test_a_file_that_dbt_holds_is_reported_and_left_alone(make_project: Callable[..., DbtProject]) -> None:
    project = make_project()
    project.built("run")
    holder = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(project.folder / "shop.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        code, message = run(project, "--depth", "offline")
        other.communicate("")
    assert code == 2
    assert "open in another program" in message
    assert "dbt" in message


def test_the_path_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["dbt", "path"])
    assert done.output.strip() == str(PACKAGE)
    assert (Path(done.output.strip()) / "dbt_project.yml").is_file()


def test_neither_the_command_line_nor_the_package_loads_dbt_by_itself() -> None:
    code = (
        "import sys, mailvet.cli.commands, mailvet.dbt; "
        "print([m for m in ('dbt.cli', 'polars', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "[]"

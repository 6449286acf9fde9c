"""What holds for every test: no settings leak in from outside, and where CI is set nothing may be skipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.mariadb import MariaDBServer
    from tests.postgresql import PostgresServer


# A busy machine is no fault of an example.
settings.register_profile("mailvet", deadline=None)
settings.load_profile("mailvet")


@pytest.fixture(scope="session", autouse=True)
def _own_settings_and_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No MAILVET_* variable of the caller counts, and no test writes to the user's own data directory."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MAILVET_")]:
            patch.delenv(name)
        home: Path = tmp_path_factory.mktemp("user")
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield


_HERE = Path(__file__).parent
# Folders whose tests share what takes long to start: an Airflow, a parsed dbt project, a JVM, real mail servers.
_TOGETHER = {"airflow": "airflow", "dbt": "dbt", "gx": "spark", "spark": "spark", "servers": "servers"}
# Folders whose groups take longest, in the order in which they start, so that none of them is the last one alone.
_FIRST = ("spark", "gx", "dbt", "airflow", "faults", "end_to_end", "probing", "attacks", "warehouse", "servers")

_NO_CHOICE = SimpleNamespace(params={})
_EXTERNAL_FOLDERS = {"airflow", "benchmarks", "dbt", "end_to_end", "gx", "lakehouse", "packaging", "servers", "spark"}
_EXTERNAL_FIXTURES = {"mariadb_server", "postgres", "postgres_server", "real_mail", "spark"}
_EXTERNAL_PLACES = {"mariadb", "postgres", "postgresql"}


def _folder(item: pytest.Item) -> str:
    """The folder of `tests` that a test stands in, if any."""
    parts = item.path.parts
    return parts[len(_HERE.parts)] if parts[: len(_HERE.parts)] == _HERE.parts else ""


def _is_external(item: pytest.Item, folder: str) -> bool:
    """Whether a test needs more than this process: a server, a JVM, a browser, an Airflow, a dbt, a built wheel."""
    fixtures = set(getattr(item, "fixturenames", ()))
    chosen = {value for value in getattr(item, "callspec", _NO_CHOICE).params.values() if isinstance(value, str)}
    return folder in _EXTERNAL_FOLDERS or bool(fixtures & _EXTERNAL_FIXTURES or chosen & _EXTERNAL_PLACES)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist (`--dist loadgroup`), tests that share a start stay in one process; others go by file.

    Slow tests and those of other programs may take longer on a busy machine. Tests that `make test-fast` leaves out are
    marked.
    """
    items.sort(key=lambda item: _FIRST.index(_folder(item)) if _folder(item) in _FIRST else len(_FIRST))
    for item in items:
        folder = _folder(item)
        if _is_external(item, folder):
            item.add_marker(pytest.mark.external)
        item.add_marker(pytest.mark.xdist_group(_TOGETHER.get(folder, str(item.path))))
        if (item.get_closest_marker("slow") or item.get_closest_marker("external")) and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(600))


def _skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get("skipped", [])) if reporter is not None else []


def _skips_are_failures() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a skipped test is a failed run: there, everything has to be installed."""
    # A worker of pytest-xdist has no terminal; the process that started it sees every report.
    if _skips_are_failures() and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line for each reason how many tests were skipped; where CI is set, name each of them."""
    skipped = [(report.nodeid, _reason(report)) for report in _skipped(config)]
    for why, count in Counter(why for _, why in skipped).items():
        terminalreporter.write_line(f"{count} skipped: {why.removeprefix('Skipped: ')}", yellow=True)
    if not (_skips_are_failures() and skipped):
        return
    terminalreporter.section("skipped, which is a failure here because CI is set", red=True)
    for name, why in skipped:
        terminalreporter.write_line(f"{name}: {why}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests; each takes a database of its own from it (`new_database`)."""
    from tests.postgresql import running_server

    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """One MariaDB server for all tests; each takes a database of its own from it (`new_database`)."""
    from tests.mariadb import running_server

    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Spark session of two cores for all tests."""
    from tests.spark_session import running_session

    with running_session(tmp_path_factory.mktemp("spark")) as session:
        yield session

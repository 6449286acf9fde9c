"""A real MariaDB server for tests: Debian's, on loopback and on a free port, with its data in a folder of its own and
without any of the machine's settings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from tests.programs import find, require

__all__ = ["MariaDBServer", "running_server"]

_START_SECONDS = 60.0
_OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=32M",
    "--innodb-buffer-pool-size=64M",
    "--skip-name-resolve",
    # What Debian's server has by default, and the hardest: case and accents do not count.
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
)


@dataclass(frozen=True, slots=True)
class MariaDBServer:
    """A running server with a user `tester` who may do everything and has no password."""

    port: int

    def url(self, database: str = "") -> str:
        """`mariadb://...`, as SQLAlchemy takes it; the driver is ours to choose."""
        return f"mariadb://tester@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str | None = None) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """A connection that commits each statement."""
        return pymysql.connect(host="127.0.0.1", port=self.port, user="tester", database=database, autocommit=True)

    def new_database(self, name: str) -> str:
        """Make a database afresh; returns its URL."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"drop database if exists `{name}`")
            cursor.execute(f"create database `{name}`")
        return self.url(name)


@contextmanager
def running_server() -> Iterator[MariaDBServer]:
    """Start a server on a free port; it and its data are gone afterwards. Skips where MariaDB is not installed."""
    require("mariadb-install-db", "mariadbd")
    install, daemon = find("mariadb-install-db") or "", find("mariadbd") or ""
    folder = Path(tempfile.mkdtemp(prefix="mailvet-mariadb-"))
    before: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = names.get("mysql") or names["nobody"]
        os.chown(folder, user.pw_uid, user.pw_gid)
        before = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    (folder / "init.sql").write_text(
        "create user 'tester'@'127.0.0.1';\ngrant all on *.* to 'tester'@'127.0.0.1' with grant option;\n"
    )
    log = (folder / "log").open("w+")
    # A server that starts removes the temporary tables of all others that use the same folder for them.
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        made = subprocess.run(
            [
                *before,
                install,
                "--no-defaults",
                f"--datadir={data}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            check=False,
        )
        log.seek(0)
        assert made.returncode == 0, log.read()
        server = subprocess.Popen(
            [
                *before,
                daemon,
                "--no-defaults",
                f"--datadir={data}",
                f"--port={port}",
                f"--socket={folder}/socket",
                f"--pid-file={folder}/pid",
                f"--init-file={folder}/init.sql",
                *_OPTIONS,
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
        )
        try:
            running = MariaDBServer(port)
            until = time.monotonic() + _START_SECONDS
            while True:
                try:
                    running.connect().close()
                    break
                except pymysql.Error:
                    log.seek(0)
                    assert server.poll() is None, log.read()
                    assert time.monotonic() < until, log.read()
                    time.sleep(0.05)
            yield running
        finally:
            server.kill()
            server.wait()
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)

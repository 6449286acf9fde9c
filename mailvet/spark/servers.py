"""What is kept about server addresses between runs, where Spark keeps its data.

One Parquet file in a folder of its own, and the recipients that the verdict table knows.

It is the memory of every warehouse (`mailvet.warehouse.servers`). The driver reads it before a run and hands it to the
tasks; what they have learnt comes back with their reports, and the driver writes it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mailvet.spark.staging import Folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["ServerFolder", "canaries"]

log = logging.getLogger("mailvet")


class ServerFolder:
    """The folder with what is known of servers.

    Args:
        folder: is made when there is something to write.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, verdicts: object, staging: Folder) -> ServerFolder:
        """Beside a verdict table that is a path, `..._servers`; else within the folder of answers."""
        if isinstance(verdicts, (str, Path)) and "/" in str(verdicts):
            folder = Folder.of(verdicts)
            return cls(folder.beside(f"{folder.name}_servers"))
        return cls(staging / "servers")

    def read(self) -> pa.Table:
        """The newest row about each place, as `SERVER_SCHEMA`."""
        from mailvet.warehouse.servers import SERVER_SCHEMA

        tables = [table.cast(SERVER_SCHEMA) for table in self._folder.read("servers-", SERVER_SCHEMA.names)]
        return _newest(tables)

    def add(self, changed: Sequence[pa.Table]) -> None:
        """Take in rows that have changed: a new file, complete or not at all, in the place of those before."""
        if not changed:
            return
        name = f"servers-{uuid.uuid4().hex}.parquet"
        try:
            self._folder.make()
            before = self._folder.names()
            self._folder.write(name, _newest([self.read(), *changed]))
            self._folder.delete_files("servers-", but=[each for each in self._folder.names() if each not in before])
        except OSError as error:
            log.warning("What this run learnt about servers is not kept: %s", str(error).splitlines()[0])


def _newest(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow.compute as pc

    from mailvet.warehouse.servers import SERVER_SCHEMA

    together = pa.concat_tables([SERVER_SCHEMA.empty_table(), *tables]).sort_by(
        [("place", "ascending"), ("changed_at", "descending")]
    )
    places = together["place"].to_pylist()
    first = [number for number, place in enumerate(places) if not number or places[number - 1] != place]
    newest = together.take(pa.array(first, pa.int64()))
    return newest.filter(pc.or_(pc.is_valid(newest["suspected_since"]), pc.is_valid(newest["refused_words"])))


def canaries(known: DataFrame, cells: DataFrame, routes: DataFrame, now: datetime) -> pa.Table:
    """Recipients known to exist at the hosts of these routes, as `CANARY_SCHEMA`, the newest of each host.

    Args:
        known: verdicts.
        cells: `email`, `email_key`: texts, where the verdicts hold none.
        routes: with a column `hosts` (`mailvet.spark.worker.ROUTE`).
        now: aware, UTC.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from mailvet.warehouse.servers import CANARIES_PER_HOST, CANARY_AGE, CANARY_SCHEMA, MOST_CANARIES

    names = F.transform(F.from_json("hosts", "array<array<string>>"), lambda host: host[0])
    hosts = routes.where("hosts is not null").select(F.explode(names).alias("mx_host")).distinct()
    since = F.lit((now - CANARY_AGE).isoformat()).cast("timestamp")
    accepted = (
        known.where((F.col("reason") == "mailbox_accepted") & (F.col("checked_at") >= since))
        .join(hosts, "mx_host", "left_semi")
        .join(cells.select("email_key", F.col("email").alias("cell")), "email_key", "left")
        .select("mx_host", F.coalesce("email", "cell").alias("email"), "checked_at", "email_key")
        .where("email is not null")
    )
    newest = Window.partitionBy("mx_host").orderBy(F.desc("checked_at"), "email_key")
    rows = (
        accepted.withColumn("number", F.row_number().over(newest))
        .where(F.col("number") <= CANARIES_PER_HOST)
        .orderBy(F.desc("checked_at"))
        .limit(MOST_CANARIES)
        # As a number, for a driver's own time zone must not play a part.
        .select("mx_host", "email", F.unix_micros("checked_at").alias("checked_at"))
        .collect()
    )
    columns = [[row[name] for row in rows] for name in CANARY_SCHEMA.names]
    moments = pa.array(columns[2], pa.int64()).cast(CANARY_SCHEMA.field("checked_at").type)
    return pa.Table.from_arrays(
        [pa.array(columns[0], pa.string()), pa.array(columns[1], pa.string()), moments], schema=CANARY_SCHEMA
    )

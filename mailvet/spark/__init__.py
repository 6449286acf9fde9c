"""Verification as Spark jobs, for tables that outgrow one machine.

>>> from mailvet import spark as mv                                                          # doctest: +SKIP
>>> verdicts = mv.verify(contacts, "email", depth="dns", staging="/shared/mailvet")          # doctest: +SKIP
>>> mv.save(verdicts, "/shared/mailvet_verdicts")                                            # doctest: +SKIP
>>> mv.with_status(contacts, "email", verdicts)                                              # doctest: +SKIP

Needs the extra `spark`, and mailvet on the executors as well. Only DataFrames are used, no RDDs.
"""

from mailvet.spark.job import verify
from mailvet.spark.tables import merge_sql, read_verdicts, save, with_status

__all__ = ["merge_sql", "read_verdicts", "save", "verify", "with_status"]

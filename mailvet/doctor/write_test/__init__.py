"""A database held to the contract of mailvet's warehouses, in a schema to write in.

`mailvet doctor SOURCE --write-test SCHEMA` does it; the tests of this project run the same checks.
"""

from mailvet.doctor.write_test.contract import CHECKS, BrokenRuleError, ContractCheck
from mailvet.doctor.write_test.outcome import CheckOutcome, WriteTest, read_result
from mailvet.doctor.write_test.places import DuckDBPlace, EnginePlace, Place, place_of
from mailvet.doctor.write_test.running import write_test

__all__ = [
    "CHECKS",
    "BrokenRuleError",
    "CheckOutcome",
    "ContractCheck",
    "DuckDBPlace",
    "EnginePlace",
    "Place",
    "WriteTest",
    "place_of",
    "read_result",
    "write_test",
]

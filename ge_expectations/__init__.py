"""E-mail deliverability as expectations of Great Expectations 1.x.

Importing this package registers everything: expectations, metrics, the checkpoint action and the DuckDB dialect. Do it
before a suite is loaded, or Great Expectations drops the expectations it does not know.

>>> import great_expectations as gx
>>> import ge_expectations as mx
>>> mx.ExpectColumnValuesToBeDeliverableEmail(column="email", mostly=0.98)          # doctest: +SKIP
"""

from __future__ import annotations

from sqlalchemy.dialects import registry as _registry

from ge_expectations.actions import MailvetReportAction, errors_of, outcome_of
from ge_expectations.expect_column_bounce_rate_to_be_below import ExpectColumnBounceRateToBeBelow
from ge_expectations.expect_column_emails_to_be_verified_recently import ExpectColumnEmailsToBeVerifiedRecently
from ge_expectations.expect_column_values_to_be_deliverable_email import ExpectColumnValuesToBeDeliverableEmail
from ge_expectations.expect_column_values_to_be_email_syntax import ExpectColumnValuesToBeEmailSyntax
from ge_expectations.expect_no_undeliverable_rows import ExpectNoUndeliverableRows
from ge_expectations.loading import assert_loaded
from ge_expectations.verification import UnknownVerdictsError, VerificationError

__all__ = [
    "PRIVATE_RESULT_FORMAT",
    "ExpectColumnBounceRateToBeBelow",
    "ExpectColumnEmailsToBeVerifiedRecently",
    "ExpectColumnValuesToBeDeliverableEmail",
    "ExpectColumnValuesToBeEmailSyntax",
    "ExpectNoUndeliverableRows",
    "MailvetReportAction",
    "UnknownVerdictsError",
    "VerificationError",
    "assert_loaded",
    "errors_of",
    "outcome_of",
    "private_result_format",
]

# By name, so that duckdb-engine is imported only on a connection.
_registry.register("duckdb.mailvet", "ge_expectations.duckdb", "BufferedDialect")


def private_result_format(*id_columns: str) -> dict[str, object]:
    """A result format for checkpoints that shows counts and the ids of failing rows, and no values of any expectation.

    >>> private_result_format("id")["exclude_unexpected_values"]
    True
    """
    chosen: dict[str, object] = {
        "result_format": "SUMMARY",
        "exclude_unexpected_values": True,
        "include_unexpected_rows": False,
        "return_unexpected_index_query": False,
    }
    return {**chosen, "unexpected_index_column_names": list(id_columns)} if id_columns else chosen


PRIVATE_RESULT_FORMAT = private_result_format()
"""Counts alone."""

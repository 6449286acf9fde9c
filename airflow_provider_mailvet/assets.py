"""What a DAG that sends can wait for: the table, verified."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk import Asset

__all__ = ["verified_table"]


def verified_table(conn_id: str, table: str) -> Asset:
    """The asset that `MailvetVerifyOperator` updates for this connection and table; its events carry the counts.

    >>> verified_table("crm", "contacts").uri
    'mailvet://crm/contacts'
    """
    return Asset(name=f"{table} in {conn_id}, verified", uri=f"mailvet://{quote(conn_id)}/{quote(table)}")

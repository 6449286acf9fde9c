"""The databases that attacks are tried on."""

from tests.warehouse.conftest import _postgres_url, place, postgres

__all__ = ["_postgres_url", "place", "postgres"]

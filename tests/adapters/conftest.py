"""The adapters of dbt for databases that are not here; their drivers are there, and connect to nothing.

They do not go together with the versions of ours, so `make test-adapters` runs these tests in an environment of its
own.
"""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("redshift_connector") and find_spec("trino") else ["test_*"]

"""One API server for all tests of the page, over a metadata database with runs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.page import metadata

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def recorded(metadata_database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The runs in the metadata database: name -> id of the DAG run."""
    metadata.create(tmp_path_factory.mktemp("dags"))
    at = [NOW - timedelta(days=days) for days in range(10)]

    def one(days: int, **changes: Any) -> dict[str, Any]:
        return metadata.summary(at[days], 1000 + days) | changes

    hostile = one(
        3,
        table=HOSTILE,
        source=HOSTILE,
        conn_id='"><img src=x onerror=alert(1)>',
        health=HOSTILE,
        depth=HOSTILE,
        operators=[{"name": HOSTILE, "asked": 1, "state": HOSTILE}],
        by_reason={HOSTILE: 5, "mailbox_accepted": 3},
        by_status={HOSTILE: 8},
        layers={HOSTILE: 8},
    )
    malformed = one(
        2,
        rows="many",
        seconds=float("1e300"),
        by_status=[1, 2],
        by_reason=None,
        operators={"a": 1},
        started_at="yesterday",
        bounce_before=-4,
        checked=True,
        table=None,
    )
    web = {"table": "subscribers", "source": "subscribers in web", "conn_id": "web"}
    return {
        "older": metadata.record("campaign", "verify_contacts", at[9], [one(9)]),
        "newest": metadata.record("campaign", "verify_contacts", at[1], [one(1, pending=0, next_check_at=None)]),
        "hostile": metadata.record("campaign", "verify_contacts", at[3], [hostile]),
        "malformed": metadata.record("campaign", "verify_contacts", at[2], [malformed]),
        "none": metadata.record("campaign", "verify_contacts", at[4], ["just a text"]),
        "list": metadata.record("campaign", "verify_contacts", at[5], [[1, 2]]),
        "future": metadata.record("campaign", "verify_contacts", at[6], [one(6, mailvet=2)]),
        "failed": metadata.record("campaign", "verify_contacts", at[7], [None], state="failed"),
        "deferred": metadata.record("campaign", "verify_contacts", at[8], [None], state="deferred"),
        "web": metadata.record(
            "newsletter",
            "verify_subscribers",
            at[2],
            [one(2, **web, health="The resolver stopped answering for ann.lee@example.com")],
        ),
        "passed": metadata.record(
            "campaign",
            "gate",
            at[1],
            [metadata.gate(one(1), max_undeliverable_rate=0.5, max_unverified_rate=0)],
        ),
        "stopped": metadata.record(
            "campaign",
            "gate",
            at[2] + timedelta(hours=1),
            [metadata.gate(one(2), max_bounce_rate=0.001) | {"warnings": ["max_unknown_rate of 100% cannot fail"]}],
            state="failed",
        ),
        "odd gate": metadata.record(
            "campaign",
            "gate",
            at[3] + timedelta(hours=1),
            [
                {
                    "mailvet_gate": 1,
                    "table": HOSTILE,
                    "limits": [{"name": HOSTILE, "limit": 1}, 7, {"limit": "x"}],
                    "passed": "yes",
                    "warnings": HOSTILE,
                    "among": [HOSTILE],
                    "policy": 3,
                }
            ],
        ),
        "quiet": metadata.record("quiet", "verify", at[2], [one(2, table="members")]),
        "same day": metadata.record(
            "quiet",
            "verify",
            at[2] + timedelta(minutes=1),
            [one(2, table="members", started_at=(at[2] + timedelta(minutes=1)).isoformat())],
        ),
        "nothing due": metadata.record(
            "quiet",
            "verify",
            at[1],
            [one(1, table="members", due=0, checked=0, operators=[], probes=0, lookups=0)],
        ),
        "after": metadata.record("quiet", "verify", at[0] - timedelta(minutes=5), [None], state="failed"),
        "only failures": metadata.record("failing", "verify", at[1], [None], state="up_for_retry"),
        "shards": metadata.record(
            "monthly_cleaning",
            "verify_shard",
            at[4],
            [metadata.summary(at[4], rows) | {"table": "customers", "conn_id": "wh"} for rows in (4000, 5000, 6000)],
            map_indexes=(0, 1, 2),
        ),
    }


@pytest.fixture(scope="session")
def airflow_app(recorded: dict[str, str]) -> FastAPI:
    """Airflow's API server, with the plug-in as its entry point brings it."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    with pytest.MonkeyPatch.context() as patch:
        # Read while the application is made; other tests go on with what holds for them.
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.airflow.page.readers.DagReaders")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "false")
        purge_cached_app()
        return create_app(apps="all")


@pytest.fixture(scope="session")
def anonymous(airflow_app: FastAPI) -> TestClient:
    """A browser without a login."""
    from fastapi.testclient import TestClient

    return TestClient(airflow_app, follow_redirects=False)


Login = Callable[..., "TestClient"]


@pytest.fixture(scope="session")
def login(airflow_app: FastAPI) -> Login:
    """Make a browser of a user with a role of the simple auth manager, logged in by cookie as in the UI."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def work(name: str, role: str = "VIEWER") -> TestClient:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        return TestClient(airflow_app, cookies={"_token": token}, follow_redirects=False)

    return work


@pytest.fixture(scope="session")
def viewer(login: Login) -> TestClient:
    """May read everything and change nothing."""
    return login("vera")


@pytest.fixture
def own_gate(anonymous: TestClient) -> Iterator[None]:
    """Checks of other tests do not count against the limit of this one."""
    from airflow_provider_mailvet.plugin import MailvetPlugin
    from airflow_provider_mailvet.plugin.checking import RateLimiter

    anonymous.get("/mailvet/")  # the page is built by the first request
    application = MailvetPlugin.fastapi_apps[0]["app"]._app
    before, application.state.rate_limiter = application.state.rate_limiter, RateLimiter()
    yield
    application.state.rate_limiter = before

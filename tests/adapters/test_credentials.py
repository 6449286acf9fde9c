"""A driver gets from mailvet what dbt's own adapter gives it, whatever way the profile signs in."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dbt.adapters.bigquery.credentials import BigQueryCredentials
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.databricks.credentials import DatabricksCredentials
from dbt.adapters.redshift.connections import RedshiftConnectionManager, RedshiftCredentials
from dbt.adapters.snowflake.connections import SnowflakeConnectionManager, SnowflakeCredentials
from dbt.adapters.sqlserver.sqlserver_connections import SQLServerConnectionManager
from dbt.adapters.sqlserver.sqlserver_credentials import SQLServerCredentials
from dbt.adapters.trino import connections as trino_adapter

from mailvet.dbt.credentials import BESIDE, TAKEN, engine_of
from mailvet.errors import SettingsError, SourceError

SECRET = "a-secret-of-the-profile"
SCHEMA = "verdicts"


class ReachedError(Exception):
    """The driver was called; it connects to nothing."""


class Calls(list[dict[str, Any]]):
    """What a driver's `connect` was given."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.append({"": arguments, **named})
        raise ReachedError


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey, passphrase: str | None = None) -> str:
    encryption: Any = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def through_mailvet(credentials: Any, calls: Calls) -> dict[str, Any]:
    with pytest.raises(SourceError) as caught:
        engine_of(credentials, SCHEMA).connect()
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    return calls.pop()


def through_dbt(manager: Any, credentials: Any, calls: Calls) -> dict[str, Any]:
    chosen = dataclasses.replace(credentials, schema=SCHEMA)
    with contextlib.suppress(Exception):  # of whatever class the adapter makes of it
        manager.open(Connection(type=credentials.type, name="dbt", credentials=chosen))
    return calls.pop()


# -------------------------------------------------------------------- Snowflake


@pytest.fixture
def snowflake(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr("snowflake.connector.connect", calls)
    return calls


SNOWFLAKE: dict[str, dict[str, Any]] = {
    "password": {"user": "ann", "password": SECRET, "role": "loader", "warehouse": "small", "query_tag": "x"},
    "password and code": {"user": "ann", "password": SECRET, "authenticator": "username_password_mfa"},
    "external browser": {"user": "ann", "authenticator": "externalbrowser"},
    "access token": {"authenticator": "oauth", "token": SECRET},
    "jwt": {"authenticator": "jwt", "token": SECRET},
    "programmatic": {"user": "ann", "authenticator": "programmatic_access_token", "token": SECRET},
    "workload identity": {"authenticator": "workload_identity", "workload_identity_provider": "OIDC", "token": SECRET},
    "workload of Azure": {
        "authenticator": "workload_identity",
        "workload_identity_provider": "azure",
        "workload_identity_entra_resource": "api://x",
    },
    "proxy": {"user": "ann", "password": SECRET, "host": "h", "port": 1, "proxy_host": "p", "proxy_port": 2},
}


@pytest.mark.parametrize("way", SNOWFLAKE)
def test_snowflake_signs_in_as_dbt_does(way: str, snowflake: Calls) -> None:
    credentials = SnowflakeCredentials(database="crm", schema="dbt", account="a-b", **SNOWFLAKE[way])
    ours = through_mailvet(credentials, snowflake)
    assert ours == through_dbt(SnowflakeConnectionManager, credentials, snowflake)
    assert (ours["account"], ours["database"], ours["schema"]) == ("a-b", "crm", SCHEMA)


@pytest.mark.parametrize("passphrase", [None, SECRET])
@pytest.mark.parametrize("where", ["private_key", "private_key_path"])
def test_snowflake_takes_a_key_as_file_or_text(
    where: str, passphrase: str | None, snowflake: Calls, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    path = tmp_path / "key.p8"
    path.write_text(pem(key, passphrase))
    named = {where: str(path) if where == "private_key_path" else path.read_text()}
    credentials = SnowflakeCredentials(
        database="crm", schema="dbt", account="a-b", user="ann", private_key_passphrase=passphrase, **named
    )
    ours = through_mailvet(credentials, snowflake)
    assert ours == through_dbt(SnowflakeConnectionManager, credentials, snowflake)
    assert ours["private_key"] == key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_session_of_snowflake_holds_statements_together(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[bool] = []

    class Session:
        def autocommit(self, on: bool) -> None:
            changed.append(on)
            raise ReachedError  # enough is known

    monkeypatch.setattr("snowflake.connector.connect", lambda **_: Session())
    credentials = SnowflakeCredentials(database="crm", schema="dbt", account="a-b", user="ann", password=SECRET)
    with pytest.raises(SourceError):
        engine_of(credentials, SCHEMA).connect()
    assert changed == [False]


# -------------------------------------------------------------------- Redshift


@pytest.fixture
def redshift(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr("redshift_connector.connect", calls)
    return calls


REDSHIFT: dict[str, dict[str, Any]] = {
    "password": {"user": "ann", "password": SECRET, "sslmode": "verify-full", "connect_timeout": 5, "retries": 0},
    "IAM profile": {"method": "iam", "user": "ann", "cluster_id": "c", "iam_profile": "work", "region": "eu-west-1"},
    "IAM keys": {
        "method": "iam",
        "user": "ann",
        "cluster_id": "c",
        "access_key_id": "AKIA",
        "secret_access_key": SECRET,
        "db_groups": ["loaders"],
    },
    "IAM role": {"method": "iam_role", "cluster_id": "c"},
    "serverless": {
        "method": "iam_role",
        "is_serverless": True,
        "serverless_work_group": "g",
        "serverless_acct_id": "1",
    },
    "browser": {"method": "browser_identity_center", "idc_region": "eu-west-1", "issuer_url": "https://i.example"},
}


@pytest.mark.parametrize("way", REDSHIFT)
def test_redshift_signs_in_as_dbt_does(way: str, redshift: Calls) -> None:
    credentials = RedshiftCredentials(
        host="h.example", port=5439, database="crm", schema="dbt", **{"retries": 0, **REDSHIFT[way]}
    )
    ours = through_mailvet(credentials, redshift)
    assert ours == through_dbt(RedshiftConnectionManager, credentials, redshift)


# -------------------------------------------------------------------- SQL Server


@pytest.fixture
def pyodbc(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr("pyodbc.connect", calls)
    return calls


SQL_SERVER: dict[str, dict[str, Any]] = {
    "SQL login": {"UID": "ann", "PWD": SECRET},
    "Windows": {"windows_login": True},
    "Entra password": {"authentication": "ActiveDirectoryPassword", "UID": "ann@x.example", "PWD": SECRET},
    "Entra service principal": {
        "authentication": "ActiveDirectoryServicePrincipal",
        "client_id": "c",
        "client_secret": SECRET,
        "tenant_id": "t",
    },
    "Entra token": {"authentication": "ActiveDirectoryAccessToken", "access_token": SECRET},
    "Entra interactive": {"authentication": "ActiveDirectoryInteractive", "UID": "ann@x.example"},
}


@pytest.mark.parametrize("way", SQL_SERVER)
def test_sql_server_signs_in_as_dbt_does(way: str, pyodbc: Calls) -> None:
    credentials = SQLServerCredentials(
        driver="ODBC Driver 18 for SQL Server", host="h", database="crm", schema="dbt", retries=0, **SQL_SERVER[way]
    )
    ours = through_mailvet(credentials, pyodbc)
    assert ours == through_dbt(SQLServerConnectionManager, credentials, pyodbc)


def test_another_driver_of_sql_server_is_refused_by_name() -> None:
    credentials = SQLServerCredentials(host="h", database="crm", schema="dbt", backend="mssql-python", UID="a", PWD="b")
    with pytest.raises(SettingsError, match="sets backend"):
        engine_of(credentials, SCHEMA)


# -------------------------------------------------------------------- Trino

TRINO: dict[str, Callable[..., Any]] = {
    "none": trino_adapter.TrinoNoneCredentials,
    "ldap": lambda **named: trino_adapter.TrinoLdapCredentials(password=SECRET, impersonation_user="bob", **named),
    "jwt": lambda **named: trino_adapter.TrinoJwtCredentials(jwt_token=SECRET, **named),
    "certificate": lambda **named: trino_adapter.TrinoCertificateCredentials(
        client_certificate="c.pem", client_private_key="k.pem", **named
    ),
    "oauth": trino_adapter.TrinoOauthCredentials,
}


@pytest.mark.parametrize("way", TRINO)
def test_trino_signs_in_as_dbt_does(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    monkeypatch.setattr("trino.dbapi.connect", calls)
    credentials = TRINO[way](
        host="h",
        port=443,
        user="ann",
        database="lake",
        schema="dbt",
        cert="ca.pem",
        roles={"lake": "r"},
        timezone="UTC",
    )
    ours = through_mailvet(credentials, calls)
    theirs = through_dbt(trino_adapter.TrinoConnectionManager, credentials, calls)
    assert (ours.pop("source"), theirs.pop("source")[:9]) == ("mailvet", "dbt-trino")
    assert (type(ours["auth"]), str(vars(ours.pop("auth")).keys()) if ours.get("auth") else "") == (
        type(theirs["auth"]),
        str(vars(theirs.pop("auth")).keys()) if theirs.get("auth") else "",
    )
    assert ours == {**theirs, "client_tags": ours["client_tags"], "http_headers": ours["http_headers"]}
    assert (ours["client_tags"] or []) == (theirs["client_tags"] or [])
    assert (ours["http_headers"] or {}) == (theirs["http_headers"] or {})


# -------------------------------------------------------------------- Databricks


@pytest.fixture
def databricks(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr("databricks.sql.connect", calls)
    return calls


DATABRICKS: dict[str, dict[str, Any]] = {
    "token": {"token": SECRET},
    "machine": {"auth_type": "oauth", "client_id": "c", "client_secret": SECRET},
    "person": {"auth_type": "oauth"},
    "Azure": {"auth_type": "oauth", "azure_client_id": "c", "azure_client_secret": SECRET},
    "session": {"token": SECRET, "session_properties": {"ansi_mode": True}, "connection_parameters": {"x": 1}},
}


@pytest.mark.parametrize("way", DATABRICKS)
def test_databricks_signs_in_as_dbt_does(way: str, databricks: Calls) -> None:
    from dbt.adapters.databricks.handle import SqlUtils

    credentials = DatabricksCredentials(
        database="main", schema="dbt", host="h.example", http_path="/sql/1.0/warehouses/w", **DATABRICKS[way]
    )
    ours = through_mailvet(credentials, databricks)
    credentials.schema = SCHEMA
    theirs = SqlUtils.prepare_connection_arguments(credentials, credentials.authenticate(), credentials.http_path)
    # How parameters are written is the matter of the dialect; the provider is a closure over the same manager.
    assert ours.pop("") == ()
    assert (ours.pop("use_inline_params"), theirs.pop("use_inline_params")) == (False, "silent")
    mine, yours = ours.pop("credentials_provider"), theirs.pop("credentials_provider")
    assert mine.__closure__[0].cell_contents == yours.__closure__[0].cell_contents
    assert ours == theirs


# -------------------------------------------------------------------- BigQuery


def keyfile(key: rsa.RSAPrivateKey) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem(key),
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.mark.parametrize("way", ["service-account", "service-account-json", "impersonated", "oauth-secrets"])
def test_bigquery_uses_the_client_that_dbt_makes(way: str, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(keyfile(key)))
    ways: dict[str, dict[str, Any]] = {
        "service-account": {"method": "service-account", "keyfile": str(path)},
        "service-account-json": {"method": "service-account-json", "keyfile_json": keyfile(key)},
        "impersonated": {
            "method": "service-account",
            "keyfile": str(path),
            "impersonate_service_account": "other@p.iam.gserviceaccount.com",
        },
        "oauth-secrets": {"method": "oauth-secrets", "token": SECRET, "refresh_token": SECRET, "client_id": "c"},
    }
    credentials = BigQueryCredentials(
        database="data",
        schema="dbt",
        execution_project="paying",
        quota_project="quota",
        location="EU",
        maximum_bytes_billed=10,
        **ways[way],
    )
    engine: Any = engine_of(credentials, SCHEMA)
    client = engine.raw_connection().driver_connection._client
    assert (client.project, client.location) == ("paying", "EU")
    assert client.default_query_job_config.default_dataset.path == f"/projects/data/datasets/{SCHEMA}"
    assert client.default_query_job_config.maximum_bytes_billed == 10
    signed = client._credentials
    assert signed.quota_project_id == "quota"
    if way == "impersonated":
        assert signed._target_principal == "other@p.iam.gserviceaccount.com"
        assert signed._source_credentials.service_account_email == "robot@p.iam.gserviceaccount.com"
    elif way == "oauth-secrets":
        assert (signed.token, signed.refresh_token, signed.client_id) == (SECRET, SECRET, "c")
    else:
        assert signed.service_account_email == "robot@p.iam.gserviceaccount.com"


# -------------------------------------------------------------------- every field

CLASSES: dict[str, list[Any]] = {
    "snowflake": [SnowflakeCredentials],
    "bigquery": [BigQueryCredentials],
    "databricks": [DatabricksCredentials],
    "redshift": [RedshiftCredentials],
    "sqlserver": [SQLServerCredentials],
    "trino": [
        each
        for name, each in vars(trino_adapter).items()
        if name.startswith("Trino") and name.endswith("Credentials") and dataclasses.is_dataclass(each)
    ],
}


@pytest.mark.parametrize("adapter", CLASSES)
def test_every_field_of_an_adapter_is_taken_or_named(adapter: str) -> None:
    fields = {field.name for each in CLASSES[adapter] for field in dataclasses.fields(each)}
    beside = set(BESIDE.get(adapter, {}))
    if adapter == "bigquery":
        beside |= {"reservation"}  # refused by name
    assert fields == TAKEN[adapter] | beside
    assert not TAKEN[adapter] & beside


def test_a_field_that_is_not_known_is_refused_by_name() -> None:
    credentials = BigQueryCredentials(database="p", schema="s", method="oauth", reservation="r")
    with pytest.raises(SettingsError, match=r"sets reservation, which mailvet does not know of the adapter bigquery"):
        engine_of(credentials, SCHEMA)

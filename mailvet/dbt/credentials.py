"""From the credentials of a dbt profile to connections: the adapter makes them, so it signs in as it does for dbt.

Key pairs, OAuth, browsers, IAM roles and tokens are the adapter's to understand; SQLAlchemy's engine is given the
connections that come of it, in which the schema of the verdict table is the default one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mailvet import MailvetError, SettingsError
from mailvet.sdk import enter_schema, mask_text, source_error

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

__all__ = ["BESIDE", "ENGINES", "TAKEN", "engine_of"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAKEN: Mapping[str, frozenset[str]] = {
    "snowflake": _words(
        "database schema account user warehouse role password authenticator private_key private_key_path "
        "private_key_passphrase token oauth_client_id oauth_client_secret query_tag "
        "client_session_keep_alive host port proxy_host proxy_port protocol connect_retries "
        "connect_timeout retry_on_database_errors retry_all insecure_mode reuse_connections "
        "workload_identity_provider workload_identity_entra_resource platform_detection_timeout_seconds "
        "s3_stage_vpce_dns_name"
    ),
    "bigquery": _words(
        "database schema method execution_project quota_project location api_endpoint priority "
        "maximum_bytes_billed impersonate_service_account job_execution_timeout_seconds keyfile "
        "keyfile_json token refresh_token client_id client_secret token_uri workload_pool_provider_path "
        "service_account_impersonation_url token_endpoint scopes"
    ),
    "databricks": _words(
        "database schema host http_path token client_id client_secret azure_client_id azure_client_secret "
        "oauth_redirect_url oauth_scopes session_properties connection_parameters auth_type "
        "oidc_token_filepath"
    ),
    "redshift": _words(
        "database schema host port method user password cluster_id iam_profile autocreate db_groups "
        "connect_timeout role sslmode retries retry_all region autocommit access_key_id secret_access_key "
        "idc_region issuer_url idp_listen_port idc_client_display_name idp_response_timeout "
        "token_endpoint is_serverless serverless_work_group serverless_acct_id tcp_keepalive "
        "tcp_keepalive_idle tcp_keepalive_interval tcp_keepalive_count query_group"
    ),
    "sqlserver": _words(
        "database schema backend driver host UID PWD port windows_login trace_flag tenant_id client_id "
        "client_secret access_token access_token_expires_on authentication encrypt trust_cert retries "
        "login_timeout query_timeout xact_abort"
    ),
    "trino": _words(
        "database schema host port user password jwt_token impersonation_user client_tags roles cert "
        "http_scheme http_headers session_properties retries timezone suppress_cert_warning "
        "client_certificate client_private_key keytab principal krb5_config service_name mutual_authentication "
        "force_preemptive hostname_override sanitize_mutual_error_response delegate"
    ),
}
"""By adapter: fields of its credentials that hold for mailvet's connections."""

BESIDE: Mapping[str, Mapping[str, str]] = {
    "bigquery": {
        **dict.fromkeys(("job_retries", "job_retry_deadline_seconds", "job_creation_timeout_seconds"), "dbt's repeats"),
        "job_link_info_level_log": "dbt's log",
        **dict.fromkeys(
            ("compute_region", "dataproc_cluster_name", "gcs_bucket", "submission_method", "dataproc_batch"),
            "Python models",
        ),
    },
    "databricks": {
        "compute": "compute of single models",
        "query_tags": "dbt's marks",
        **dict.fromkeys(("connect_retries", "connect_timeout", "retry_all", "connect_max_idle"), "dbt's repeats"),
        "_credentials_manager": "made from the others",
    },
    "redshift": {
        **dict.fromkeys(
            ("ra3_node", "datasharing", "allow_concurrent_drops", "drop_without_cascade"), "dbt's statements"
        ),
    },
    "sqlserver": {"schema_authorization": "schemas that dbt makes"},
    "trino": {
        "prepared_statements_enabled": "dbt's statements",
        **dict.fromkeys(
            (
                "starburst_url",
                "starburst_client_id",
                "starburst_secret_key",
                "starburst_metadata_failure_strategy",
                "starburst_max_column_batch_size",
            ),
            "Starburst's catalogue of metadata",
        ),
    },
}
"""By adapter: fields that say nothing of a connection, and what they are about."""

_LONGEST_SECRET_SHOWN = 3
_SECRET = ("password", "passphrase", "token", "secret", "private_key", "keyfile_json", "pwd", "access_key")


def engine_of(credentials: Any, schema: str) -> Engine:
    """An engine whose connections the adapter's own credentials make.

    Args:
        credentials: of the adapter, as dbt has read them from the profile.
        schema: of the verdict table; names without a schema are of it.

    Raises:
        SettingsError: a field of the profile that mailvet does not know, or a package that is not installed.
    """
    kind = str(credentials.type)
    _check_fields(kind, credentials)
    chosen = copy.copy(credentials)
    chosen.schema = schema
    try:
        engine = ENGINES[kind](chosen)
    except ImportError as error:
        raise SettingsError(
            f"Verifying tables of dbt's adapter {kind} needs SQLAlchemy's dialect for it, which is not installed "
            f"({error.name or error}): pip install {_PACKAGES[kind]}"
        ) from None
    except Exception as error:
        if type(error).__name__ == "NoSuchModuleError":
            raise SettingsError(
                f"Verifying tables of dbt's adapter {kind} needs SQLAlchemy's dialect for it: "
                f"pip install {_PACKAGES[kind]}"
            ) from None
        raise
    enter_schema(engine, schema)
    return engine


def _check_fields(kind: str, credentials: Any) -> None:
    known = TAKEN[kind] | set(BESIDE.get(kind, {}))
    for field in dataclasses.fields(credentials):
        if field.name in known:
            continue
        value = getattr(credentials, field.name)
        if value not in (None, "", (), [], {}, False) and value != field.default:
            raise SettingsError(
                f"The dbt profile sets {field.name}, which mailvet does not know of the adapter {kind}, so it might "
                "sign in otherwise than dbt does. Leave it out in a target of its own (--target), or use the Airflow "
                "operator. Nothing was changed."
            )


def _signing_in(credentials: Any, connect: Callable[[], Any]) -> Callable[[], Any]:
    """The same as what makes connections, with errors that hold no secret."""

    def connected() -> Any:
        try:
            return connect()
        except MailvetError:
            raise
        except Exception as error:  # each adapter and each driver has classes of its own
            said = _without_secrets(credentials, str(error).strip().split("\n", 1)[0])
            raise source_error(
                f"The dbt profile gives no connection: {type(error).__name__}: {said}. `dbt debug` shows more. "
                "Nothing was changed.",
                error,
            ) from None

    return connected


def _without_secrets(credentials: Any, text: str) -> str:
    for field in dataclasses.fields(credentials):
        value = getattr(credentials, field.name)
        if any(word in field.name.lower() for word in _SECRET):
            values = value.values() if isinstance(value, dict) else [value]
            for each in values:
                if isinstance(each, str) and len(each) > _LONGEST_SECRET_SHOWN:
                    text = text.replace(each, "***")
    return mask_text(text)


def _opened(manager: Any, credentials: Any) -> Any:
    """The driver's connection, as the adapter makes it."""
    from dbt.adapters.contracts.connection import Connection

    return manager.open(Connection(type=credentials.type, name="mailvet", credentials=credentials)).handle


def _engine(url: str, credentials: Any, connect: Callable[[], Any], **parts: Any) -> Engine:
    import sqlalchemy as sa

    return sa.create_engine(
        sa.URL.create(url, **parts),
        creator=_signing_in(credentials, connect),
        poolclass=sa.pool.NullPool,
        hide_parameters=True,  # no error may quote rows
    )


# -------------------------------------------------------------------- one for each adapter


def _snowflake(credentials: Any) -> Engine:
    from dbt.adapters.snowflake.connections import SnowflakeConnectionManager

    def connect() -> Any:
        connection = _opened(SnowflakeConnectionManager, credentials)
        connection.autocommit(False)  # several statements hold together
        return connection

    database = f"{credentials.database}/{credentials.schema}"
    return _engine("snowflake", credentials, connect, host=credentials.account, database=database)


def _redshift(credentials: Any) -> Engine:
    from dbt.adapters.redshift.connections import RedshiftConnectionManager

    def connect() -> Any:
        connection = _opened(RedshiftConnectionManager, credentials)
        connection.autocommit = False
        return connection

    return _engine(
        "redshift+redshift_connector",
        credentials,
        connect,
        host=credentials.host,
        port=int(credentials.port or 5439),
        database=credentials.database,
    )


def _sqlserver(credentials: Any) -> Engine:
    from dbt.adapters.sqlserver.sqlserver_connections import SQLServerConnectionManager

    if str(getattr(credentials.backend, "value", credentials.backend)) != "pyodbc":
        raise SettingsError(
            f"The dbt profile sets backend: {credentials.backend}, and mailvet reaches SQL Server through pyodbc. Set "
            "backend: pyodbc in a target of its own (--target). Nothing was changed."
        )

    def connect() -> Any:
        connection = _opened(SQLServerConnectionManager, credentials)
        connection.autocommit = False
        return connection

    return _engine("mssql+pyodbc", credentials, connect, host=credentials.host, database=credentials.database)


def _databricks(credentials: Any) -> Engine:
    from databricks import sql
    from dbt.adapters.databricks.handle import SqlUtils

    def connect() -> Any:
        arguments = SqlUtils.prepare_connection_arguments(
            credentials, credentials.authenticate(), credentials.http_path
        )
        return sql.connect(**{**arguments, "use_inline_params": False})  # as the dialect writes its parameters

    import sqlalchemy as sa

    query = {"http_path": credentials.http_path, "catalog": credentials.database, "schema": credentials.schema}
    url = sa.URL.create("databricks", host=credentials.host, query=query)
    engine = sa.create_engine(
        url, creator=_signing_in(credentials, connect), poolclass=sa.pool.NullPool, hide_parameters=True
    )
    engine.dialect.create_connect_args(url)  # where the dialect learns catalog and schema
    return engine


def _trino(credentials: Any) -> Engine:
    import trino
    import trino.sqlalchemy  # its dialect comes with the extra

    def connect() -> Any:
        return trino.dbapi.connect(
            host=credentials.host,
            port=credentials.port,
            user=getattr(credentials, "impersonation_user", None) or credentials.user,
            client_tags=credentials.client_tags,
            roles=credentials.roles,
            catalog=credentials.database,
            schema=credentials.schema,
            http_scheme=credentials.http_scheme.value,
            http_headers=credentials.http_headers,
            session_properties=credentials.session_properties,
            auth=credentials.trino_auth(),
            max_attempts=credentials.retries,
            isolation_level=trino.transaction.IsolationLevel.AUTOCOMMIT,
            source="mailvet",
            verify=True if credentials.cert is None else credentials.cert,
            timezone=credentials.timezone,
        )

    database = f"{credentials.database}/{credentials.schema}"
    return _engine("trino", credentials, connect, host=credentials.host, port=int(credentials.port), database=database)


def _bigquery(credentials: Any) -> Engine:
    import sqlalchemy as sa
    from dbt.adapters.bigquery.clients import create_bigquery_client
    from google.cloud.bigquery import QueryJobConfig

    client = _signing_in(credentials, lambda: create_bigquery_client(credentials))()
    config = QueryJobConfig(default_dataset=f"{credentials.database}.{credentials.schema}")
    if credentials.priority is not None:
        config.priority = str(getattr(credentials.priority, "value", credentials.priority)).upper()
    if credentials.maximum_bytes_billed is not None:
        config.maximum_bytes_billed = credentials.maximum_bytes_billed
    if credentials.job_execution_timeout_seconds is not None:
        config.job_timeout_ms = credentials.job_execution_timeout_seconds * 1000
    client.default_query_job_config = config
    url = sa.URL.create(
        "bigquery",
        host=credentials.database,
        database=credentials.schema,
        query={
            "user_supplied_client": "true",
            **({"location": credentials.location} if credentials.location is not None else {}),
        },
    )
    return sa.create_engine(url, connect_args={"client": client}, poolclass=sa.pool.NullPool, hide_parameters=True)


ENGINES: Mapping[str, Callable[[Any], Engine]] = {
    "snowflake": _snowflake,
    "redshift": _redshift,
    "sqlserver": _sqlserver,
    "databricks": _databricks,
    "trino": _trino,
    "bigquery": _bigquery,
}
"""By dbt's name of the adapter. Those of DuckDB and PostgreSQL are reached by drivers of mailvet's own."""

_PACKAGES: Mapping[str, str] = {
    "snowflake": "snowflake-sqlalchemy",
    "redshift": "sqlalchemy-redshift",
    "sqlserver": "pyodbc sqlalchemy",
    "databricks": "databricks-sqlalchemy",
    "trino": "'trino[sqlalchemy]'",
    "bigquery": "sqlalchemy-bigquery",
}

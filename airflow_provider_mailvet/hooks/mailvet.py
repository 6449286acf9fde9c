"""The connection type `mailvet`: who this deployment says it is to mail servers, how deep and how fast it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_mailvet.arguments import argument_words
from airflow_provider_mailvet.compat import AirflowNotFoundException, BaseHook

if TYPE_CHECKING:
    from mailvet import Settings

__all__ = ["MailvetHook"]

_FIELDS = {
    "depth": "depth",
    "policy": "policy",
    "nameservers": "dns.nameservers",
    "dns_port": "dns.port",
    "connections": "pacing.connections",
    "connections_per_operator": "pacing.connections_per_operator",
    "private_networks": "smtp.allow_private_networks",
    "smtp_port": "smtp.port",
    "proxy": "smtp.proxy",
}
"""Fields of the connection, and the settings they are."""

_LISTS = ("nameservers", "private_networks")


class MailvetHook(BaseHook):
    """Settings from an Airflow connection of the type `mailvet`.

    A field that is left empty is as the settings file says.

    The default connection need not exist: then the settings are those of the worker's environment (`MAILVET_*`),
    which is all that the depths offline and dns need. A connection named otherwise has to be there.

    :param mailvet_conn_id: the connection.
    """

    conn_name_attr = "mailvet_conn_id"
    default_conn_name = "mailvet_default"
    conn_type = "mailvet"
    hook_name = "mailvet"

    def __init__(self, mailvet_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mailvet_conn_id = mailvet_conn_id

    def get_conn(self) -> Settings:
        """The settings: there is nothing to connect to."""
        return self.settings()

    def settings(self, **arguments: Any) -> Settings:
        """Every setting: `arguments` before the connection, before `MAILVET_*`, before the connection's `config` file.

        Raises:
            SettingsError: a value does not fit.
            AirflowNotFoundException: there is no such connection, and it is not the default one.
        """
        from mailvet import Settings

        given, config = self._fields()
        for name, value in arguments.items():
            if isinstance(value, dict):
                given[name] = given.get(name, {}) | value
            elif value is not None:
                given[name] = value
        return Settings.load(config, **given)

    def _fields(self) -> tuple[dict[str, Any], str | None]:
        """The connection as arguments for `Settings.load`, and the path of its file."""
        try:
            connection = self.get_connection(self.mailvet_conn_id)
        except AirflowNotFoundException:
            if self.mailvet_conn_id != self.default_conn_name:
                raise
            return {}, None
        extra = connection.extra_dejson
        given: dict[str, Any] = {}
        for field, setting in _FIELDS.items():
            value = extra.get(field)
            if not _is_empty(value):  # an empty field is as the settings file says
                _put(given, setting, _listed(value) if field in _LISTS else value)
        for setting, value in (("smtp.hello_name", connection.host), ("smtp.mail_from", connection.login)):
            if not _is_empty(value):
                _put(given, setting, value)
        config = extra.get("config")
        return given, None if _is_empty(config) else str(config).strip()

    def test_connection(self) -> tuple[bool, str]:
        """Run the checks of `mailvet doctor` with these settings and say in a sentence what they found."""
        from mailvet import MailvetError
        from mailvet.doctor import examine, summary

        try:
            checks = examine(self.settings())
        except MailvetError as error:
            return False, error.worded(argument_words)
        return not any(check.state == "fail" for check in checks), summary(checks)


def _is_empty(value: Any) -> bool:
    return value is None or not str(value).strip()


def _put(target: dict[str, Any], path: str, value: Any) -> None:
    section, dot, name = path.partition(".")
    if dot:
        target.setdefault(section, {})[name] = value
    else:
        target[section] = value


def _listed(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    return [text for part in parts if (text := str(part).strip())]

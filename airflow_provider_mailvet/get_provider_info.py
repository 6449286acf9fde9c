"""What Airflow knows of this provider without importing it.

Airflow reads this before its own configuration is ready, so it imports nothing but the standard library.
"""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

_NAME = "mailvet"
_PACKAGE = "airflow_provider_mailvet"


def get_provider_info() -> dict[str, Any]:
    """The provider as data, in the shape of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "mailvet",  # has to be the name of the distribution
        "name": "mailvet",
        "description": "Verify the e-mail addresses of a table and gate what is sent: send, re-verify or do not send.",
        "integrations": [{"integration-name": _NAME, "tags": ["service"]}],
        "operators": [
            {
                "integration-name": _NAME,
                "python-modules": [
                    f"{_PACKAGE}.operators.{module}" for module in ("verify", "check", "export", "import_events")
                ],
            }
        ],
        "hooks": [{"integration-name": _NAME, "python-modules": [f"{_PACKAGE}.hooks.mailvet"]}],
        "triggers": [{"integration-name": _NAME, "python-modules": [f"{_PACKAGE}.triggers.greylisting"]}],
        "extra-links": [f"{_PACKAGE}.links.{link}" for link in ("VerificationReportLink", "GateReportLink")],
        "plugins": [{"name": "mailvet", "plugin-class": f"{_PACKAGE}.plugin.MailvetPlugin"}],
        "connection-types": [_CONNECTION],
    }


_EMPTY = {"None": "as the settings file says"}
"""
How the form shows that a field is left empty. No field has a default: Airflow's form stores defaults with whatever else
is filled in, and they would override the settings file.
"""

_CONNECTION: dict[str, Any] = {
    "connection-type": "mailvet",
    "hook-class-name": f"{_PACKAGE}.hooks.mailvet.MailvetHook",
    "hook-name": "mailvet",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "password"],
        "relabeling": {"host": "Hello name", "login": "Envelope sender"},
        "placeholders": {"host": "probe.example.com", "login": "verify@example.com"},
    },
    "conn-fields": {
        "depth": {
            "label": "Depth",
            "description": "How far to go unless a task says otherwise: lists only, DNS too, or mail servers (smtp).",
            "schema": {"type": ["string", "null"], "enum": [None, "offline", "dns", "smtp"], "values_display": _EMPTY},
        },
        "policy": {
            "label": "Policy",
            "description": "What the mail is for, unless a task says otherwise; also the name of a policy of your own.",
            "schema": {"type": ["string", "null"], "examples": ["marketing", "transactional", "signup"]},
        },
        "nameservers": {
            "label": "Resolvers",
            "description": "Addresses of the DNS resolvers, separated by commas; empty: the worker's own.",
            "schema": {"type": ["string", "null"]},
        },
        "dns_port": {
            "label": "Port of the resolvers",
            "description": "53 unless the settings file says otherwise.",
            "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
        },
        "connections_per_operator": {
            "label": "Connections per operator",
            "description": "Pace: never more connections at once to the mail servers of one owner.",
            "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 200},
        },
        "connections": {
            "label": "Connections in all",
            "description": "Pace: open connections over all operators.",
            "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 5000},
        },
        "private_networks": {
            "label": "Private networks",
            "description": "For a lab only: networks in private space that may be contacted, such as 127.0.0.0/8.",
            "schema": {"type": ["string", "null"]},
        },
        "smtp_port": {
            "label": "Port of the mail servers",
            "description": "25 everywhere but in a lab.",
            "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
        },
        "proxy": {
            "label": "SOCKS5 proxy",
            "description": "socks5://user:password@host:port, where port 25 is closed on the workers.",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
        "config": {
            "label": "Settings file",
            "description": "Path of a mailvet.toml on the workers. Only fields that are filled in override it.",
            "schema": {"type": ["string", "null"]},
        },
    },
}

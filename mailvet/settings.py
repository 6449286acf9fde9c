"""Every option, once: `mailvet.toml` < environment `MAILVET_*` < arguments.

Each field of the classes below is one key of `mailvet.toml`; nested ones sit in a table of the class's name
(`[smtp] port = 25`) and are reached from the environment as `MAILVET_SMTP__PORT`.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as _SourceFault

from mailvet.errors import SettingsError, argument
from mailvet.policies import AnyPolicy, OwnPolicy, own_policy
from mailvet.privacy import mask_addresses
from mailvet.service_settings import Service
from mailvet.setting_types import DURATION_SECONDS, Duration, Seconds, Section, parse_duration, parse_share
from mailvet.vocabulary import Depth, Policy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "DURATION_SECONDS",
    "EVENT_COLUMNS",
    "Dns",
    "Export",
    "History",
    "Lists",
    "Pacing",
    "Retry",
    "Service",
    "Settings",
    "Smtp",
    "Store",
    "Suspicion",
    "parse_duration",
    "parse_share",
]

log = logging.getLogger(__name__)

EVENT_COLUMNS = (
    "email", "mailbox_key", "email_key", "event", "occurred_at", "bounce_class", "machine", "topic", "echo",
)  # fmt: skip
"""The columns of a table of events; one of the first three is enough to say whose they are."""


class Dns(Section):
    """How mail routes are looked up."""

    nameservers: tuple[str, ...] = ()
    """Addresses of the resolvers; empty means those of the system."""
    port: int = Field(53, ge=1, le=65535)
    timeout: Seconds = 3.0
    """Seconds for one attempt at one name server."""
    lifetime: Seconds = 9.0
    """Seconds for one name, all attempts together."""
    cache_ttl: Duration = timedelta(hours=6)
    """Longest time a route is remembered, whatever its own TTL."""
    concurrency: int = Field(256, ge=1, le=10_000)
    """Lookups under way at once."""
    most_hosts: int = Field(5, ge=1, le=50)
    """Mail servers of one domain that are looked up and contacted, of each address family, best preference first."""
    controls: tuple[str, ...] | None = Field(None, max_length=12)
    """
    Domains whose mail servers every resolver must find before it is believed that others do not exist. Default: five
    mailbox providers; `[]` believes any resolver.
    """

    @field_validator("controls")
    @classmethod
    def _controls_are_domains(cls, controls: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in controls or ():
            if not re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", name):
                raise ValueError(f"{name!r} is no domain; write for example 'example.com', in Punycode where needed")
        return None if controls is None else tuple(name.rstrip(".").lower() for name in controls)

    @field_validator("nameservers")
    @classmethod
    def _servers_are_addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            ipaddress.ip_address(server)
        return servers


class Smtp(Section):
    """The conversation with a mail server. It never sends a message."""

    port: int = Field(25, ge=1, le=65535)
    hello_name: str | None = None
    """Host name to say in EHLO: a real, fully qualified name that resolves. Default: this host's own."""
    mail_from: str = ""
    """Envelope sender; empty is the null sender `<>`. A real address that takes bounces is better received."""
    connect_timeout: Seconds = 10.0
    command_timeout: Seconds = 45.0
    """Seconds for the greeting and for each reply."""
    address_budget: Seconds = 120.0
    """Seconds for one address, all servers and retries of a conversation together."""
    starttls: Literal["when_offered", "when_required", "never"] = "when_offered"
    allow_private_networks: bool | tuple[str, ...] = False
    """
    For a lab only: contact servers in private space (`true`) or in the networks named (`["127.0.0.0/8"]`), and accept
    reserved names such as `.test`.
    """
    source_addresses: tuple[str, ...] = ()
    """Local addresses to connect from; one recipient domain always uses the same one."""
    proxy: str | None = None
    """SOCKS5 proxy, `socks5://user:password@host:port`."""

    @field_validator("hello_name")
    @classmethod
    def _hello_is_a_host_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+", name):
            raise ValueError(f"{name!r} is no fully qualified host name; write for example 'probe.example.com'")
        return name

    @field_validator("allow_private_networks")
    @classmethod
    def _networks(cls, value: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
        for network in value if isinstance(value, tuple) else ():
            ipaddress.ip_network(network)
        return value

    @field_validator("source_addresses")
    @classmethod
    def _sources_are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            ipaddress.ip_address(address)
        return addresses

    @field_validator("proxy")
    @classmethod
    def _proxy_is_socks(cls, proxy: str | None) -> str | None:
        # The value may hold a password, so it is not repeated.
        if proxy is not None and not re.fullmatch(r"socks5h?://([^@/\s]+@)?[^@/\s]+:\d{1,5}/?", proxy):
            raise ValueError("this is no SOCKS5 proxy; write for example 'socks5://proxy.example.com:1080'")
        return proxy

    @field_validator("mail_from")
    @classmethod
    def _sender_is_an_address(cls, sender: str) -> str:
        if sender and not re.fullmatch(r"[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,253}", sender):
            raise ValueError("mail_from is no plain address; write one such as 'verify@example.com', or ''")
        return sender


class Pacing(Section):
    """How fast operators may be asked. An operator is the owner of the mail servers."""

    connections: int = Field(100, ge=1, le=5000)
    """Open connections over all operators."""
    connections_per_operator: int = Field(5, ge=1, le=200)
    """Never more than this many connections to one operator, whatever it would bear."""
    recipients_per_session: int = Field(50, ge=1)
    """Recipients asked in one conversation, unless the operator allows fewer."""
    errors_per_session: int = Field(19, ge=1)
    """
    Most refusals in one conversation. A run starts with 9 and goes on only where the server neither slows down nor
    complains; Postfix slows down at 10 and hangs up at 20.
    """
    daily_limits: dict[str, int] = Field(default_factory=dict)
    """Most recipients asked in a run by operator name; "default" holds for all others."""
    quiet_hours: str | None = None
    """UTC hours in which no server is asked, as "22-06"."""
    shared: bool = True
    """Count the connections to a server address over all processes of this machine and user."""
    shared_folder: Path | None = None
    """Of the lock files by which they count. Default: in the user's state directory."""

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, value: str | None) -> str | None:
        if value is not None:
            match = re.fullmatch(r"(\d{1,2})-(\d{1,2})", value)
            if not match or int(match[1]) > 23 or int(match[2]) > 23 or match[1] == match[2]:
                raise ValueError(f"{value!r} is no span of hours; write for example '22-06'")
        return value


class Retry(Section):
    """When to ask again."""

    after_greylisting: tuple[Duration, ...] = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=4))
    """After the first, second, ... greylisting reply; a run stays for these only as long as `--wait` allows."""
    after_failure: Duration = timedelta(seconds=30)
    """
    After a connection that failed or a reply that did not come: the earliest second try. It takes place within
    `--wait`, else in the next run; without one, the failure does not count.
    """
    outage_after: Duration = timedelta(minutes=1)
    """
    Our network is down when for so long no connection succeeds to any of at least five servers that replied earlier.
    """


class Lists(Section):
    """Your own lists: addresses, domains, or paths of text files with one entry a line."""

    allow: tuple[str, ...] = ()
    """Never called disposable, role or typo, whatever a public list says."""
    deny: tuple[str, ...] = ()
    """Never to be sent to, unless allowed."""
    suppress: tuple[str, ...] = ()
    """Unsubscribed and complained: never to be sent to; stronger than `allow`."""
    extra_disposable: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    """Spam traps that you know of, by address or domain: `suspected_trap`, unless allowed."""


class History(Section):
    """What happened to your own mail: a table or file of events, read by one join."""

    events: str | None = None
    """
    Table in the same database, or a file: columns `email`, `event` (delivered, hard_bounce, soft_bounce, open, click,
    unsubscribe, complaint, ...) and `occurred_at`; where they are there `bounce_class`, `machine`, `topic` and `echo`.
    `mailvet_events` is what `mailvet events import` writes.
    """
    columns: dict[str, str] = Field(default_factory=dict)
    """Other names of these columns: `{email = "recipient", occurred_at = "ts"}`."""
    topic: str | None = None
    """What the mail is about: an unsubscribe from this topic counts too, one from another topic never does."""
    delivered_for: Duration = timedelta(days=90)
    """After a delivery an address counts as recently delivered for so long."""
    engaged_for: Duration = timedelta(days=180)
    """After a person opened, clicked or replied, an address counts as recently engaged for so long."""
    bounce_delay: Duration = timedelta(hours=48)
    """A delivery counts only after so long without a bounce, since a server may accept first and bounce later."""
    soft_bounces: int = Field(3, ge=1)
    """So many soft bounces without a delivery since make a repeated soft bounce."""
    soft_bounce_window: Duration = timedelta(days=14)
    """The span within which they are counted."""
    inactive_deliveries: int = Field(6, ge=1)
    """So many deliveries without a sign of life make an inactive address."""
    inactive_after: Duration = timedelta(days=180)
    """The span within which they are counted, and for which there has to have been mail at all."""
    keep_days: int | None = Field(None, ge=1)
    """Delete opens and clicks older than so many days from `mailvet_events`, after each import and each run."""

    @field_validator("columns")
    @classmethod
    def _columns_are_known(cls, columns: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(columns.keys() - set(EVENT_COLUMNS)):
            raise ValueError(f"{', '.join(unknown)}: no column of events; write one of {', '.join(EVENT_COLUMNS)}")
        return columns

    @classmethod
    def of(cls, events: str | History | None) -> History | None:
        """The settings of a table of events; None where there is none."""
        if isinstance(events, str):
            return cls(events=events)
        return events if events is not None and events.events is not None else None


class Suspicion(Section):
    """Signals over the whole table: series, bursts, other spellings of one mailbox."""

    whole_table: bool = True
    """Look for them in each run; they cost a few queries over the table."""
    signed_up: str | None = None
    """Column of the source with the time of each sign-up; without it no bursts are looked for."""
    burst_window: Duration = timedelta(hours=1)
    """Span within which sign-ups of one domain are counted."""

    @field_validator("burst_window")
    @classmethod
    def _window_has_halves(cls, window: timedelta) -> timedelta:
        if window < timedelta(seconds=2) or window % timedelta(seconds=2):
            raise ValueError("burst_window must be an even number of seconds; write for example '1h'")
        return window


class Doctor(Section):
    """What `mailvet doctor` looks at beyond this machine and your own domain."""

    block_lists: tuple[str, ...] = ()
    """
    Zones of DNS block lists to look our own address up in, such as "zen.spamhaus.org". None by default: their
    operators ask for a licence or a data key above small use, and refuse public resolvers.
    """

    @field_validator("block_lists")
    @classmethod
    def _zones_are_names(cls, zones: tuple[str, ...]) -> tuple[str, ...]:
        for zone in zones:
            if not re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})+\.?", zone):
                raise ValueError(f"{zone!r} is no DNS zone; write for example 'zen.spamhaus.org'")
        return zones


class Store(Section):
    """Where verdicts are kept."""

    path: Path | None = None
    """DuckDB file of verdicts on files. Default: `mailvet.duckdb` in the user's data directory."""
    store_addresses: bool = True
    """Keep the clear address beside its key; switched off, joins still work by key."""
    keep_days: int | None = Field(None, ge=1)
    """Forget verdicts not renewed for so many days."""
    prefix: str = Field("mailvet_", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,30}$")
    """Start of the names of the status columns."""
    save_every: Duration = timedelta(seconds=30)
    """
    Longest time between two saves to a database other than DuckDB, which gets results every second. Until then they are
    in the journal on the worker's disk; make it short where that disk does not last.
    """
    journal: Path | None = None
    """Folder of the journal of results that are not saved yet. Default: one of this user's among temporary files."""
    wait_for_database: Duration = timedelta(minutes=2)
    """How long a run waits for a database that is locked, restarted or failed over, before it ends with an error."""


_OF_EXAMPLES = ("MAILVET_DBT_PATH", "MAILVET_EXAMPLE_", "MAILVET_TEST_")
"""Starts of variables that the examples and the dbt package's own tests read; they are no settings, and no mistakes."""


class Privacy(Section):
    """Traces of people who may not be in the table any more."""

    key: SecretStr | None = Field(None, min_length=16)
    """
    A secret, best given as MAILVET_PRIVACY__KEY. With it, such traces are HMACs that no guess can be compared with; the
    same on all machines that share a store, and kept as long as the store is. Without it, they are keys as any other.
    """


class Outputs(Section):
    """Files that are written: results, lists, reports."""

    mode: str | None = Field(None, pattern=r"^0?[0-7]{3}$")
    """
    Permissions of new files, in octal digits, for a next step that runs as another user. Default: as private as the
    source, and 0600 where that is no file. A file that is replaced keeps its own.
    """

    @property
    def permissions(self) -> int | None:
        """The same as a number; None where the source decides."""
        return None if self.mode is None else int(self.mode, 8)


class Export(Section):
    """What is handed over to one tool beside the address: `[exports.mailchimp.columns]`."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Column of the tool -> column of the table: `{"First Name" = "first_name"}`."""


class Settings(BaseSettings):
    """Every setting. Build it with `Settings.load`, which turns mistakes into a clear `SettingsError`."""

    model_config = SettingsConfigDict(
        env_prefix="MAILVET_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    depth: Depth = Depth.smtp
    policy: Policy | str = Field(Policy.marketing, union_mode="left_to_right")
    """What the mail is for: marketing, transactional, signup, or the name of a policy of `policies`."""
    policies: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Policies of one's own: `based_on`, and a line for each reason that is treated otherwise (`mailvet.policies`)."""
    dns: Dns = Field(default_factory=Dns)
    smtp: Smtp = Field(default_factory=Smtp)
    pacing: Pacing = Field(default_factory=Pacing)
    retry: Retry = Field(default_factory=Retry)
    lists: Lists = Field(default_factory=Lists)
    history: History = Field(default_factory=History)
    suspicion: Suspicion = Field(default_factory=Suspicion)
    doctor: Doctor = Field(default_factory=Doctor)
    store: Store = Field(default_factory=Store)
    privacy: Privacy = Field(default_factory=Privacy)
    output: Outputs = Field(default_factory=Outputs)
    exports: dict[str, Export] = Field(default_factory=dict)
    """By the name of the tool (`mailvet export --to NAME`)."""
    service: Service = Field(default_factory=Service)

    @model_validator(mode="after")
    def _policies_can_be_read(self) -> Settings:
        for name in self.policies:
            self._own_policy(name)
        if str(self.policy) not in {*map(str, Policy), *self.policies}:
            raise ValueError(
                f"{str(self.policy)!r} is no policy; there are: {', '.join([*map(str, Policy), *self.policies])}. "
                "Write one of your own under [policies.NAME]"
            )
        return self

    def _own_policy(self, name: str) -> OwnPolicy:
        try:
            return own_policy(name, self.policies[name])
        except ValueError as error:
            raise ValueError(f"policies.{name}: {error}") from None

    @property
    def chosen_policy(self) -> AnyPolicy:
        """The policy itself."""
        return self.policy if isinstance(self.policy, Policy) else self._own_policy(self.policy)

    def with_policy(self, name: str | None) -> Settings:
        """The same settings with another policy; None changes nothing.

        Raises:
            SettingsError: there is no such policy.
        """
        if name is None:
            return self
        known = [*map(str, Policy), *self.policies]
        if name not in known:
            raise SettingsError(f"There is no policy {name}; there are: {', '.join(known)}.")
        return self.model_copy(update={"policy": Policy(name) if name in Policy.__members__ else name})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments come before the environment, which comes before the file (the lowest source is in `load`)."""
        return init_settings, env_settings, _FromFile(settings_cls)

    @classmethod
    def load(cls, path: str | Path | None = None, **arguments: Any) -> Settings:
        """Settings from a file, the environment and arguments.

        Args:
            path: a `mailvet.toml`; None reads no file.
            arguments: fields by name, nested ones as mappings: `depth="dns", smtp={"port": 2525}`.

        Raises:
            SettingsError: the file is missing or no TOML, a key is unknown, or a value does not fit.
        """
        for name in os.environ:
            known = name[8:].split("__")[0].lower() in cls.model_fields or name.startswith(_OF_EXAMPLES)
            if name.startswith("MAILVET_") and not known:
                log.warning("the environment variable %s is no setting of mailvet and was ignored", name)
        token = _document.set(_read(Path(path)) if path is not None else {})
        try:
            return cls(**{name: value for name, value in arguments.items() if value is not None})
        except ValidationError as error:
            raise SettingsError(_explain(error, path)) from None
        except _SourceFault as error:
            raise SettingsError(
                f"An environment variable MAILVET_* cannot be used: {error}. Write lists and tables as JSON, for "
                "example MAILVET_DNS__NAMESERVERS='[\"192.0.2.1\"]'."
            ) from None
        finally:
            _document.reset(token)

    @property
    def hello_name(self) -> str:
        """The name said in EHLO: the configured one, else this host's own."""
        return self.smtp.hello_name or socket.getfqdn()


_LIST_ENDINGS = (".txt", ".csv", ".tsv", ".list", ".lst")

_document: ContextVar[Mapping[str, Any]] = ContextVar("_document", default={})  # noqa: B039  (never changed)


class _FromFile(PydanticBaseSettingsSource):
    """The lowest source: the document that `Settings.load` has read."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return _document.get().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(_document.get())


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(
            f"There is no configuration file {path}. Check the path given with {argument('config')}."
        ) from None
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The configuration file {path} is not UTF-8 text. Save it again as UTF-8.") from None
    except RecursionError:
        raise SettingsError(
            f"The configuration file {path} is no valid TOML: its brackets are nested too deeply."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The configuration file {path} is no valid TOML: {mask_addresses(str(error))}.") from None
    return _beside(document, path.parent)


def _beside(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a file are relative to that file."""
    lists = document.get("lists")
    if isinstance(lists, dict):
        for name, entries in lists.items():
            if isinstance(entries, list):
                lists[name] = [_path(entry, folder) for entry in entries]
    history, store = document.get("history"), document.get("store")
    if isinstance(history, dict) and "events" in history:
        history["events"] = _path(history["events"], folder)
    pacing = document.get("pacing")
    if isinstance(pacing, dict) and isinstance(pacing.get("shared_folder"), str):
        pacing["shared_folder"] = str(folder / Path(pacing["shared_folder"]).expanduser())
    for name in ("path", "journal"):
        if isinstance(store, dict) and isinstance(store.get(name), str):
            store[name] = str(folder / Path(store[name]).expanduser())
    service = document.get("service")
    for name in ("database", "state"):
        if isinstance(service, dict) and isinstance(service.get(name), str) and "://" not in service[name]:
            service[name] = str(folder / Path(service[name]).expanduser())
    return document


def _path(entry: Any, folder: Path) -> Any:
    """The entry as a path from the configuration file's folder, if it is one and not an address or a table."""
    if not isinstance(entry, str):
        return entry
    beside = folder / Path(entry).expanduser()
    is_path = "/" in entry or entry.lower().endswith(_LIST_ENDINGS) or beside.is_file()
    return str(beside) if is_path else entry


def _explain(error: ValidationError, path: str | Path | None) -> str:
    where = f" (configuration file {path}, environment MAILVET_*, or arguments)" if path else ""
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        if problem["type"] == "extra_forbidden":
            owner = _section(problem["loc"][:-1])
            known = ", ".join(sorted(owner.model_fields)) if owner else ""
            parts.append(f"{key} is no setting; known here: {known}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            parts.append(f"{key}: {message}")
    return mask_addresses(f"The settings cannot be used{where}: " + "; ".join(parts) + ".")


def _section(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] = Settings
    for part in location:
        inner = model.model_fields.get(str(part))
        annotation = inner.annotation if inner else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    return model

"""The plain data of a mail world: servers, domains, mailboxes, and what is really so about an address.

Domain names are kept in lower-case A-label form (RFC 5890), addresses with a lower-case local part.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import idna

from mailvet.dns.trust import control_names
from mailvet.errors import SettingsError
from mailvet.lab.profiles import profile_named
from mailvet.lab.server_profiles import STATES, ServerProfile, State

__all__ = [
    "BEHAVIOURS",
    "CONTROL_NAMES",
    "CONTROL_SERVER",
    "HELLO_NAME",
    "MAIL_FROM",
    "Behaviour",
    "Domain",
    "Host",
    "Mailbox",
    "Truth",
    "World",
    "a_label",
]

HELLO_NAME = "probe.mailvet-lab.test"
"""The name under which a prober greets the lab's servers; the lab's DNS knows it forwards and backwards."""

MAIL_FROM = f"verify@{HELLO_NAME}"

CONTROL_NAMES = control_names()
"""
Domains by which a prober sees that a resolver finds what exists. The lab's DNS has an MX record for each of
them, also where the world says nothing about it.
"""

CONTROL_SERVER = ("mx.control.mailvet-lab.test", "127.77.255.254")
"""The mail server in those MX records, by name and address. It refuses connections."""

Behaviour = Literal[
    "answers",
    "nxdomain",
    "servfail",
    "refused",
    "dropped",
    "lame",
    "truncated",
    "badvers",
    "referral",
    "alias_loop",
    "truncated_for_good",
    "mx_nxdomain",
    "nxdomain_with_records",
]
"""How the name servers of a domain behave, see `BEHAVIOURS`."""

BEHAVIOURS: Mapping[Behaviour, str] = MappingProxyType(
    {
        "answers": "its records",
        "nxdomain": "NXDOMAIN",
        "servfail": "SERVFAIL",
        "refused": "REFUSED",
        "dropped": "none",
        "lame": "a referral to the root",
        "truncated": "over UDP truncated and without records, over TCP in full",
        "badvers": "the extended code BADVERS, without records",
        "referral": "the NS records of the domain itself, as authority",
        "alias_loop": "two CNAME records that lead to each other",
        "truncated_for_good": "over UDP truncated and without records, over TCP none",
        "mx_nxdomain": "addresses, but NXDOMAIN for every other type",
        "nxdomain_with_records": "its records, with NXDOMAIN",
    }
)
"""What each behaviour of a domain's name servers responds with."""

_FAILING = frozenset(BEHAVIOURS) - {"answers", "nxdomain", "truncated", "mx_nxdomain"}
"""Behaviours from which nothing can be learnt of a domain."""

_SLOW = 2.0
"""Seconds of delay per reply from which a server counts as a tarpit: the command_timeout of `Lab.config`."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def a_label(name: str) -> str:
    """A host or domain name in lower-case A-label form, without the final dot.

    Raises SettingsError when it cannot be.
    """
    text = name.strip().rstrip(".").lower()
    if text.isascii():
        return text
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise SettingsError(f"not a domain name: {name!r} ({error})") from None


def _ancestors(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


@dataclass(frozen=True, slots=True)
class Host:
    """One mail server: its name, the loopback address it listens on and its profile."""

    name: str
    profile: ServerProfile
    address: str
    ipv6: bool = False
    """Listens on ::1 as well and has an AAAA record. One host per world can."""
    ipv4: bool = True


@dataclass(frozen=True, slots=True)
class Domain:
    """One mail domain as DNS shows it.

    `mx` is (preference, target) pairs; `(0, ".")` is a null MX (RFC 7505).
    """

    name: str
    mx: tuple[tuple[int, str], ...] = ()
    cname: str | None = None
    dns: Behaviour = "answers"
    accepts_all: bool = False
    refuses: str | None = None
    """The reply to every recipient, where its server refuses all of this domain alone."""
    disposable: bool = False
    misspells: str | None = None
    """The provider's domain that people meant."""
    ignores_dots: bool = False
    """a.n.n@ is ann@, as at Gmail."""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox and the person behind it. `address` has a lower-case local part and an A-label domain."""

    address: str
    state: State = "live"
    name: str = ""
    language: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really so about an address; no prober sees this."""

    kind: str
    """
    live, unknown_mailbox, disabled, moved, restricted, full, throttled, temporary, forwarded (the mailbox as
    its server would say); accept_all, unverifiable, gateway (the server accepts every recipient); blocked,
    relay_denied, tarpit, unreachable, no_smtputf8 (it does not talk about the mailbox); greylisted_live,
    greylisted_dead; harvest_guard (it may lie); ambiguous_live, ambiguous_dead (its replies cannot settle it);
    dead_domain, no_mail, null_mx, unroutable, dns_failing (DNS);
    disposable, typo, syntax.
    """
    exists: bool | None
    """Whether a mailbox is behind the address. None: not even the world can tell (a catch-all)."""
    live: bool
    """Whether mail from an ordinary sender would be delivered to that mailbox today."""
    dead_and_server_answers: bool
    """There is no mailbox, and the domain's mail server says so to a client that asks properly."""
    server_tells: bool
    """The domain's mail server tells living mailboxes from unknown ones to a client that asks properly."""
    expected: tuple[str, ...]
    """The statuses that are right for a prober who sees only DNS and SMTP."""


_EXPECTED: dict[str, tuple[str, ...]] = {
    "live": ("deliverable",),
    "forwarded": ("deliverable", "unknown"),
    "unknown_mailbox": ("undeliverable",),
    "disabled": ("undeliverable",),
    "moved": ("undeliverable",),
    "restricted": ("undeliverable",),
    "full": ("risky",),
    "throttled": ("risky",),
    "temporary": ("unknown",),
    "accept_all": ("risky",),
    "gateway": ("risky", "unknown"),
    "unverifiable": ("unknown", "risky"),
    "blocked": ("unknown",),
    "relay_denied": ("unknown",),
    "tarpit": ("unknown",),
    "unreachable": ("unknown",),
    "no_smtputf8": ("undeliverable", "unknown"),
    "greylisted_live": ("deliverable", "unknown"),
    "greylisted_dead": ("undeliverable", "unknown"),
    "harvest_guard": ("deliverable", "undeliverable", "unknown"),
    "ambiguous_live": ("unknown", "risky", "deliverable"),
    "ambiguous_dead": ("unknown", "risky", "undeliverable"),
    "dead_domain": ("undeliverable",),
    "no_mail": ("undeliverable",),
    "null_mx": ("undeliverable",),
    "unroutable": ("undeliverable", "unknown"),
    "dns_failing": ("unknown",),
    "disposable": ("risky",),
    "typo": ("risky", "undeliverable"),
    "syntax": ("undeliverable",),
}

_ROLES = (
    "abuse accounts admin billing buchhaltung careers contact contacto einkauf empfang help hello hr info "
    "jobs "
    "kontakt mail marketing newsletter noreply no-reply office postmaster press presse rechnung sales "
    "service "
    "shop support team vertrieb webmaster"
)
ROLE_NAMES = frozenset(_ROLES.split())
"""Local parts of shared mailboxes. A tool may call their addresses risky whatever the server says."""

_DEAD_STATES = {"unknown_mailbox", "disabled", "moved"}
_TOLD = {*STATES, "unknown_mailbox", "greylisted_live", "greylisted_dead"}
"""Kinds of addresses at servers that tell living mailboxes from unknown ones."""


@dataclass
class World:
    """A mail world, built up call by call; every builder returns the world.

    >>> world = (
    ...     World()
    ...     .host("mx1.acme.test", profile="postfix", max_connections=5)
    ...     .domain("acme.test", mx=[(10, "mx1.acme.test")])
    ...     .mailbox("ann@acme.test")
    ...     .mailbox("bob@acme.test", state="full")
    ... )
    >>> world.truth("ann@acme.test").kind, world.truth("eve@acme.test").kind
    ('live', 'unknown_mailbox')
    """

    hosts: dict[str, Host] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    records: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Further DNS records: name -> type -> values in presentation form."""
    rewrites_nxdomain: str | None = None
    """The resolver answers every name that does not exist with this IPv4 address, as some providers' do."""
    command_timeout: float = 2.0
    """Seconds a prober should wait for a reply here, and for an address in all: what `Lab.config` says."""
    address_budget: float = 8.0

    # ---------------------------------------------------------------- building
    def host(
        self,
        name: str,
        profile: str = "postfix",
        *,
        address: str | None = None,
        ipv6: bool = False,
        ipv4: bool = True,
        **options: Any,
    ) -> World:
        """Add a mail server.

        `options` are the fields of `ServerProfile`, such as `max_connections=5` or `latency=0.02`. Without an `address`
        it gets the next free one in 127.77.0.0/16.
        """
        key = a_label(name)
        taken = {host.address for host in self.hosts.values()}
        number = len(self.hosts) + 1
        free = f"127.77.{number // 250}.{number % 250 + 1}"
        while free in taken:
            number += 1
            free = f"127.77.{number // 250}.{number % 250 + 1}"
        if address is not None and (address in taken or not _is_loopback(address)):
            raise SettingsError(f"{address} is taken or no loopback address. Give each host its own in 127/8.")
        self.hosts[key] = Host(key, profile_named(profile, **options), address or free, ipv6 or not ipv4, ipv4)
        return self

    def domain(  # noqa: PLR0913  # what a domain can be, by name
        self,
        name: str,
        mx: Iterable[tuple[int, str]] = (),
        *,
        cname: str | None = None,
        dns: Behaviour = "answers",
        accepts_all: bool = False,
        refuses: str | None = None,
        disposable: bool = False,
        misspells: str | None = None,
        ignores_dots: bool = False,
        country: str = "",
    ) -> World:
        """Add a mail domain.

        With no `mx`, a host of the same name makes it an implicit MX (RFC 5321 section 5.1). MX targets need not exist.
        `dns` covers the domain and the names below it that are not given themselves.
        """
        if dns not in BEHAVIOURS:
            raise SettingsError(f"no DNS behaviour {dns!r}. There are: {', '.join(BEHAVIOURS)}.")
        key = a_label(name)
        targets = tuple((preference, "." if target == "." else a_label(target)) for preference, target in mx)
        alias = a_label(cname) if cname else None
        self.domains[key] = Domain(
            key, targets, alias, dns, accepts_all, refuses, disposable, misspells, ignores_dots, country
        )
        return self

    def record(self, name: str, type: str, *values: str) -> World:
        """Add DNS records of any type in presentation form: `record("x.test", "TXT", '"v=spf1 -all"')`."""
        self.records.setdefault(a_label(name), {}).setdefault(type.upper(), []).extend(values)
        return self

    def mailbox(
        self, address: str, state: State = "live", *, name: str = "", language: str = "", country: str = ""
    ) -> World:
        """Add a mailbox. Its domain should be added too, else its mail has no way."""
        if state not in STATES:
            raise SettingsError(f"no mailbox state {state!r}. There are: {', '.join(STATES)}.")
        local, at, domain = address.rpartition("@")
        if not at:
            raise SettingsError("a mailbox needs an address with an @.")
        key = f"{_local(local)}@{a_label(domain)}"
        self.mailboxes[key] = Mailbox(key, state, name, language, country)
        return self

    # ---------------------------------------------------------------- looking up
    def find(self, address: str) -> Mailbox | None:
        """The mailbox that an address leads to.

        Local parts are compared as the servers do: without regard to case, `+tag` ignored, dots ignored where the
        domain ignores them.
        """
        local, _, domain = address.rpartition("@")
        local, domain = _local(local), a_label(domain)
        box = self.mailboxes.get(f"{local}@{domain}")
        if box is None and "+" in local:
            local = local.partition("+")[0]
            box = self.mailboxes.get(f"{local}@{domain}")
        if box is None and "." in local and domain in self.domains and self.domains[domain].ignores_dots:
            box = self.mailboxes.get(f"{local.replace('.', '')}@{domain}")
        return box

    def canonical(self, name: str) -> str:
        """The end of a chain of CNAMEs. A loop ends anywhere on it."""
        for _ in range(9):
            domain = self.domains.get(name)
            alias = domain.cname if domain else None
            if alias is None:
                values = self.records.get(name, {}).get("CNAME")
                alias = a_label(values[0]) if values else None
            if alias is None:
                break
            name = alias
        return name

    def routes(self, domain: str) -> list[Host | str]:
        """Where mail for a domain goes, best preference first: a host, or an address at which the world has none.

        Targets that do not resolve are left out.
        """
        name = self.canonical(a_label(domain))
        entry = self.domains.get(name)
        if entry is not None and entry.mx and self.behaviour(name) != "mx_nxdomain":
            targets: Sequence[str] = [target for _, target in sorted(entry.mx) if target != "."]
        else:
            targets = [name]
        found: list[Host | str] = []
        for target in map(self.canonical, targets):
            if target in self.hosts:
                found.append(self.hosts[target])
                continue
            records = self.records.get(target, {})
            for address in [*records.get("A", []), *records.get("AAAA", [])]:
                found.append(next((host for host in self.hosts.values() if host.address == address), address))
        return found

    def behaviour(self, name: str) -> Behaviour:
        """How the name servers answer for a name: as its own domain says, else as the nearest domain above it."""
        if name in self.domains:
            return self.domains[name].dns
        if name in self.hosts or name in self.records:
            return "answers"
        return next((self.domains[above].dns for above in _ancestors(name) if above in self.domains), "answers")

    def controls(self) -> list[str]:
        """The control names that the lab's DNS answers for although this world does not define them."""
        return [
            name
            for name in CONTROL_NAMES
            if not (name in self.domains or name in self.hosts or name in self.records)
            and self.behaviour(name) == "answers"
        ]

    def served(self) -> dict[str, set[str]]:
        """The domains whose mail comes to each host, under every name they have."""
        served: dict[str, set[str]] = {name: set() for name in self.hosts}
        for domain in self.domains:
            for to in self.routes(domain):
                if isinstance(to, Host):
                    served[to.name].add(domain)
        return served

    # ---------------------------------------------------------------- the truth
    def truth(self, cell: str | None, *, ipv6: bool = True) -> Truth:
        """What is really so about the address in a cell of text; white space around it does not count.

        `ipv6` says whether the machine has IPv6, which servers without an IPv4 address need.
        """
        address = _address(cell)
        if address is None:
            return _truth("syntax", False)
        local, _, domain = address.rpartition("@")
        box = self.find(address)
        kind = self._kind(local, domain, box, ipv6)
        exists: bool | None = box is not None and box.state not in ("disabled", "moved")
        if box is None and kind in ("accept_all", "disposable", "dns_failing"):
            exists = None
        if kind in ("typo", "dead_domain", "no_mail", "null_mx", "unroutable"):
            exists = False
        live = bool(exists) and box is not None and box.state in ("live", "forwarded", "throttled")
        role = _local(local) in ROLE_NAMES
        truth = _truth(kind, exists, live and kind not in ("disposable", "no_smtputf8"), role=role)
        server = self._reachable(domain, ipv6)
        if server is None:
            return truth
        if server.profile.doubted and kind in _TOLD:
            expected = (*truth.expected, "unknown") if kind == "live" else truth.expected
            return replace(truth, server_tells=False, expected=expected)
        if server.profile.temporary_reply is not None:
            return replace(truth, server_tells=False)
        if kind == "ambiguous_dead" and server.profile.tells == "living":
            return replace(truth, server_tells=True)
        return truth

    def _reachable(self, domain: str, ipv6: bool) -> Host | None:
        """The first server of a domain with which a conversation gets as far as a recipient's reply."""
        servers = [to for to in self.routes(domain) if isinstance(to, Host)]
        return next((to for to in servers if to.profile.reachable and (to.ipv4 or ipv6)), None)

    def _kind(self, local: str, domain: str, box: Mailbox | None, ipv6: bool) -> str:
        entry = self.domains.get(domain)
        if entry is not None and entry.misspells:
            return "typo"
        if entry is not None and entry.disposable:
            return "disposable"
        name = self.canonical(domain)
        behaviour = self.behaviour(name)
        if behaviour in _FAILING:
            return "dns_failing"
        if name in self.controls():
            return "unreachable"
        end = self.domains.get(name)
        known = end is not None or name in self.hosts or name in self.records
        if behaviour == "nxdomain" or not known:
            beneath = any(other.endswith(f".{name}") for other in (*self.domains, *self.hosts, *self.records))
            return "no_mail" if beneath and behaviour != "nxdomain" else "dead_domain"
        if end is not None and end.mx and all(target == "." for _, target in end.mx):
            return "null_mx"
        routes = self.routes(name)
        if not routes:
            return "no_mail"
        if not any(isinstance(to, Host) for to in routes):
            return "unroutable"
        server = self._reachable(name, ipv6)
        if server is None:
            return "unreachable"
        if end is not None and end.refuses is not None:
            return _ambiguous(box)
        return _kind_at(server.profile, local, box, accepts_all=bool(end and end.accepts_all))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def _local(local: str) -> str:
    return unicodedata.normalize("NFC", local).lower()


def _address(cell: str | None) -> str | None:
    """The address in a cell, its domain in A-labels, or None when the text is not one."""
    text = (cell or "").strip()
    local, at, domain = text.rpartition("@")
    if not at or not _DOT_ATOM.fullmatch(local) or len(local.encode()) > 64 or len(domain) > 253:
        return None
    if any(unicodedata.category(letter)[0] in "CZ" for letter in text):
        return None
    if domain.endswith("."):
        return None
    try:
        name = a_label(domain)
    except SettingsError:
        return None
    labels = name.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        return None
    return f"{local}@{name}"


def _kind_at(profile: ServerProfile, local: str, box: Mailbox | None, *, accepts_all: bool) -> str:
    if max(profile.banner_delay, profile.reply_delay) >= _SLOW:
        return "tarpit"
    if profile.blocks:
        return "blocked"
    if profile.temporary_reply:
        return "temporary"
    if profile.denies_relay:
        return "relay_denied"
    if not local.isascii() and (profile.helo_only or not profile.smtputf8):
        return "no_smtputf8"
    if profile.accepts_all or accepts_all:
        return profile.accepts_all or "accept_all"
    dead = box is None or box.state in ("disabled", "moved")
    if profile.tells == "nothing":
        return _ambiguous(box)
    if profile.tells == "living" and dead:
        return "ambiguous_dead"
    if profile.harvest_limit is not None and (box is None or box.state == "live"):
        return "harvest_guard"
    if profile.greylisting == "first" or (profile.greylisting == "known" and box is not None):
        return "greylisted_dead" if dead else "greylisted_live"
    return "unknown_mailbox" if box is None else box.state


def _ambiguous(box: Mailbox | None) -> str:
    return "ambiguous_dead" if box is None or box.state in ("disabled", "moved") else "ambiguous_live"


def _truth(kind: str, exists: bool | None, live: bool = False, *, role: bool = False) -> Truth:
    expected = _EXPECTED[kind]
    if role and "deliverable" in expected:
        expected = (*expected, "risky")
    answers = kind in _DEAD_STATES or kind == "greylisted_dead"
    return Truth(kind, exists, live, answers, kind in _TOLD, expected)

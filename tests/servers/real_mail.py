"""A small mail world of real servers on loopback: NSD for names, Postfix for mail, postgrey for greylisting.

One Postfix instance, one smtpd service per profile, each on a loopback address of its own and
all on the same unprivileged port, because an MX record names no port. NSD is authoritative for `test.` and
refuses the rest. Postfix has to be started by root; NSD could do without.
Manuals: nsd.conf(5), postconf(5), postgrey(8).
"""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.programs import find
from tests.servers.processes import Daemon, free_port

__all__ = ["CASES", "HOSTS", "PROGRAMS", "Case", "RealMail", "start"]

_DAEMONS = "/usr/lib/postfix/sbin"
NAMESERVER = "127.0.0.53"
HELLO_NAME = "probe.test"
MAIL_FROM = "verify@probe.test"
GREYLIST_SECONDS = 3
RECIPIENT_RATE = 3
"""Recipients that the rate-limited server takes from one client before it says 450."""

HOSTS = {
    "mx1.ok.test": "127.0.0.2",
    "mx.grey.test": "127.0.0.3",
    "mx.relay.test": "127.0.0.4",
    "mx.catchall.test": "127.0.0.5",
    "backend.relay.test": "127.0.0.6",
    "mx.blocked.test": "127.0.0.7",
    "mx.rate.test": "127.0.0.8",
    "mx.delayed.test": "127.0.0.9",
    "mx.errors.test": "127.0.0.10",
    "mx.tls.test": "127.0.0.11",
    "mx.ascii.test": "127.0.0.12",
    "mx.notserved.test": "127.0.0.13",
    "mx.slow.test": "127.0.0.14",
}
"""Mail server -> loopback address. `dead.multi.test` (127.0.0.99) has an address where nobody listens."""


@dataclass(frozen=True, slots=True)
class Case:
    """One address and what a run that may ask it has to find."""

    name: str
    email: str
    reasons: frozenset[str]
    """The mailvet reason; more than one where the servers leave a choice."""
    mx_host: str | None = None
    """The server whose answer decides, where there is one."""
    smtp_code: int | None = None

    @property
    def domain(self) -> str:
        """The part after the last @."""
        return self.email.rpartition("@")[2]


def _case(name: str, email: str, reasons: str, mx_host: str | None = None, smtp_code: int | None = None) -> Case:
    return Case(name, email, frozenset(reasons.split()), mx_host, smtp_code)


CASES: tuple[Case, ...] = (
    _case("known", "alice@ok.test", "mailbox_accepted", "mx1.ok.test", 250),
    _case("unknown", "nobody@ok.test", "mailbox_not_found", "mx1.ok.test", 550),
    _case("full", "full@ok.test", "mailbox_full", "mx1.ok.test", 452),
    _case("disabled", "disabled@ok.test", "mailbox_disabled", "mx1.ok.test", 550),
    _case("moved", "moved@ok.test", "mailbox_moved", "mx1.ok.test", 551),
    # A restriction map says no to this one recipient: about the mailbox or about us, and nothing tells which.
    _case("policy", "barred@policy.test", "sender_blocked restricted_recipient", "mx1.ok.test", 550),
    _case("relay denied", "alice@notserved.test", "relay_denied", "mx.notserved.test", 554),
    _case("greylisted known", "alice@grey.test", "greylisted", "mx.grey.test", 450),
    _case("greylisted unknown", "nobody@grey.test", "mailbox_not_found", "mx.grey.test", 550),
    _case("verified by the next hop", "alice@relay.test", "mailbox_accepted", "mx.relay.test", 250),
    _case("refused by the next hop", "nobody@relay.test", "mailbox_not_found", "mx.relay.test", 550),
    _case("catch-all", "alice@catchall.test", "accept_all", "mx.catchall.test", 250),
    _case("client refused in the greeting", "alice@blocked.test", "sender_blocked", "mx.blocked.test", 554),
    _case("client refused at the recipient", "alice@delayed.test", "sender_blocked", "mx.delayed.test", 554),
    _case("mail only under TLS", "alice@tls.test", "mailbox_accepted", "mx.tls.test", 250),
    _case("unknown, told only under TLS", "nobody@tls.test", "mailbox_not_found", "mx.tls.test", 550),
    _case("no SMTPUTF8", "jürgen@ascii.test", "smtputf8_unsupported", "mx.ascii.test"),
    _case("address record only", "alice@aonly.test", "mailbox_accepted", "aonly.test", 250),
    _case("first server dead", "alice@multi.test", "mailbox_accepted", "mx1.ok.test", 250),
    _case("every server dead", "alice@dead.test", "connect_failed"),
    _case("null MX", "alice@null.test", "null_mx"),
    _case("MX without address", "alice@noaddr.test", "no_mail_server"),
    _case("text record only", "alice@textonly.test", "no_mail_server"),
    _case("no such domain", "alice@missing.test", "domain_not_found"),
    _case("zone broken", "alice@servfail.example", "dns_error"),
    _case("name server refuses", "alice@elsewhere.example", "dns_error"),
)
"""
Not in here, because the answer depends on what was asked before: `rate.test` (450 after `RECIPIENT_RATE`
recipients) and `errors.test` (421 after three refusals).
"""

_SERVED = (
    "ok.test",
    "policy.test",
    "aonly.test",
    "multi.test",
    "grey.test",
    "catchall.test",
    "blocked.test",
    "rate.test",
    "delayed.test",
    "errors.test",
    "tls.test",
    "ascii.test",
    "slow.test",
)

_RECIPIENTS = (
    "alice@ok.test",
    "bob@ok.test",
    "full@ok.test",
    "alice@aonly.test",
    "alice@multi.test",
    "alice@grey.test",
    "bob@grey.test",
    "carol@grey.test",
    "alice@relay.test",
    "alice@delayed.test",
    "alice@tls.test",
    "alice@ascii.test",
    "alice@errors.test",
    *(f"user{number}@rate.test" for number in range(1, 10)),
    *(f"member{number}@slow.test" for number in range(20)),
)

_RECIPIENT_ACCESS = {
    "full@ok.test": "452 4.2.2 The email account that you tried to reach is over quota",
    "disabled@ok.test": "550 5.2.1 The email account that you tried to reach is disabled",
    "moved@ok.test": "551 5.1.6 The mailbox has moved, please try another address",
    "barred@policy.test": "550 5.7.1 Recipient not accepted by policy",
}

_ZONE = f"""\
$ORIGIN test.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A {NAMESERVER}
probe A 127.0.0.1
probe MX 10 probe
probe TXT "v=spf1 ip4:127.0.0.0/8 -all"
ok MX 10 mx1.ok
ok TXT "v=spf1 mx -all"
_dmarc.ok TXT "v=DMARC1; p=reject"
policy MX 10 mx1.ok
grey MX 10 mx.grey
relay MX 10 mx.relay
catchall MX 10 mx.catchall
blocked MX 10 mx.blocked
rate MX 10 mx.rate
delayed MX 10 mx.delayed
errors MX 10 mx.errors
slow MX 10 mx.slow
tls MX 10 mx.tls
ascii MX 10 mx.ascii
notserved MX 10 mx.notserved
null MX 0 .
aonly A {HOSTS["mx1.ok.test"]}
multi MX 10 dead.multi
multi MX 20 mx1.ok
dead.multi A 127.0.0.99
dead MX 10 dead.multi
noaddr MX 10 gone.noaddr
textonly TXT "nothing here takes mail"
"""


@dataclass(frozen=True, slots=True)
class RealMail:
    """Where the servers are and how mailvet is told."""

    nameserver: tuple[str, int]
    smtp_port: int
    hello_name: str
    mail_from: str
    settings_path: Path
    """A mailvet.toml for this world."""
    cases: tuple[Case, ...]
    logs: Path

    def case(self, name: str) -> Case:
        """The case of that name."""
        return next(case for case in self.cases if case.name == name)


PROGRAMS = ("nsd", "postfix", "postgrey", "openssl")
"""What has to be installed."""


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _zone_file() -> str:
    addresses = "".join(f"{host}. A {address}\n" for host, address in HOSTS.items())
    return _ZONE + addresses


def _start_nsd(home: Path) -> tuple[Daemon, int]:
    home.mkdir()
    port = free_port([NAMESERVER], kinds=(socket.SOCK_DGRAM, socket.SOCK_STREAM))
    (home / "test.zone").write_text(_zone_file())
    # The zone file of servfail.example does not exist: NSD then answers SERVFAIL for the zone.
    (home / "nsd.conf").write_text(
        f"""\
server:
  ip-address: {NAMESERVER}@{port}
  username: ""
  chroot: ""
  zonesdir: "{home}"
  database: ""
  pidfile: ""
  xfrdfile: "{home}/xfrd.state"
  xfrdir: "{home}"
  zonelistfile: "{home}/zone.list"
  server-count: 1
  hide-version: yes
remote-control:
  control-enable: no
zone:
  name: "test."
  zonefile: "test.zone"
zone:
  name: "servfail.example."
  zonefile: "missing.zone"
"""
    )
    daemon = Daemon([_program("nsd"), "-d", "-c", str(home / "nsd.conf")], home / "nsd.log")

    def answers() -> bool:
        query = dns.message.make_query("test.", "SOA")
        try:
            reply = dns.query.udp(query, NAMESERVER, timeout=0.5, port=port)
        except dns.exception.Timeout:
            return False
        return reply.rcode() == dns.rcode.NOERROR

    try:
        daemon.wait_until_ready(answers)
    except BaseException:
        daemon.stop()
        raise
    return daemon, port


def _start_postgrey(home: Path) -> tuple[Daemon, int]:
    home.mkdir()
    shutil.chown(home, "postgrey", "postgrey")
    port = free_port(["127.0.0.1"])
    command = [
        _program("postgrey"),
        f"--inet=127.0.0.1:{port}",
        f"--delay={GREYLIST_SECONDS}",
        f"--dbdir={home}",
        "--user=postgrey",
        "--group=postgrey",
    ]
    daemon = Daemon(command, home.parent / "postgrey.log")

    def listens() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True

    try:
        daemon.wait_until_ready(listens)
    except BaseException:
        daemon.stop()
        raise
    return daemon, port


def _main_cf(home: Path, port: int) -> str:
    return f"""\
compatibility_level = 3.6
maillog_file = {home}/postfix.log
maillog_file_prefixes = {home}
queue_directory = {home}/spool
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = {_DAEMONS}
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
myhostname = mx1.ok.test
mydestination = {", ".join(_SERVED)}
local_recipient_maps = texthash:{home}/recipients
alias_maps =
alias_database =
local_transport = discard:silently
default_transport = error:5.7.1 this server never sends to the outside
relay_domains = relay.test
transport_maps = inline:{{ relay.test=smtp:[{HOSTS["backend.relay.test"]}]:{port} }}
relay_recipient_maps =
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
  check_recipient_access texthash:{home}/recipient_access
  reject_unlisted_recipient
smtpd_delay_reject = yes
smtpd_error_sleep_time = 0
smtpd_tls_security_level = may
smtpd_tls_cert_file = {home}/cert.pem
smtpd_tls_key_file = {home}/key.pem
smtpd_client_connection_count_limit = 0
address_verify_map = btree:{home}/data/verify_cache
address_verify_poll_count = 3
address_verify_poll_delay = 1s
address_verify_sender = postmaster@ok.test
unverified_recipient_reject_code = 550
unknown_local_recipient_reject_code = 550
smtpd_reject_footer =
"""


def _services(home: Path, policy_port: int) -> dict[str, list[str]]:
    """Mail server -> the options that make its profile; each is one `-o` of its smtpd service."""
    refused = "check_client_access static:{554 5.7.1 your IP is listed by block.test}"
    return {
        "mx1.ok.test": [],
        "mx.grey.test": [
            "smtpd_recipient_restrictions = reject_unlisted_recipient, "
            f"check_policy_service inet:127.0.0.1:{policy_port}"
        ],
        "mx.relay.test": ["smtpd_recipient_restrictions = reject_unverified_recipient"],
        "mx.catchall.test": ["local_recipient_maps =", "smtpd_recipient_restrictions = permit"],
        "backend.relay.test": [
            f"relay_recipient_maps = texthash:{home}/recipients",
            "smtpd_recipient_restrictions = reject_unlisted_recipient",
        ],
        "mx.blocked.test": ["smtpd_delay_reject = no", f"smtpd_client_restrictions = {refused}"],
        "mx.rate.test": [f"smtpd_client_recipient_rate_limit = {RECIPIENT_RATE}"],
        "mx.delayed.test": [f"smtpd_client_restrictions = {refused}"],
        "mx.errors.test": ["smtpd_soft_error_limit = 2", "smtpd_hard_error_limit = 3"],
        # As Postfix is when nobody has touched it: slower from the tenth error, an end at the twentieth.
        "mx.slow.test": [
            "smtpd_error_sleep_time = 1s",
            "smtpd_soft_error_limit = 10",
            "smtpd_hard_error_limit = 20",
        ],
        "mx.tls.test": ["smtpd_tls_security_level = encrypt"],
        "mx.ascii.test": ["smtputf8_enable = no"],
        "mx.notserved.test": [],
    }


_INTERNAL_SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def _master_cf(home: Path, port: int, policy_port: int) -> str:
    lines = []
    for host, options in _services(home, policy_port).items():
        lines.append(f"{HOSTS[host]}:{port} inet n - n - - smtpd")
        lines += [f"  -o {{ {option} }}" for option in [f"myhostname = {host}", *options]]
    return "\n".join(lines) + "\n" + _INTERNAL_SERVICES


def _start_postfix(home: Path, policy_port: int) -> tuple[Daemon, int]:
    home.mkdir()
    for name, owner in (("spool", "root"), ("data", "postfix")):
        (home / name).mkdir()
        shutil.chown(home / name, owner)
    port = free_port(HOSTS.values())
    (home / "main.cf").write_text(_main_cf(home, port))
    (home / "master.cf").write_text(_master_cf(home, port, policy_port))
    (home / "recipients").write_text("".join(f"{recipient} exists\n" for recipient in _RECIPIENTS))
    (home / "recipient_access").write_text(
        "".join(f"{recipient} {reply}\n" for recipient, reply in _RECIPIENT_ACCESS.items())
    )
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    certificate += ["-subj", "/CN=mx1.ok.test"]
    certificate += ["-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")]
    subprocess.run(certificate, check=True, capture_output=True)
    # The check also makes the queue's directories. The master runs without `postfix start`, which would put
    # it into a session of its own, out of our reach.
    subprocess.run([_program("postfix"), "-c", str(home), "check"], check=True, capture_output=True)
    daemon = Daemon([f"{_DAEMONS}/master", "-c", str(home), "-d"], home / "postfix.log")

    def greets() -> bool:
        with smtplib.SMTP(HOSTS["mx1.ok.test"], port, timeout=2):
            return True

    try:
        daemon.wait_until_ready(greets)
    except BaseException:
        daemon.stop()
        raise
    return daemon, port


def _settings_file(path: Path, dns_port: int, smtp_port: int) -> Path:
    path.write_text(
        f"""\
depth = "smtp"

[dns]
nameservers = ["{NAMESERVER}"]
port = {dns_port}
controls = ["ok.test"]
timeout = 2.0
lifetime = 4.0

[smtp]
port = {smtp_port}
hello_name = "{HELLO_NAME}"
mail_from = "{MAIL_FROM}"
connect_timeout = 3.0
command_timeout = 10.0
address_budget = 30.0
starttls = "when_offered"
allow_private_networks = ["127.0.0.0/8"]

[retry]
after_greylisting = ["2s", "4s"]
"""
    )
    return path


@contextmanager
def start() -> Iterator[RealMail]:
    """Start the servers in a directory of their own, hand out where they are, stop them and remove it."""
    with ExitStack() as running:
        # Not pytest's tmp_path: the servers' own users must be able to walk into it.
        home = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="mailvet-servers-")))
        home.chmod(0o755)
        nsd, dns_port = _start_nsd(home / "nsd")
        running.callback(nsd.stop)
        postgrey, policy_port = _start_postgrey(home / "postgrey")
        running.callback(postgrey.stop)
        postfix, smtp_port = _start_postfix(home / "postfix", policy_port)
        running.callback(postfix.stop)
        yield RealMail(
            nameserver=(NAMESERVER, dns_port),
            smtp_port=smtp_port,
            hello_name=HELLO_NAME,
            mail_from=MAIL_FROM,
            settings_path=_settings_file(home / "mailvet.toml", dns_port, smtp_port),
            cases=CASES,
            logs=home,
        )

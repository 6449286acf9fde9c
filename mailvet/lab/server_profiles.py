"""How mail servers behave: one record per profile, with the replies in the form in which operators publish them.

A reply is written `code [enhanced code] text`, one line of text per line; `wire` puts the codes in front of
every line. `{recipient}`, `{local}`, `{domain}`, `{sender}`, `{hello}`, `{client}` and `{host}` are filled
in. Sources: RFC 5321, 3463, 7504 and 7505, and the operators' own pages of SMTP errors (Google Workspace
Admin Help "SMTP error reference", Microsoft Learn "Email non-delivery reports in Exchange Online", Yahoo
Sender Hub "SMTP error codes", Apple "Postmaster information for iCloud Mail", Tencent and NetEase help pages,
Mimecast "SMTP error codes", Postfix, Exim and qmail documentation).
"""

# ruff: noqa: RUF001  (letters of other scripts are meant)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from mailvet.errors import SettingsError
from mailvet.lab.guards import HarvestGuard, RateLimit
from mailvet.lab.holds import Hold
from mailvet.lab.reply_faults import ReplyFault

__all__ = ["ORDINARY_PROFILES", "STATES", "ServerProfile", "State", "wire"]

State = Literal["live", "full", "disabled", "moved", "restricted", "throttled", "temporary", "forwarded"]
"""What a mailbox can be. An address without a mailbox is unknown."""

STATES: tuple[State, ...] = (
    "live",
    "full",
    "disabled",
    "moved",
    "restricted",
    "throttled",
    "temporary",
    "forwarded",
)

_PREFIX = re.compile(r"(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))? ?(.*)", re.DOTALL)


@lru_cache(maxsize=4096)
def wire(reply: str) -> str:
    """A reply as it goes over the wire, placeholders kept.

    Each line carries the code, `-` on all but the last (RFC 5321 section 4.2.1), and the enhanced code when there is
    one (RFC 2034 section 4).
    """
    match = _PREFIX.fullmatch(reply)
    if match is None:
        raise SettingsError(f"not an SMTP reply: {reply[:40]!r}. Write 'code [enhanced code] text'.")
    code, enhanced, text = match.groups()
    lines = text.split("\n")
    middle = f"{enhanced} " if enhanced else ""
    marks = ["-"] * (len(lines) - 1) + [" "]
    return "".join(f"{code}{mark}{middle}{line}\r\n" for mark, line in zip(marks, lines, strict=True))


_COMMON: Mapping[str, str] = MappingProxyType(
    {
        "unknown": "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual mailbox table",
        "full": "452 4.2.2 <{recipient}>: Recipient address rejected: Mailbox is full, over quota",
        "disabled": "550 5.2.1 <{recipient}>: Recipient address rejected: this mailbox has been disabled",
        "moved": "551 5.1.6 <{recipient}>: User has moved; please try <new.{recipient}>",
        "restricted": "550 5.7.1 <{recipient}>: only members of the organisation may write to this recipient",
        "throttled": "450 4.2.1 <{recipient}>: this user is receiving mail at a rate that is too high, try later",
        "temporary": "451 4.3.0 <{recipient}>: Temporary lookup failure",
        "forwarded": "251 2.1.5 User not local; will forward to <new.{recipient}>",
    }
)


@dataclass(frozen=True)
class ServerProfile:
    """One way of behaving.

    Times in seconds; a limit of None is no limit. Every field is also an option of `World.host`, where `replies` is
    merged into those of the profile.
    """

    name: str
    # ---- before anything is said
    listens: bool = True
    """False: no server listens on the port, connections are refused."""
    closes_at: Literal["connect", "mail", "rcpt"] | None = None
    """Drops the connection there without a word."""
    silent: bool = False
    """Accepts the connection and never says anything."""
    garbage: bytes | None = None
    """Says this instead of a banner: no SMTP."""
    # ---- what it calls itself and offers
    banner: str = "220 {host} ESMTP Postfix"
    hello: str = "{host}"
    """First line of the answer to EHLO and HELO."""
    helo_only: bool = False
    pipelining: bool = True
    starttls: bool = True
    smtputf8: bool = True
    size: int | None = 52_428_800
    extensions: tuple[str, ...] = ("ENHANCEDSTATUSCODES", "8BITMIME")
    # ---- how fast
    latency: float = 0.0
    """On top of the lab's own, per turn: replies to pipelined commands come together."""
    banner_delay: float = 0.0
    reply_delay: float = 0.0
    """Before every single reply, one after the other (a tarpit)."""
    refusal_delay: float = 0.0
    """Before each refusal of a recipient, on top of it. A slow server with a `guard` works one by one."""
    # ---- replies
    sender_ok: str = "250 2.1.0 Ok"
    recipient_ok: str = "250 2.1.5 Ok"
    quit_reply: str | None = "221 2.0.0 Bye"
    """Reply to QUIT. None: none, and the connection stays open."""
    replies: Mapping[str, str] = field(default_factory=dict)
    """Reply per state of a mailbox, and for `unknown`."""
    relay_reply: str = "554 5.7.1 <{recipient}>: Relay access denied"
    utf8_reply: str = "553 5.6.7 <{recipient}>: Must enable SMTPUTF8 to deliver to this recipient"
    # ---- what it refuses
    blocks: Literal["connect", "hello", "mail", "rcpt"] | None = None
    """Refuses us there, whatever the recipient is."""
    block_reply: str = "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org"
    tls_required: bool = False
    denies_relay: bool = False
    """Does not serve even the domains whose MX it is."""
    temporary_reply: str | None = None
    """Answers this to every recipient."""
    # ---- what it tells
    accepts_all: Literal["accept_all", "unverifiable", "gateway"] | None = None
    """
    Accepts every recipient at RCPT, and why that tells nothing: a catch-all, the operator's design, a filter.
    """
    greylisting: Literal["first", "known"] | None = None
    """`first`: before it looks for the mailbox; `known`: unknown users are refused at once."""
    greylist_delay: float | None = None
    """None: the lab's."""
    greylist_reply: str = "450 4.2.0 <{recipient}>: Recipient address rejected: Greylisted, see postgrey help"
    # ---- limits
    max_connections: int | None = None
    """At once; one more is sent away with `connections_reply`, or closed without a reply where that is None."""
    connections_reply: str | None = "421 4.7.0 {host} Error: too many connections from {client}"
    recipients_per_session: int | None = None
    recipients_reply: str = "452 4.5.3 Error: too many recipients"
    error_limit: int | None = None
    """After so many refusals the session ends with 421 (Postfix `smtpd_hard_error_limit`, default 20)."""
    errors_reply: str = "421 4.7.0 {host} Error: too many errors"
    soft_error_limit: int | None = None
    """From so many refusals on every reply is held back (Postfix `smtpd_soft_error_limit`, default 10)."""
    soft_error_delay: float = 1.0
    doubted: bool = False
    """Its yes is known to be worth little, though it is true here: a careful prober says unknown."""
    harvest_limit: int | None = None
    """After so many unknown recipients on a connection everybody is refused as unknown, live ones too."""
    guard: HarvestGuard | None = None
    rate: RateLimit | None = None
    busy_every: int | None = None
    """The first of so many connections is sent away with `busy_reply`, and so on in turn."""
    busy_reply: str = "421 4.3.2 {host} System busy, try again later"
    # ---- what it gets wrong
    fault: ReplyFault | None = None
    hold: Hold | None = None
    tells: Literal["all", "living", "nothing"] = "all"
    """
    What a careful prober can learn of it: of every mailbox whether it is there; of the living alone, since its
    refusals are no proof; nothing.
    """

    def reply(self, state: str) -> str:
        """The reply to a recipient in this state, or `unknown`."""
        return self.recipient_ok if state == "live" else self.replies.get(state) or _COMMON[state]

    @property
    def reachable(self) -> bool:
        """Whether a conversation gets as far as a recipient's reply."""
        holds = self.hold is not None and self.hold.at not in ("quit", "idle")
        return self.listens and self.closes_at is None and not (self.silent or holds) and self.garbage is None


_SPAMHAUS_TRAP = (
    "550 5.7.1 Recipient mail rejected: unknown user agent or user reputation; client host [{client}] is "
    "listed,\n"
    "user unknown to our allow list. See https://www.spamhaus.org/query/ip/{client}"
)

_POSTFIX: Mapping[str, str] = {
    "unknown": "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table",
    "full": "452 4.2.2 <{recipient}>: Recipient address rejected: Quota exceeded (mailbox for user is full)",
    "disabled": "550 5.2.1 <{recipient}>: Recipient address rejected: account is disabled",
}

_ORDINARY = (
    # ------------------------------------------------------------------ operators
    ServerProfile(
        "gmail",
        banner="220 mx.google.com ESMTP 4fb4d7f45d1cf-lab - gsmtp",
        hello="mx.google.com at your service, [{client}]",
        size=157_286_400,
        extensions=("8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"),
        sender_ok="250 2.1.0 OK 4fb4d7f45d1cf-lab - gsmtp",
        recipient_ok="250 2.1.5 OK 4fb4d7f45d1cf-lab - gsmtp",
        quit_reply="221 2.0.0 closing connection 4fb4d7f45d1cf-lab - gsmtp",
        recipients_per_session=100,
        recipients_reply="452 4.5.3 Your message has too many recipients. For more information regarding\n"
        "Google's sending limits, go to\n https://support.google.com/mail/?p=TooManyRecipients - gsmtp",
        replies={
            "unknown": "550 5.1.1 The email account that you tried to reach does not exist. Please try\n"
            "double-checking the recipient's email address for typos or\n"
            "unnecessary spaces. For more information, go to\n"
            " https://support.google.com/mail/?p=NoSuchUser 4fb4d7f45d1cf-lab - gsmtp",
            "disabled": "550 5.2.1 The email account that you tried to reach is disabled. For more\n"
            "information, go to\n https://support.google.com/mail/?p=DisabledUser 4fb4d7f45d1cf-lab - gsmtp",
            "full": "452 4.2.2 The recipient's inbox is out of storage space. Please direct the\n"
            "recipient to\n https://support.google.com/mail/?p=OverQuotaTemp 4fb4d7f45d1cf-lab - gsmtp",
            "throttled": "450 4.2.1 The user you are trying to contact is receiving email at a rate that\n"
            "prevents additional messages from being delivered. Please resend your\n"
            "message at a later time. For more information, go to\n"
            " https://support.google.com/mail/?p=ReceivingRate 4fb4d7f45d1cf-lab - gsmtp",
            "restricted": "550 5.7.1 The group you tried to contact may not exist, or you may not have\n"
            "permission to post messages to this group. Authentication required: only members can post",
            "temporary": "451 4.3.0 Mail server temporarily rejected message. 4fb4d7f45d1cf-lab - gsmtp",
        },
        relay_reply="550 5.7.1 Relaying denied 4fb4d7f45d1cf-lab - gsmtp",
    ),
    ServerProfile(
        "microsoft365",
        banner="220 DB5EUR01FT001.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready at {host}",
        hello="DB5EUR01FT001.mail.protection.outlook.com Hello [{client}]",
        size=157_286_400,
        extensions=("DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING"),
        sender_ok="250 2.1.0 Sender OK",
        recipient_ok="250 2.1.5 Recipient OK",
        quit_reply="221 2.0.0 Service closing transmission channel",
        recipients_per_session=500,
        recipients_reply="452 4.5.3 Too many recipients (AS780090) "
        "[DB5EUR01FT001.eop-EUR01.prod.protection.outlook.com]",
        replies={
            "unknown": "550 5.4.1 Recipient address rejected: Access denied. For more information see "
            "https://aka.ms/EXOSmtpErrors [DB5EUR01FT001.eop-EUR01.prod.protection.outlook.com]",
            "full": "452 4.2.2 STOREDRV.Deliver: mailbox full. The following information should help "
            "identify the cause: MapiExceptionShutoffQuotaExceeded; mailbox is over quota",
            "disabled": "550 5.2.1 Mailbox cannot be accessed; STOREDRV: mailbox disabled for recipient",
            "restricted": "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; "
            "Delivery restriction check failed because the sender was not authenticated when sending to this "
            "group",
            "throttled": "450 4.2.121 STOREDRV.Deliver: recipient thread limit exceeded; mail is arriving at "
            "a rate too high for this recipient",
            "temporary": "451 4.7.500 Server busy. Please try again later from [{client}]. (S77719)",
        },
        relay_reply="550 5.7.64 TenantAttribution; Relay Access Denied [DB5EUR01FT001.mail.protection.outlook.com]",
    ),
    ServerProfile(
        "outlook_com",
        banner="220 DB8EUR06FT001.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready at {host}",
        hello="DB8EUR06FT001.mail.protection.outlook.com Hello [{client}]",
        size=49_283_072,
        extensions=("DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING"),
        sender_ok="250 2.1.0 Sender OK",
        recipient_ok="250 2.1.5 Recipient OK",
        quit_reply="221 2.0.0 Service closing transmission channel",
        recipients_per_session=1,
        recipients_reply="452 4.5.3 Too many recipients (AS780090) "
        "[DB8EUR06FT001.eop-eur06.prod.protection.outlook.com]",
        replies={
            "unknown": "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). "
            "[DB8EUR06FT001.eop-eur06.prod.protection.outlook.com]",
            "full": "452 4.2.2 Requested action not taken: the recipient's mailbox is full, quota exceeded",
            "disabled": "550 5.2.1 Requested action not taken: this mailbox is disabled (S2017062303)",
        },
        relay_reply="550 5.7.64 TenantAttribution; Relay Access Denied [DB8EUR06FT001.mail.protection.outlook.com]",
    ),
    ServerProfile(
        "yahoo",
        banner="220 mtaproxy501.free.mail.ne1.yahoo.com ESMTP ready",
        hello="mtaproxy501.free.mail.ne1.yahoo.com",
        pipelining=True,
        smtputf8=False,
        size=41_943_040,
        extensions=("8BITMIME",),
        sender_ok="250 sender <{sender}> ok",
        recipient_ok="250 recipient <{recipient}> ok",
        quit_reply="221 mtaproxy501.free.mail.ne1.yahoo.com",
        accepts_all="unverifiable",
        relay_reply="550 relaying denied for <{recipient}>",
    ),
    ServerProfile(
        "icloud",
        banner="220 p00-icloudmta-asmtp-us-west-1a-100-percent-9 ESMTP",
        hello="{host}",
        size=28_311_552,
        extensions=("8BITMIME", "ENHANCEDSTATUSCODES"),
        replies={
            "unknown": "550 5.1.1 <{recipient}>: user does not exist",
            "disabled": "550 5.1.1 <{recipient}>: inactive email address",
            "moved": "550 5.1.6 <{recipient}>: recipient no longer on server",
            "full": "552 5.2.2 <{recipient}>: user is over quota",
        },
        relay_reply="550 5.7.1 <{recipient}>: relaying denied",
    ),
    ServerProfile(
        "qq",
        doubted=True,
        banner="220 newxmmxszb6-28.qq.com MX QQ Mail Server.",
        hello="newxmmxszb6-28.qq.com",
        smtputf8=False,
        size=73_400_320,
        extensions=("8BITMIME",),
        sender_ok="250 OK",
        recipient_ok="250 OK",
        quit_reply="221 Bye.",
        recipients_per_session=30,
        recipients_reply="550 Ip frequency limited [{client}]. https://service.mail.qq.com/detail/122/172",
        replies={
            "unknown": "550 Mailbox not found. https://service.mail.qq.com/detail/122/166",
            "throttled": "550 Mailbox unavailable or access denied. https://service.mail.qq.com/detail/122/168",
            "disabled": "550 The recipient's mailbox is a deactivated mailbox. "
            "https://service.mail.qq.com/detail/122/167",
            "full": "552 Mailbox full: the recipient's quota is exceeded. https://service.mail.qq.com/detail/122/169",
        },
        relay_reply="550 Relaying denied: domain not hosted here.",
    ),
    ServerProfile(
        "netease",
        banner="220 163.com Anti-spam GT for Coremail System (163com[20141201])",
        hello="mail",
        smtputf8=False,
        size=None,
        extensions=("8BITMIME",),
        sender_ok="250 Mail OK",
        recipient_ok="250 Mail OK",
        quit_reply="221 Bye",
        error_limit=20,
        errors_reply="421 HL:REP 163 zwqz-mx-mta-g5-2, too many non-existing recipients from {client} "
        "https://mail.163.com/help/help_spam_16.htm",
        replies={
            "unknown": "550 User not found: {recipient}",
            "disabled": "550 User suspended: {recipient}",
            "full": "552 Mailbox of the recipient is full: over quota",
            "throttled": "450 RP:DRC too much mail for this recipient, try later",
        },
        relay_reply="553 Requested action not taken: relaying denied, no such domain here",
    ),
    ServerProfile(
        "mail_ru",
        banner="220 Mail.Ru ESMTP",
        hello="Mail.Ru",
        smtputf8=False,
        size=73_400_320,
        extensions=("8BITMIME",),
        sender_ok="250 OK",
        recipient_ok="250 Accepted",
        quit_reply="221 Bye",
        accepts_all="unverifiable",
        relay_reply="550 relay not permitted",
    ),
    ServerProfile(
        "yandex",
        banner="220 mxfront9.mail.yandex.net (Want to use Yandex.Mail for your domain?) ESMTP",
        hello="mxfront9.mail.yandex.net",
        smtputf8=False,
        size=53_477_376,
        extensions=("8BITMIME", "DSN", "ENHANCEDSTATUSCODES"),
        sender_ok="250 2.1.0 <{sender}> ok",
        recipient_ok="250 2.1.5 <{recipient}> recipient ok",
        replies={
            "unknown": "550 5.7.1 No such user!",
            "disabled": "550 5.7.1 Policy rejection on the target address: account is blocked by its owner",
            "full": "552 5.2.2 Mailbox size limit exceeded",
        },
    ),
    ServerProfile(
        "gmx",
        banner="220 gmx.net (mxgmx009) Nemesis ESMTP Service ready",
        hello="gmx.net Hello {hello} [{client}]",
        smtputf8=False,
        size=157_286_400,
        extensions=("8BITMIME",),
        sender_ok="250 Requested mail action okay, completed",
        recipient_ok="250 OK",
        quit_reply="221 gmx.net Service closing transmission channel",
        replies={
            "unknown": "550 Requested action not taken: mailbox unavailable\n"
            "For explanation visit https://postmaster.gmx.net/en/error-messages?ip={client}&c=hmr",
            "full": "452 Requested action not taken: mailbox is full, over quota",
            "disabled": "550 Requested action not taken: mailbox unavailable: account is locked and disabled",
        },
        relay_reply="550 Relaying denied: local policy",
    ),
    ServerProfile(
        "mimecast",
        banner="220 eu-smtp-inbound-delivery-1.mimecast.com ESMTP; {host}",
        hello="eu-smtp-inbound-delivery-1.mimecast.com Hello [{client}]",
        smtputf8=False,
        sender_ok="250 Sender OK [mimecast-lab]",
        recipient_ok="250 Recipient OK [mimecast-lab]",
        quit_reply="221 Service closing transmission channel",
        greylisting="known",
        greylist_reply="451 Internal resources are temporarily unavailable - "
        "https://community.mimecast.com/docs/DOC-1369#451 [mimecast-lab]",
        replies={
            "unknown": "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [mimecast-lab]",
            "disabled": "550 Invalid Recipient: the account is disabled [mimecast-lab]",
        },
        relay_reply="451 Open relay not allowed [mimecast-lab]",
    ),
    ServerProfile(
        "proofpoint",
        banner="220 {host} ESMTP mfa-m0000001",
        hello="{host} Hello [{client}], pleased to meet you",
        blocks="connect",
        block_reply="554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip={client} (dnsbl-lookup)",
    ),
    ServerProfile(
        "barracuda",
        banner="220 mail.ess.barracuda.com ESMTP",
        hello="mail.ess.barracuda.com Hello {hello} [{client}], pleased to meet you",
        smtputf8=False,
        accepts_all="gateway",
    ),
    # ------------------------------------------------------------------ server software
    ServerProfile(
        "postfix",
        size=10_240_000,
        extensions=("VRFY", "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "CHUNKING"),
        error_limit=20,
        replies=_POSTFIX,
    ),
    ServerProfile(
        "exim",
        banner="220 {host} ESMTP Exim 4.96",
        hello="{host} Hello {hello} [{client}]",
        smtputf8=False,
        extensions=("8BITMIME", "PIPECONNECT"),
        sender_ok="250 OK",
        recipient_ok="250 Accepted",
        quit_reply="221 {host} closing connection",
        replies={
            "unknown": "550 No Such User Here",
            "disabled": "550 This account has been suspended.",
            "full": "452 mailbox <{recipient}> is full: quota exceeded",
            "moved": "551 <{recipient}> has moved; please try <new.{recipient}>",
        },
        relay_reply="550 relay not permitted",
    ),
    ServerProfile(
        "exchange",
        banner="220 {host} Microsoft ESMTP MAIL Service ready",
        hello="{host} Hello [{client}]",
        smtputf8=False,
        size=37_748_736,
        extensions=("DSN", "ENHANCEDSTATUSCODES", "AUTH NTLM", "8BITMIME", "BINARYMIME", "CHUNKING"),
        sender_ok="250 2.1.0 Sender OK",
        recipient_ok="250 2.1.5 Recipient OK",
        quit_reply="221 2.0.0 Service closing transmission channel",
        replies={
            "unknown": "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
            "restricted": "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
            "disabled": "550 5.2.1 mailbox disabled, not accepting messages",
        },
        relay_reply="550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
    ),
    ServerProfile(
        "qmail",
        banner="220 {host} ESMTP",
        hello="{host}",
        starttls=False,
        smtputf8=False,
        size=None,
        extensions=("8BITMIME",),
        sender_ok="250 ok",
        recipient_ok="250 ok",
        quit_reply="221 {host}",
        replies={
            "unknown": "550 sorry, no mailbox here by that name (#5.1.1)",
            "full": "552 sorry, the recipient's mailbox is over quota (#5.2.2)",
            "disabled": "550 sorry, this account has been suspended (#5.2.1)",
        },
        relay_reply="553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    ),
    ServerProfile(
        "sendmail",
        banner="220 {host} ESMTP Sendmail 8.17.1/8.17.1",
        hello="{host} Hello {hello} [{client}], pleased to meet you",
        smtputf8=False,
        sender_ok="250 2.1.0 <{sender}>... Sender ok",
        recipient_ok="250 2.1.5 <{recipient}>... Recipient ok",
        quit_reply="221 2.0.0 {host} closing connection",
        replies={"unknown": "550 5.1.1 <{recipient}>... User unknown"},
        relay_reply="550 5.7.1 <{recipient}>... Relaying denied",
    ),
    # ------------------------------------------------------------------ what they do to senders they do not
    # know
    ServerProfile("greylisting", greylisting="first", replies=_POSTFIX),
    ServerProfile(
        "greylisting_known",
        greylisting="known",
        greylist_reply="451 4.7.1 Greylisting in action, please come back later",
        replies=_POSTFIX,
    ),
    ServerProfile("tarpit", banner_delay=3.0, reply_delay=3.0, banner="220 {host} ESMTP Exim 4.94", replies=_POSTFIX),
    ServerProfile("catch_all", accepts_all="accept_all"),
    ServerProfile("blocks_at_connect", blocks="connect"),
    ServerProfile(
        "blocks_at_hello",
        blocks="hello",
        block_reply="550 5.7.1 <{hello}>: Helo command rejected: unknown host, user access denied",
    ),
    ServerProfile(
        "blocks_at_mail",
        blocks="mail",
        block_reply="550 5.7.1 <{sender}>: Sender address rejected: unknown or not permitted user",
    ),
    ServerProfile("blocks_at_rcpt", blocks="rcpt", block_reply=_SPAMHAUS_TRAP),
    ServerProfile(
        "sender_callout",
        blocks="rcpt",
        banner="220 {host} ESMTP Exim 4.96",
        smtputf8=False,
        block_reply="550 Verification failed for <{sender}>\n"
        "The mail server could not deliver mail to <{sender}>. The account may not exist:\n"
        "550 5.1.1 User unknown\nSender verify failed",
    ),
    ServerProfile("tls_required", tls_required=True, replies=_POSTFIX),
    ServerProfile("helo_only", helo_only=True, starttls=False, pipelining=False, banner="220 {host} SMTP ready"),
    ServerProfile("connection_limit", max_connections=2, replies=_POSTFIX),
    ServerProfile("recipient_limit", recipients_per_session=5, replies=_POSTFIX),
    ServerProfile("harvest_guard", harvest_limit=5, replies={"unknown": "550 5.1.1 <{recipient}>: user unknown"}),
    ServerProfile("garbage", garbage=b"\x15\x03\x01\x00\x02\x02\x46SSH-2.0-OpenSSH_9.2\r\n\x00\xff\xfe\r\n"),
    ServerProfile("silent", silent=True),
    ServerProfile("closes_at_connect", closes_at="connect"),
    ServerProfile("closes_at_mail", closes_at="mail"),
    ServerProfile("closes_at_rcpt", closes_at="rcpt"),
    ServerProfile("port_closed", listens=False),
    ServerProfile("temporary", temporary_reply="451 4.3.0 <{recipient}>: Temporary lookup failure"),
    ServerProfile("relay_denied", denies_relay=True),
    # ------------------------------------------------------------------ other languages than English
    ServerProfile(
        "german",
        replies={
            "unknown": "550 5.1.1 <{recipient}>: Benutzer unbekannt, Postfach existiert nicht",
            "full": "452 4.2.2 <{recipient}>: Das Postfach ist voll, Speicherplatz ueberschritten (quota)",
            "disabled": "550 5.2.1 <{recipient}>: Das Postfach ist gesperrt (account disabled)",
        },
    ),
    ServerProfile(
        "french",
        replies={
            "unknown": "550 5.1.1 <{recipient}>: Adresse d au moins un destinataire invalide. "
            "Utilisateur inconnu. LPN007_405",
            "full": "552 5.2.2 <{recipient}>: Boite aux lettres pleine, quota depasse. LPN007_412",
        },
    ),
    ServerProfile(
        "spanish",
        replies={"unknown": "550 5.1.1 <{recipient}>: usuario desconocido, el buzon no existe en este servidor"},
    ),
    ServerProfile(
        "italian",
        replies={"unknown": "550 5.1.1 <{recipient}>: utente sconosciuto, casella inesistente"},
    ),
    ServerProfile(
        "polish",
        replies={"unknown": "550 5.1.1 <{recipient}>: nie ma takiego uzytkownika (nieznany odbiorca)"},
    ),
    ServerProfile(
        "russian",
        replies={"unknown": "550 5.1.1 <{recipient}>: Пользователь не найден, такого почтового ящика нет"},
    ),
    ServerProfile(
        "turkish",
        replies={"unknown": "550 5.1.1 <{recipient}>: kullanıcı bulunamadı, böyle bir posta kutusu yok"},
    ),
    ServerProfile("chinese", replies={"unknown": "550 5.1.1 <{recipient}>: 用户不存在"}),
    ServerProfile("japanese", replies={"unknown": "550 5.1.1 <{recipient}>: 宛先のユーザーが存在しません"}),
)

ORDINARY_PROFILES: Mapping[str, ServerProfile] = MappingProxyType({profile.name: profile for profile in _ORDINARY})
"""Every profile by name."""

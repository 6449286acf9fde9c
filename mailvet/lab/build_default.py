"""The world a lab has unless it is given another: about 430 domains with the mail servers of large and small operators.

Operators keep their real names, which only the lab's own DNS answers for, so that what a tool knows about
them applies. Companies and people are invented and live below `.example` and `.test`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from mailvet.lab.names import local_part, person
from mailvet.lab.server_profiles import State
from mailvet.lab.world import Behaviour, World

__all__ = ["WorldBuilder", "default_world"]

_WESTERN = ("en", "en", "en", "de", "de", "fr", "es", "it", "pt", "pl", "sv", "tr")

# Profile, MX hosts, domains, languages of the users, share of all mailboxes in per mille, options of the
# domains.
_FREE_MAIL: tuple[tuple[str, str, str, tuple[str, ...], int, dict[str, Any]], ...] = (
    (
        "gmail",
        "gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com alt2.gmail-smtp-in.l.google.com "
        "alt3.gmail-smtp-in.l.google.com alt4.gmail-smtp-in.l.google.com",
        "gmail.com googlemail.com",
        (*_WESTERN, "ru", "zh", "ja"),
        200,
        {"ignores_dots": True},
    ),
    ("outlook_com", "outlook-com.olc.protection.outlook.com", "outlook.com", _WESTERN, 40, {}),
    ("outlook_com", "hotmail-com.olc.protection.outlook.com", "hotmail.com", _WESTERN, 45, {}),
    ("outlook_com", "live-com.olc.protection.outlook.com", "live.com", _WESTERN, 12, {}),
    ("outlook_com", "msn-com.olc.protection.outlook.com", "msn.com", ("en",), 6, {}),
    (
        "yahoo",
        "mta5.am0.yahoodns.net mta6.am0.yahoodns.net mta7.am0.yahoodns.net",
        "yahoo.com ymail.com",
        ("en", "en", "es", "pt"),
        28,
        {},
    ),
    ("yahoo", "mx-eu.mail.am0.yahoodns.net", "yahoo.de yahoo.fr yahoo.co.uk", ("de", "fr", "en"), 14, {}),
    ("yahoo", "mx-aol.mail.gm0.yahoodns.net", "aol.com", ("en",), 8, {}),
    (
        "icloud",
        "mx01.mail.icloud.com mx02.mail.icloud.com",
        "icloud.com me.com mac.com",
        ("en", "de", "fr", "ja"),
        36,
        {},
    ),
    ("gmx", "mx00.gmx.net mx01.gmx.net", "gmx.de gmx.net gmx.at", ("de",), 36, {}),
    ("gmx", "mx-ha02.web.de mx-ha03.web.de", "web.de", ("de",), 28, {}),
    ("mail_ru", "mxs.mail.ru", "mail.ru bk.ru inbox.ru", ("ru",), 10, {}),
    ("yandex", "mx.yandex.ru", "yandex.ru yandex.com", ("ru",), 8, {}),
    ("qq", "mx3.qq.com mx2.qq.com mx1.qq.com", "qq.com foxmail.com", ("zh",), 16, {}),
    ("netease", "163mx01.mxmail.netease.com 163mx02.mxmail.netease.com", "163.com", ("zh",), 10, {}),
    ("netease", "126mx01.mxmail.netease.com 126mx02.mxmail.netease.com", "126.com", ("zh",), 5, {}),
    ("french", "smtp-in.orange.fr", "orange.fr wanadoo.fr", ("fr",), 14, {}),
    ("greylisting_known", "mx1.free.fr mx2.free.fr", "free.fr", ("fr",), 8, {}),
    ("french", "smtpz4.laposte.net", "laposte.net", ("fr",), 6, {}),
    ("italian", "smtp-in.libero.it", "libero.it", ("it",), 12, {}),
    ("polish", "mx.wp.pl", "wp.pl o2.pl", ("pl",), 12, {}),
    ("postfix", "mx1.seznam.cz mx2.seznam.cz", "seznam.cz", ("pl",), 5, {}),
    ("german", "mx00.t-online.de mx01.t-online.de", "t-online.de", ("de",), 14, {}),
    ("postfix", "mail.protonmail.ch mailsec.protonmail.ch", "proton.me protonmail.com", _WESTERN, 10, {}),
    ("postfix", "mx.zoho.com mx2.zoho.com", "zohomail.com", _WESTERN, 4, {}),
    ("japanese", "mfsmax.docomo.ne.jp", "docomo.ne.jp", ("ja",), 10, {}),
    ("exim", "mx-in.nordpost.example", "nordpost.example", ("sv",), 5, {}),
)

# Hosters: profile, MX hosts, how many customers' domains, languages.
_HOSTERS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("gmail", "aspmx.l.google.com alt1.aspmx.l.google.com alt2.aspmx.l.google.com", 34, _WESTERN),
    ("gmail", "smtp.google.com", 8, _WESTERN),
    ("gmx", "mx00.ionos.de mx01.ionos.de", 12, ("de",)),
    ("postfix", "smtpin.rzone.de", 8, ("de",)),
    ("postfix", "mx1.mail.ovh.net mx2.mail.ovh.net mx3.mail.ovh.net", 10, ("fr",)),
    ("postfix", "spool.mail.gandi.net fb.mail.gandi.net", 5, ("fr", "en")),
    ("exim", "mx.hosting.example", 12, ("en", "es")),
    ("exim", "mx.cpanel-seven.example", 10, ("en", "pt")),
    ("sendmail", "smtp.secureserver.net mailstore1.secureserver.net", 8, ("en",)),
    ("recipient_limit", "mx1.emailsrvr.com mx2.emailsrvr.com", 6, ("en",)),
    ("mimecast", "eu-smtp-inbound-1.mimecast.com eu-smtp-inbound-2.mimecast.com", 8, ("en", "de")),
    ("barracuda", "d216482a.ess.barracudanetworks.com d216482b.ess.barracudanetworks.com", 5, ("en",)),
)

# Servers of a single organisation: profile, how many, options of the host.
_SINGLE: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("postfix", 22, {}),
    ("postfix", 3, {"pipelining": False}),
    ("postfix", 2, {"recipients_per_session": 10, "soft_error_limit": 12, "soft_error_delay": 0.2}),
    ("exim", 10, {}),
    ("exchange", 9, {}),
    ("sendmail", 3, {}),
    ("qmail", 4, {}),
    ("helo_only", 2, {}),
    ("tls_required", 3, {}),
    ("connection_limit", 3, {}),
    ("recipient_limit", 2, {}),
    ("greylisting", 6, {}),
    ("greylisting_known", 5, {}),
    ("catch_all", 12, {}),
    ("harvest_guard", 2, {}),
    ("temporary", 3, {}),
    ("relay_denied", 2, {}),
    ("blocks_at_connect", 2, {}),
    ("blocks_at_hello", 1, {}),
    ("blocks_at_mail", 2, {}),
    ("blocks_at_rcpt", 3, {}),
    ("sender_callout", 1, {}),
    ("tarpit", 1, {}),
    ("silent", 1, {}),
    ("garbage", 1, {}),
    ("closes_at_connect", 1, {}),
    ("closes_at_mail", 1, {}),
    ("closes_at_rcpt", 1, {}),
    ("port_closed", 2, {}),
    ("german", 2, {}),
    ("french", 2, {}),
    ("spanish", 2, {}),
    ("russian", 2, {}),
    ("turkish", 2, {}),
    ("chinese", 2, {}),
    ("japanese", 1, {}),
)
_LANGUAGE_OF = {
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "russian": "ru",
    "turkish": "tr",
    "chinese": "zh",
    "japanese": "ja",
}
_HARDLY_ANYBODY = {
    "tarpit",
    "silent",
    "garbage",
    "closes_at_connect",
    "closes_at_mail",
    "closes_at_rcpt",
    "port_closed",
}

_DISPOSABLE = (
    "mailinator.com",
    "yopmail.com",
    "guerrillamail.com",
    "10minutemail.com",
    "trashmail.com",
    "temp-mail.org",
    "sharklasers.com",
    "maildrop.cc",
    "getnada.com",
    "mohmal.com",
    "dispostable.com",
    "mailnesia.com",
)

# Misspelt domain, the domain meant, whether a mail server there catches such mail.
_MISSPELT = (
    ("gmial.com", "gmail.com", True),
    ("gmai.com", "gmail.com", True),
    ("gamil.com", "gmail.com", False),
    ("gmail.con", "gmail.com", False),
    ("gnail.com", "gmail.com", False),
    ("hotmial.com", "hotmail.com", True),
    ("hotmal.com", "hotmail.com", False),
    ("hotmail.con", "hotmail.com", False),
    ("outlok.com", "outlook.com", False),
    ("yahooo.com", "yahoo.com", False),
    ("iclod.com", "icloud.com", False),
    ("gmx.dee", "gmx.de", False),
)

_WORDS_TEXT = (
    "nord sued west ost alpha beta delta omega linden ahorn falke adler anker hafen berg tal fluss quelle "
    "feld wald "
    "stein gold silber eisen kupfer mond stern sonne wolke blitz regen wind meer insel bruecke turm tor "
    "markt garten "
    "harbour river maple cedar summit valley bridge meadow granite amber copper falcon beacon lantern "
    "orchard anchor "
    "soleil riviere montagne jardin verger moulin phare etoile rosso verde bianco ponte monte lago porto "
    "stella "
    "rio puente luna campo torre molino faro zelena modra skala reka most vinter sommar fjord skog"
)
_WORDS = tuple(_WORDS_TEXT.split())
_TRADES_TEXT = (
    "bau technik druck medien logistik moden metall holz reisen energie optik labor software design foods "
    "trading "
    "consulting systems works studio partners clinic legal group shop services tools farm books travel "
    "motors textile"
)
_TRADES = tuple(_TRADES_TEXT.split())
_LEGAL_FORMS = ("", "", "", "-gmbh", "-ag", "-ltd", "-group", "-sarl", "-srl", "-sl", "-ab")
_ROLES = ("info", "sales", "office", "support", "kontakt", "contact", "service", "team", "buchhaltung", "hr")


class WorldBuilder:
    """Fills a world with companies and people, all drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = World()
        self.names: set[str] = set()

    def company(self) -> str:
        """The domain of a company that is not there yet."""
        rng = self.rng
        while True:
            name = f"{rng.choice(_WORDS)}-{rng.choice(_TRADES)}{rng.choice(_LEGAL_FORMS)}"
            end = rng.choice(("example", "example", "example", "test"))
            if name not in self.names:
                self.names.add(name)
                return f"{name}.{end}"

    def state(self) -> State:
        """A mailbox's state: of a thousand, about 55 cannot take mail."""
        states: Sequence[State] = (
            "live",
            "disabled",
            "full",
            "moved",
            "restricted",
            "throttled",
            "temporary",
            "forwarded",
        )
        return self.rng.choices(states, (942, 26, 14, 4, 6, 3, 2, 3))[0]

    def people(self, domain: str, number: int, languages: Sequence[str], *, business: bool) -> None:
        """That many mailboxes; a business gets some that belong to roles."""
        rng, world = self.rng, self.world
        dots = domain in world.domains and world.domains[domain].ignores_dots
        if business:
            for role in rng.sample(_ROLES, min(len(_ROLES), 1 + number // 8)):
                world.mailbox(f"{role}@{domain}", country="")
        missing = number
        while missing > 0:
            who = person(rng, rng.choice(languages))
            local = local_part(rng, who, business=business)
            if dots:
                local = local.replace(".", "")
            if f"{local}@{domain}" in world.mailboxes:
                local += str(rng.randrange(2, 999))
            state = self.state()
            world.mailbox(f"{local}@{domain}", state, name=who.name, language=who.language, country=who.country)
            missing -= 1


def default_world(seed: int = 7, mailboxes: int = 13_000) -> World:
    """About 430 domains and about that many mailboxes; the same seed gives the same world.

    Roughly half of the mailboxes lie with free-mail operators, the rest with hosted and self-run business
    domains, among them a few with every profile and every DNS behaviour there is.
    """
    builder = WorldBuilder(seed)
    world = builder.world
    _free_mail(builder, mailboxes)
    business = _business(builder)
    _oddities(builder)
    _without_people(builder)
    share = max(2, round(mailboxes * 0.38 / len(business)))
    for domain, languages in business:
        builder.people(domain, builder.rng.randint(share // 2, share * 3 // 2), languages, business=True)
    return world


def _free_mail(builder: WorldBuilder, mailboxes: int) -> None:
    world = builder.world
    for profile, hosts, names, languages, share, options in _FREE_MAIL:
        domains = names.split()
        for host in hosts.split():
            world.host(host, profile)
        for number, name in enumerate(domains):
            targets = [(5 + 5 * rank, host) for rank, host in enumerate(hosts.split())]
            if profile == "yahoo":
                targets = [(1, host) for _, host in targets]
            world.domain(name, targets, **options)
            weight = (2 if number == 0 else 1) / (len(domains) + 1)
            builder.people(name, max(2, round(mailboxes * share / 1000 * weight)), languages, business=False)


def _business(builder: WorldBuilder) -> list[tuple[str, Sequence[str]]]:
    world, rng = builder.world, builder.rng
    found: list[tuple[str, Sequence[str]]] = []
    for number in range(58):
        domain = builder.company()
        host = f"{domain.replace('-', '').replace('.', '-')}.mail.protection.outlook.com"
        options: dict[str, Any] = {}
        if number % 6 == 0:
            options["replies"] = {
                "unknown": "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {recipient} not "
                "found by SMTP address lookup"
            }
        world.host(host, "microsoft365", **options)
        # Without directory-based edge blocking Exchange Online accepts every recipient.
        world.domain(domain, [(0, host)], accepts_all=number % 12 == 11)
        found.append((domain, _WESTERN))
    for profile, hosts, customers, languages in _HOSTERS:
        for host in hosts.split():
            world.host(host, profile)
        for number in range(customers):
            domain = builder.company()
            targets = [(10 * rank, host) for rank, host in enumerate(hosts.split(), 1)]
            if profile == "postfix" and number % 2:
                targets = [(10, host) for _, host in targets]
            world.domain(domain, targets, accepts_all=profile == "gmail" and number % 9 == 8)
            found.append((domain, languages))
    for profile, number, options in _SINGLE:
        for _ in range(number):
            domain = builder.company()
            targets = [(10 * rank, f"mx{rank}.{domain}") for rank in range(1, rng.choice((2, 2, 3)))]
            for _, host in targets:
                world.host(host, profile, **options)
            world.domain(domain, targets)
            languages = (_LANGUAGE_OF[profile],) if profile in _LANGUAGE_OF else _WESTERN
            if profile in _HARDLY_ANYBODY:
                builder.people(domain, 4, languages, business=True)
            else:
                found.append((domain, languages))
    return found


def _oddities(builder: WorldBuilder) -> None:
    """Domains whose DNS or whose letters are out of the ordinary, with a few people each."""
    world = builder.world

    def some(domain: str, language: str = "en", number: int = 6) -> None:
        builder.people(domain, number, (language,), business=True)

    world.host("mail.blocked-by-filter.example", "proofpoint").domain(
        "pharma-labor.example", [(10, "mail.blocked-by-filter.example")]
    )
    world.host("mx0a-00a1b201.pphosted.com", "proofpoint").host("mx0b-00a1b201.pphosted.com", "proofpoint")
    world.domain("granite-trading.example", [(10, "mx0a-00a1b201.pphosted.com"), (10, "mx0b-00a1b201.pphosted.com")])
    some("pharma-labor.example")
    some("granite-trading.example")

    # Routes
    world.host("solo-werkstatt.example").domain("solo-werkstatt.example")
    world.host("sechs.example", ipv4=False).domain("sechs.example")
    world.host("www.altbau-alias.example").domain("altbau-alias.example", [(10, "www.altbau-alias.example")])
    world.domain("alias-bau.example", cname="altbau-alias.example")
    world.record("mx.via-alias.example", "CNAME", "www.altbau-alias.example").domain(
        "via-alias.example", [(10, "mx.via-alias.example")]
    )
    world.host("mx1.zweitweg.example", "port_closed").host("mx2.zweitweg.example").domain(
        "zweitweg.example", [(10, "mx1.zweitweg.example"), (20, "mx2.zweitweg.example")]
    )
    world.host("mx2.halb-tot.example").domain(
        "halb-tot.example", [(10, "mx1.halb-tot.example"), (20, "mx2.halb-tot.example")]
    )
    world.host("mx.abgeschnitten.example").domain(
        "abgeschnitten.example", [(10, "mx.abgeschnitten.example")], dns="truncated"
    )
    routed = ("solo-werkstatt", "sechs", "altbau-alias", "via-alias", "zweitweg", "halb-tot", "abgeschnitten")
    for name in routed:
        some(f"{name}.example")
    for box in [box for box in world.mailboxes.values() if box.address.endswith("@altbau-alias.example")]:
        local = box.address.partition("@")[0]
        world.mailbox(
            f"{local}@alias-bau.example", box.state, name=box.name, language=box.language, country=box.country
        )

    # Letters
    world.host("mx.buecher.example").domain("bücher.example", [(10, "mx.buecher.example")])
    world.host("mx.mueller-soehne.example").domain("müller-söhne.example", [(10, "mx.mueller-soehne.example")])
    world.host("mx.pochta.example", "russian").domain("почта.example", [(10, "mx.pochta.example")])
    world.host("mx.rei.example", "japanese").domain("例え.example", [(10, "mx.rei.example")])
    world.host("mx.altpost.example", "exim").domain("altpost.example", [(10, "mx.altpost.example")])
    for domain, language in (
        ("bücher.example", "de"),
        ("müller-söhne.example", "de"),
        ("почта.example", "ru"),
        ("例え.example", "ja"),
        ("altpost.example", "de"),
    ):
        some(domain, language, 12)
        for _ in range(6):
            who = person(builder.rng, language)
            while who.name.isascii():
                who = person(builder.rng, language)
            local = who.name.replace(" ", ".")
            world.mailbox(f"{local}@{domain}", name=who.name, language=language, country=who.country)

    # Name servers in trouble: the people are there, the answer is not.
    troubles: tuple[tuple[str, Behaviour], ...] = (
        ("stoerung-eins", "servfail"),
        ("stoerung-zwei", "servfail"),
        ("verweigert", "refused"),
        ("verschollen", "dropped"),
        ("lahm", "lame"),
    )
    for name, behaviour in troubles:
        domain = f"{name}.example"
        world.host(f"mx.{domain}").domain(domain, [(10, f"mx.{domain}")], dns=behaviour)
        some(domain)


def _without_people(builder: WorldBuilder) -> None:
    """Domains without a mailbox that can be reached, throw-away services and misspelt names."""
    world = builder.world
    for _ in range(26):
        world.domain(builder.company(), dns="nxdomain")
    for _ in range(4):
        world.domain(builder.company(), [(0, ".")])
    for _ in range(4):
        name = builder.company()
        world.domain(name).record(f"www.{name}", "A", "127.0.0.1")
    for _ in range(3):
        name = builder.company()
        world.domain(name, [(10, f"mx.gone-{name}")])
    for address in ("10.0.0.25", "127.0.0.1", "0.0.0.0", "192.0.2.25", "169.254.10.25"):
        name = builder.company()
        world.domain(name, [(10, f"mail.{name}")]).record(f"mail.{name}", "A", address)
    # An address where a name belongs: it is looked up as a name and not found.
    world.domain(builder.company(), [(10, "127.0.0.1")])

    for number in range(2):
        world.host(f"mx{number + 1}.wegwerf-sammler.example", "catch_all")
    for number, name in enumerate(_DISPOSABLE):
        world.domain(name, [(10, f"mx{number % 2 + 1}.wegwerf-sammler.example")], disposable=True)
    world.host("mx.tippfehler-faenger.example", "catch_all")
    for name, meant, caught in _MISSPELT:
        if caught:
            world.domain(name, [(10, "mx.tippfehler-faenger.example")], misspells=meant)
        else:
            world.domain(name, dns="nxdomain", misspells=meant)

"""The servers of disposable domains mark other domains behind them; other servers never do."""

from __future__ import annotations

import polars as pl
import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.reference.disposable_servers import disposable_server
from mailvet.reference.own_lists import OwnLists
from mailvet.verification import scalar
from mailvet.verification.columns import with_disposable_servers
from mailvet.vocabulary import Reason


def route(domain: str, *hosts: str, reason: Reason | None = None) -> Route:
    return Route(domain, reason, tuple(MailHost(host, 10, ("192.0.2.1",)) for host in hosts))


def test_a_domain_that_only_the_servers_of_disposable_ones_serve_is_one() -> None:
    assert (
        disposable_server(route("brand-new.org", "mail.mailinator.com", "mail2.mailinator.com"))
        == "mail.mailinator.com"
    )


@pytest.mark.parametrize(
    "other",
    [
        route("acme.com", "mx.acme.com"),
        route("acme.com", "aspmx.l.google.com"),
        route("acme.com", "mail.mailinator.com", "mx.acme.com"),  # one of several
        route("gmail.com", "mail.mailinator.com"),  # known for mailboxes of its own
        route("acme.com"),
        route("acme.com", "mail.mailinator.com", reason=Reason.no_mail_server),
    ],
)
def test_every_other_domain_is_not(other: Route) -> None:
    assert disposable_server(other) is None


def examined(cell: str, hosts: list[str], own: OwnLists | None = None) -> scalar.Finding:
    finding = scalar.examine(cell, own or OwnLists(), allow_special_use=False)
    assert finding.domain is not None
    finding.add_route(route(finding.domain, *hosts))
    return finding


def test_a_verdict_says_which_server_it_was_and_the_mailbox_is_not_asked_about() -> None:
    finding = examined("info@brand-new.org", ["mail.mailinator.com"])
    assert "disposable" in finding.flags
    assert min(finding.reasons, key=list(Reason).index) is Reason.disposable
    assert finding.facts["reference"][1] == f"{scalar.SERVED_BY}mail.mailinator.com"
    assert not finding.worth_probing


def test_an_allowed_domain_is_never_called_disposable() -> None:
    finding = examined("ann@brand-new.org", ["mail.mailinator.com"], OwnLists.load(allow=["brand-new.org"]))
    assert "disposable" not in finding.flags


def test_columns_say_the_same() -> None:
    evidence = pl.DataFrame(
        {
            "domain": ["brand-new.org", "acme.com", "brand-new.org", None],
            "allowed": [False, False, True, False],
            "disposable": [False, False, False, False],
            "relay_alias": [False, False, False, False],
            "typo_of": pl.Series([None, None, None, None], dtype=pl.String),
            "reference_reason": ["role_account", None, None, None],
            "reference_detail": pl.Series([None, None, None, None], dtype=pl.String),
        }
    )
    routes = {
        "brand-new.org": route("brand-new.org", "mail.mailinator.com"),
        "acme.com": route("acme.com", "mx.acme.com"),
    }
    found = with_disposable_servers(evidence, routes)
    assert found["reference_reason"].to_list() == ["disposable", None, None, None]
    assert found["disposable"].to_list() == [True, False, False, False]
    assert found["reference_detail"][0] == f"{scalar.SERVED_BY}mail.mailinator.com"

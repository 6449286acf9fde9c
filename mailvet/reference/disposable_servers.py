"""Mail servers that serve disposable domains alone mark every other domain behind them.

A service of throw-away addresses takes new domains faster than any list can follow, but the new ones point to its own
servers. A server counts where its name lies under a disposable domain; one whose owner stands in `operators.toml` never
does, nor does a hoster's or a forwarder's: theirs are not named after a disposable domain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mailvet.data.operators import operators
from mailvet.reference import domains
from mailvet.reference.providers import operator_of

if TYPE_CHECKING:
    from mailvet.dns.routes import Route

__all__ = ["disposable_server"]


def disposable_server(route: Route) -> str | None:
    """The preferred server of a route of which every server serves disposable domains alone.

    None for every other route, and for a domain that is known for mailboxes of its own.
    """
    if route.reason is not None or not route.hosts or route.domain in domains.mail_domains():
        return None
    names = [host.name.rstrip(".").lower() for host in route.hosts]
    return names[0] if all(_serves_disposable(name) for name in names) else None


@lru_cache(maxsize=65536)
def _serves_disposable(host: str) -> bool:
    if operator_of(host).name in _listed_operators():
        return False
    return domains.is_under(host, domains.disposable_domains())


@lru_cache(maxsize=1)
def _listed_operators() -> frozenset[str]:
    return frozenset(operator.name for operator in operators())

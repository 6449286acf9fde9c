"""What SPF says to mail from an address (RFC 7208), as far as it can be told without macros, `exists` and `ptr`."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import Final, Literal, Union

from mailvet.dns.resolver import Resolver

__all__ = ["SpfResult", "spf_result"]

SpfResult = Literal["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror", "not evaluated"]
"""The results of RFC 7208 section 2.6, and "not evaluated" where macros, exists or ptr decide."""

_Ip = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]  # noqa: UP007  (evaluated on Python 3.10 as well)

_MOST_LOOKUPS: Final = 10
"""Mechanisms and modifiers that need the DNS, and hosts of one mx (RFC 7208 section 4.6.4)."""
_QUALIFIERS: Final[dict[str, SpfResult]] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_VERSION: Final = re.compile(r"v=spf1( |$)", re.IGNORECASE)
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9._-]*)=(.*)", re.IGNORECASE)
_MECHANISM: Final = re.compile(
    r"(?P<qualifier>[-+~?]?)(?P<name>[a-z0-9]+)(?::(?P<value>[^/]+|[0-9a-f:.]+))?(?P<masks>(?:/\d{1,3})?(?://\d{1,3})?)",
    re.IGNORECASE,
)


async def spf_result(resolver: Resolver, address: str, domain: str) -> SpfResult:
    """What the SPF record of a domain says to mail from an IP address.

    Args:
        resolver: asks for TXT, MX, A and AAAA records.
        address: IPv4 or IPv6.
        domain: of the envelope sender, or the hello name where the sender is null.
    """
    try:
        return await _Evaluation(resolver, ipaddress.ip_address(address)).of(domain)
    except _Ended as end:
        return end.result


class _Ended(Exception):
    """The evaluation ends with this result, whatever else the records say."""

    def __init__(self, result: SpfResult) -> None:
        super().__init__(result)
        self.result: SpfResult = result


class _Evaluation:
    """One evaluation with the records that it includes."""

    def __init__(self, resolver: Resolver, address: _Ip) -> None:
        self._resolver = resolver
        self._address = address
        self._lookups_left = _MOST_LOOKUPS

    async def of(self, domain: str) -> SpfResult:
        """The result of the record of one domain."""
        record = await self._record(domain)
        if record is None:
            return "none"
        redirect: str | None = None
        for term in record.split()[1:]:
            modifier = _MODIFIER.fullmatch(term)
            if modifier is not None:
                redirect = modifier[2] if modifier[1].lower() == "redirect" else redirect
                continue
            mechanism = _MECHANISM.fullmatch(term)
            if mechanism is None:
                raise _Ended("not evaluated" if "%" in term else "permerror")
            if await self._matches(mechanism, domain):
                return _QUALIFIERS[mechanism["qualifier"] or "+"]
        if redirect is None:
            return "neutral"
        if "%" in redirect:
            raise _Ended("not evaluated")
        self._count_lookup()
        result = await self.of(redirect)
        return "permerror" if result == "none" else result

    async def _record(self, domain: str) -> str | None:
        texts = await self._resolver.values(domain, "TXT")
        if texts is None:
            raise _Ended("temperror")
        records = [text for text in texts if _VERSION.match(text)]
        if len(records) > 1:
            raise _Ended("permerror")
        return records[0] if records else None

    async def _matches(self, mechanism: re.Match[str], domain: str) -> bool:
        name, value = mechanism["name"].lower(), mechanism["value"]
        if name == "all":
            return True
        if value is not None and "%" in value:
            raise _Ended("not evaluated")
        if name in ("ip4", "ip6"):
            return self._is_in(f"{value}{mechanism['masks']}")
        if name in ("exists", "ptr"):
            raise _Ended("not evaluated")
        if name not in ("a", "mx", "include"):
            raise _Ended("permerror")
        self._count_lookup()
        if name == "include":
            return await self._included_passes(value)
        hosts = [value or domain]
        if name == "mx":
            hosts = (await self._resolver.values(hosts[0], "MX") or [])[:_MOST_LOOKUPS]
        return await self._is_address_of(hosts, mechanism["masks"])

    def _is_in(self, network: str) -> bool:
        try:
            parsed = ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise _Ended("permerror") from None
        return parsed.version == self._address.version and self._address in parsed

    async def _included_passes(self, domain: str | None) -> bool:
        result = "none" if domain is None else await self.of(domain)
        if result == "none":
            raise _Ended("permerror")
        return result == "pass"

    async def _is_address_of(self, hosts: list[str], masks: str) -> bool:
        """Whether a host has an address in the same network; `masks` as in `a/24//64`."""
        short, _, long = masks.partition("//")
        length, kind = (short.lstrip("/") or "32", "A") if self._address.version == 4 else (long or "128", "AAAA")
        for found in await asyncio.gather(*(self._resolver.values(host, kind) for host in hosts)):
            if any(self._address in ipaddress.ip_network(f"{other}/{length}", strict=False) for other in found or ()):
                return True
        return False

    def _count_lookup(self) -> None:
        self._lookups_left -= 1
        if self._lookups_left < 0:
            raise _Ended("permerror")

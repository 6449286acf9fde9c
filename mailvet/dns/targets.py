"""Which addresses may be contacted: global unicast, and nothing else.

A domain's owner writes its MX and address records, and could point them into the network we run in. What is reserved is
taken from the IANA special-purpose address registries (RFC 6890, with what was added up to RFC 9602 and RFC 9637); of
IPv6 only 2000::/3 is global unicast (RFC 4291 section 2.4). An IPv6 address that stands for one of IPv4 is judged by
that.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["PRIVATE_ADDRESS", "is_global_unicast", "may_be_contacted"]

PRIVATE_ADDRESS = "a private address"
"""What is said of an address that may not be contacted: never which, or a stranger could map our network by asking."""

_RESERVED_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_RESERVED_6 = tuple(
    map(
        ipaddress.IPv6Network,
        # Teredo and the other protocol assignments are in 2001::/23; none of them is a place for a mail server.
        ("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOW_32 = (1 << 32) - 1


@lru_cache(maxsize=65536)
def is_global_unicast(address: str) -> bool:
    """Whether the address belongs to one machine somewhere in the internet.

    >>> is_global_unicast("8.8.8.8"), is_global_unicast("64:ff9b::10.0.0.1")
    (True, False)
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        inner = _inner(ip)
        if inner is None:
            return ip in _UNICAST_6 and not any(ip in network for network in _RESERVED_6)
        ip = inner
    return not any(ip in network for network in _RESERVED_4)


def _inner(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to this one end at; None where it is no such address."""
    if ip.ipv4_mapped is not None:  # RFC 4291 section 2.5.5.2
        return ip.ipv4_mapped
    if ip in _NAT64 or ip in _IPV4_COMPATIBLE:  # RFC 6052 section 2.1, RFC 4291 section 2.5.5.1
        return ipaddress.IPv4Address(int(ip) & _LOW_32)
    if ip in _LOCAL_NAT64 and not int(ip) >> 32 & (1 << 48) - 1:
        # RFC 8215. A translator with a shorter prefix would read the bits between (RFC 6052 section 2.2), so these
        # have to be zero; with them it is no address of this kind, and nothing else is global there.
        return ipaddress.IPv4Address(int(ip) & _LOW_32)
    if ip.sixtofour is not None:  # RFC 3056
        return ip.sixtofour
    return None  # Teredo (RFC 4380) too: 2001::/32 is not global, whatever it stands for


def may_be_contacted(address: str, allowed: bool | Iterable[str] = False) -> bool:
    """Whether a connection to this IP address may be made.

    Args:
        address: IPv4 or IPv6, as text.
        allowed: `smtp.allow_private_networks`, for a lab: True lets everything be contacted; networks by name are then
            the only ones.
    """
    if allowed is True:
        return True
    networks = tuple(allowed) if allowed else ()
    if not networks:
        return is_global_unicast(address)
    return any(_is_in(address, network) for network in networks)


@lru_cache(maxsize=65536)
def _is_in(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)

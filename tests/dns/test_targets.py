"""Which addresses may be contacted: global unicast by the IANA registries, whatever it is wrapped in."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from mailvet.dns.targets import is_global_unicast, may_be_contacted
from mailvet.settings import Smtp
from mailvet.smtp.outcomes import Broken
from mailvet.smtp.session import Session

# fmt: off
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.31.196.1", "223.255.255.1"]
RESERVED = ["0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
            "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
            "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"]
RESERVED_6 = ["::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "ff0e::1",
              "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "2001::1", "2001:2::1", "2001:10::1",
              "2001:0:4136:e378:8000::1",
              "::ffff:0:8.8.8.8", "64:ff9b:1:a00:1::808:808", "64:ff9b:2::8.8.8.8"]
WRAPPED = ["::ffff:{}", "::{}", "64:ff9b::{}", "64:ff9b:1::{}"]
# fmt: on


@pytest.mark.parametrize("address", [*PUBLIC, "2606:4700::1111", "2a00:1450::1", "2620:4f:8000::1"])
def test_global_unicast_may_be_contacted(address: str) -> None:
    assert is_global_unicast(address)


@pytest.mark.parametrize("address", [*RESERVED, *RESERVED_6])
def test_reserved_space_may_not(address: str) -> None:
    assert not is_global_unicast(address)


@pytest.mark.parametrize("form", [*WRAPPED, "2002:"])
def test_a_wrapped_address_is_judged_by_what_is_in_it(form: str) -> None:
    def wrapped(address: str) -> str:
        if form == "2002:":
            return str(ipaddress.IPv6Address((0x2002 << 112) | (int(ipaddress.IPv4Address(address)) << 80) | 1))
        return form.format(address)

    assert all(is_global_unicast(wrapped(address)) for address in PUBLIC)
    assert not any(is_global_unicast(wrapped(address)) for address in RESERVED)


def test_a_lab_of_named_networks_stays_inside_them() -> None:
    assert may_be_contacted("127.0.0.1", ("127.0.0.0/8", "::1/128"))
    assert not may_be_contacted("8.8.8.8", ("127.0.0.0/8",))
    assert not may_be_contacted("10.0.0.1", ("127.0.0.0/8",))
    assert may_be_contacted("10.0.0.1", True)


async def test_the_address_that_is_connected_to_is_judged_again() -> None:
    heard: list[object] = []
    server = await asyncio.start_server(lambda reader, writer: heard.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Broken) as caught:
        await Session.open("mx.acme.test", "127.0.0.1", Smtp(port=port), "probe.example.com")
    server.close()
    assert heard == []
    assert "127.0.0.1" not in str(caught.value.__dict__)
    assert caught.value.detail == "a private address"

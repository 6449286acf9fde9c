"""No address record leads a connection into a private network."""

from __future__ import annotations

from collections.abc import Callable

from mailvet.dns.targets import may_be_contacted
from tests.dns.test_targets import RESERVED, RESERVED_6, WRAPPED


def test_no_reserved_address_is_contacted_in_any_form(tried: Callable[[str, int], None]) -> None:
    forms = [*RESERVED, *RESERVED_6, *(form.format(address) for form in WRAPPED for address in RESERVED)]
    tried("addresses of private networks, plain and wrapped", len(forms))
    assert [address for address in forms if may_be_contacted(address)] == []

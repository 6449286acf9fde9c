"""What the lists say of one domain is the same whether it is looked up alone or in all that is built up."""

from __future__ import annotations

import pytest

from mailvet.reference import domains, listed
from mailvet.reference.own_lists import OwnLists

OWN = OwnLists.load(allow=("a.com", "x@y.com", "@b.de"), deny=("gmail.com",), suppress=("mailinator.com",))


@pytest.mark.parametrize("own", [OwnLists(), OWN], ids=["public", "own"])
def test_every_listed_domain_has_the_same_bits_alone(own: OwnLists) -> None:
    all_bits = listed.listed_bits(own)
    assert len(all_bits) > 50_000
    assert [name for name, bits in all_bits.items() if listed._bits_by_name(name, own) != bits] == []
    assert listed.bits_of("siemens.com", own) == 0
    assert listed.bits_of("x.mailinator.com", own) & listed.DISPOSABLE


def test_disposable_and_mail_domains_are_the_same_one_by_one() -> None:
    disposable, known = domains.disposable_domains(), domains.mail_domains()
    names = [*listed.listed_bits(OwnLists()), "siemens.com", "", "com"]
    assert [name for name in names if domains.is_listed_disposable(name) != (name in disposable)] == []
    assert [name for name in names if domains.is_mail_domain(name) != (name in known)] == []

"""The name that this machine says hello with (RFC 5321 section 4.1.1.1): its own, and one that the DNS knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

__all__ = ["hello_name_problem"]

_PRIVATE_ENDINGS = (".localdomain", ".local", ".internal")


async def hello_name_problem(name: str, resolves: Callable[[str], Awaitable[bool]]) -> str | None:
    """What is wrong with a hello name, in a sentence; None where nothing is.

    Args:
        name: `Settings.hello_name`.
        resolves: whether the DNS has an address for a name; called for public names only.
    """
    if "." not in name or name.endswith(_PRIVATE_ENDINGS) or name.startswith("localhost"):
        return f"This machine calls itself {name!r}, which is no public host name."
    if not await resolves(name):
        return f"The hello name {name!r} does not resolve."
    return None

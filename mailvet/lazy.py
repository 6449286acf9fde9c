"""Names that a module offers and imports only when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of `mailvet`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    module: str, homes: Mapping[str, Sequence[str]], submodules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A module's `__getattr__` and `__dir__`.

    Args:
        module: the module's own `__name__`.
        homes: by module, the names that are defined there.
        submodules: modules of the package that are used as its attributes.

    >>> __getattr__, __dir__ = lazy_names(__name__, {"fractions": ["Fraction"]})
    >>> __getattr__("Fraction")(1, 2)
    Fraction(1, 2)
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name in submodules:
            return import_module(f"{module}.{name}")
        if name not in home_of:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(home_of[name]), name)
        except ImportError as error:
            from mailvet.errors import needs_package

            raise needs_package(error) or error from None
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        return sorted({*home_of, *submodules})

    return load, names

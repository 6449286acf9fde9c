"""How the help of a command is laid out."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["SortedCommand"]


class SortedCommand(TyperCommand):
    """A command whose help lists the options by name."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters: arguments in the order in which they are given, then the options by name."""
        return sorted(super().get_params(ctx), key=_place)


def _place(parameter: Any) -> tuple[int, str]:
    if parameter.param_type_name == "argument":
        return (0, "")
    names = [*parameter.opts, *parameter.secondary_opts]
    return (1, max(names, key=len).lstrip("-"))

"""Made-up cells, each with a local part that nothing may show."""

from __future__ import annotations

import random
import string

__all__ = ["made_up_cells"]

_SIGNS = ("@",) * 6 + ("\uff20", " @ ", " at ", "(at)", " [at] ", "%40", "&#64;")
_FRAMES = ("{}",) * 8 + ("Ann <{}>", "'{}'", '"{}"', "mailto:{}", "a@b.test, {}", "{};b@c.test", "({})", "1,{},x")
_LETTERS = string.ascii_letters + string.digits + ".!#$%&'*+/=?^_`{|}~-,\u00e9\u00df\u4e2d\u0430"


def made_up_cells(count: int, seed: int = 7) -> list[tuple[str, str]]:
    """(cell, the local part in it), the same for the same seed."""
    chosen = random.Random(seed)
    cells = []
    for number in range(count):
        # Long enough, and unlike any word, that its appearance is no chance.
        local = f"zq{number}" + "".join(chosen.choices(_LETTERS, k=chosen.randint(4, 20)))
        if chosen.random() < 0.1:
            local = f'"{local} {number}"'
        domain = chosen.choice(("acme.test", "b\u00fccher.example", "gmial.com", "sub.x.co.uk"))
        cells.append((chosen.choice(_FRAMES).format(f"{local}{chosen.choice(_SIGNS)}{domain}"), local))
    return cells

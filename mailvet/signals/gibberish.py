"""The character model that tells random characters from names and words; see `benchmarks/train_gibberish.py`."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache
from typing import Final

from mailvet.data import lists

__all__ = ["ALPHABET", "SHORTEST_GIBBERISH", "WIDTH", "CharacterModel"]

SHORTEST_GIBBERISH: Final = 6
"""Letters that a local part needs before it can be called gibberish."""
ALPHABET: Final = "." + string.ascii_lowercase + "0"
"""A boundary, the letters, and one digit for all; see `CharacterModel.weights`."""
WIDTH: Final = len(ALPHABET)


@dataclass(frozen=True, slots=True)
class CharacterModel:
    """How telling each character is after the two before it, and from which sum on a text counts as random."""

    weights: tuple[int, ...]
    """For every three characters of the alphabet, in its order: `unit` times ln(P by chance / P in language)."""
    unit: int
    """Parts of a nat that the weights count in."""
    offset: float
    slope: float
    """Gibberish is what exceeds `offset + slope * characters`, in nats."""

    @classmethod
    @cache
    def shipped(cls) -> CharacterModel:
        """The model of `mailvet/data/gibberish.csv`, which says what it was made from."""
        file = lists.read("gibberish")
        rows = {row[0]: row[1] for row in file.rows}
        weights = tuple(int(weight) for a in ALPHABET for b in ALPHABET for weight in rows[a + b].split())
        about = file.about
        return cls(weights, int(about["unit"]), float(about["offset"]), float(about["slope"]))

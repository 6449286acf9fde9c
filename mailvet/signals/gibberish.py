"""The character model that tells random characters from names and words; see `benchmarks/train_gibberish.py`."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from mailvet.data import lists

__all__ = ["ALPHABET", "SHORTEST_GIBBERISH", "WIDTH", "CharacterModel", "threshold", "weights_after"]

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
        weights = tuple(weight for a in ALPHABET for b in ALPHABET for weight in weights_after(a + b))
        return cls(weights, *threshold())


class Threshold(NamedTuple):
    """The numbers of a `CharacterModel`, without its weights."""

    unit: int
    offset: float
    slope: float


@cache
def threshold() -> Threshold:
    """Those of the model that is shipped."""
    about = lists.read("gibberish").about
    return Threshold(int(about["unit"]), float(about["offset"]), float(about["slope"]))


@cache
def weights_after(two: str) -> tuple[int, ...]:
    """The weights of the model that is shipped, after two characters of the alphabet; a first verdict needs few."""
    return tuple(map(int, _rows()[two].split()))


@cache
def _rows() -> dict[str, str]:
    return {row[0]: row[1] for row in lists.read("gibberish").rows}

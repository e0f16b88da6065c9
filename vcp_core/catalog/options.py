"""The five options of a cloze question, and every variant of each (PROTOCOL 3).

A variant is a short string, recorded with every prediction:
    rotation     "90", "180", "270"      degrees, counter-clockwise
    permutation  "1032", ...             tile p[i] of the withheld clip goes to place i; 2 x 2, row by row
    remote       "before:21", "after:16" side, and frames between the replacement and the tuple
    adjacent     "0-2", ...              the two sub-clips of four that change places

Results are given per kind of variant, too (PROTOCOL 4):
    rotation     "90", "180", "270"             the angle
    permutation  "2-tiles", "3-tiles", "4-tiles"  how many tiles moved: 6, 8 and 9 permutations
    remote       "before", "after"              the side, and
                 "0-15", "16-31", "32-63", "64-up"  the distance, in frames
    adjacent     "1-apart", "2-apart", "3-apart"  how far the two were from each other
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from vcp_core.catalog.registry import Registry

Ability = Literal["none", "spatial", "temporal"]


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """One of the five answers.

    Attributes:
        name: What users read.
        ability: What telling it apart takes: spatial or temporal knowledge, or none.
        does: One clause for tables and help.
        variants: All of them; empty where they are open-ended (remote).
    """

    name: str
    ability: Ability
    does: str
    variants: tuple[str, ...]


ROTATIONS = ("90", "180", "270")
PERMUTATIONS = tuple("".join(p) for p in itertools.permutations("0123"))[1:]  # the first is the identity
NUM_SUBCLIPS = 4
EXCHANGES = tuple(f"{i}-{j}" for i, j in itertools.combinations(range(NUM_SUBCLIPS), 2))

OPTIONS = Registry(
    "option",
    OptionSpec(name="original", ability="none", does="nothing was done", variants=("",)),
    OptionSpec(name="rotation", ability="spatial", does="every frame rotated", variants=ROTATIONS),
    OptionSpec(name="permutation", ability="spatial", does="2 x 2 tiles rearranged", variants=PERMUTATIONS),
    OptionSpec(name="remote", ability="temporal", does="a clip from elsewhere in the video", variants=()),
    OptionSpec(
        name="adjacent", ability="temporal", does="two of four sub-clips exchanged", variants=EXCHANGES
    ),
)
OPTION_NAMES = tuple(OPTIONS)

DISTANCES = {"0-15": range(16), "16-31": range(16, 32), "32-63": range(32, 64)}  # frames; then FARTHEST
FARTHEST = "64-up"
KINDS: dict[str, tuple[str, ...]] = {
    "rotation": ROTATIONS,
    "permutation": ("2-tiles", "3-tiles", "4-tiles"),
    "remote": ("before", "after", *DISTANCES, FARTHEST),
    "adjacent": ("1-apart", "2-apart", "3-apart"),
}


def kinds_of(option: str, variant: str) -> tuple[str, ...]:
    """Which of its option's `KINDS` a variant is; none for the original.

    >>> [kinds_of(*one) for one in (("rotation", "90"), ("permutation", "1032"), ("adjacent", "0-2"))]
    [('90',), ('4-tiles',), ('2-apart',)]
    >>> kinds_of("remote", "before:21"), kinds_of("original", "")
    (('before', '16-31'), ())
    """
    if option == "rotation":
        return (variant,)
    if option == "permutation":
        return (f"{sum(int(tile) != place for place, tile in enumerate(variant))}-tiles",)
    if option == "adjacent":
        first, second = map(int, variant.split("-"))
        return (f"{second - first}-apart",)
    if option == "remote":
        side, distance = variant.split(":")
        bins = (name for name, span in DISTANCES.items() if int(distance) in span)
        return (side, next(bins, FARTHEST))
    return ()

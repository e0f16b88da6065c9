"""The five options of a cloze question, and every variant of each (PROTOCOL 3).

A variant is a short string, recorded with every prediction:
    rotation     "90", "180", "270"      degrees, counter-clockwise
    permutation  "1032", ...             tile p[i] of the withheld clip goes to place i; 2 x 2, row by row
    remote       "before:21", "after:16" side, and frames between the replacement and the tuple
    adjacent     "0-2", ...              the two sub-clips of four that change places
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

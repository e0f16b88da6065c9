"""The options of a cloze question, and every variant of each (PROTOCOL 3).

Adding one: an entry here, its function in vcp_core/video/operations.py (docs/adding/operation.md).

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vcp_core.catalog.registry import Registry

Ability = Literal["none", "spatial", "temporal"]
KindsOf = Callable[[str], tuple[str, ...]]


def _no_kinds(variant: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """One of the answers.

    Attributes:
        name: What users read.
        ability: What telling it apart takes: spatial or temporal knowledge, or none.
        does: One clause for tables and help.
        variants: All of them; empty where they are open-ended (remote).
        operation: `module:function` from a clip and a variant to the rearranged clip; None where the option
            rearranges nothing (original, remote).
        kinds: Kinds of variant, each of which gets a recall of its own.
        kinds_of: From a variant to those of `kinds` that it is.
    """

    name: str
    ability: Ability
    does: str
    variants: tuple[str, ...]
    operation: str | None = None
    kinds: tuple[str, ...] = ()
    kinds_of: KindsOf = _no_kinds

    def __post_init__(self) -> None:
        if self.operation is None and self.name not in ("original", "remote"):
            raise ValueError(f"{self.name}: no operation. Name the function that rearranges a clip.")
        found = {kind for variant in self.variants for kind in self.kinds_of(variant)}
        if self.variants and found != {*self.kinds}:
            raise ValueError(
                f"{self.name}: kinds_of gives {sorted(found)}, and its kinds are {sorted(self.kinds)}."
            )


ROTATIONS = ("90", "180", "270")
PERMUTATIONS = tuple("".join(p) for p in itertools.permutations("0123"))[1:]  # the first is the identity
NUM_SUBCLIPS = 4
EXCHANGES = tuple(f"{i}-{j}" for i, j in itertools.combinations(range(NUM_SUBCLIPS), 2))
DISTANCES = {"0-15": range(16), "16-31": range(16, 32), "32-63": range(32, 64)}  # frames; then FARTHEST
FARTHEST = "64-up"


def _tiles_moved(permutation: str) -> tuple[str, ...]:
    return (f"{sum(int(tile) != position for position, tile in enumerate(permutation))}-tiles",)


def _side_and_distance(variant: str) -> tuple[str, ...]:
    side, distance = variant.split(":")
    bins = (name for name, span in DISTANCES.items() if int(distance) in span)
    return (side, next(bins, FARTHEST))


def _apart(exchange: str) -> tuple[str, ...]:
    first, second = map(int, exchange.split("-"))
    return (f"{second - first}-apart",)


OPTIONS = Registry(
    "option",
    OptionSpec(name="original", ability="none", does="nothing was done", variants=("",)),
    OptionSpec(
        name="rotation",
        ability="spatial",
        does="every frame rotated",
        variants=ROTATIONS,
        operation="vcp_core.video.operations:rotate",
        kinds=ROTATIONS,
        kinds_of=lambda degrees: (degrees,),
    ),
    OptionSpec(
        name="permutation",
        ability="spatial",
        does="2 x 2 tiles rearranged",
        variants=PERMUTATIONS,
        operation="vcp_core.video.operations:permute_tiles",
        kinds=("2-tiles", "3-tiles", "4-tiles"),
        kinds_of=_tiles_moved,
    ),
    OptionSpec(
        name="remote",
        ability="temporal",
        does="a clip from elsewhere in the video",
        variants=(),
        kinds=("before", "after", *DISTANCES, FARTHEST),
        kinds_of=_side_and_distance,
    ),
    OptionSpec(
        name="adjacent",
        ability="temporal",
        does="two of four sub-clips exchanged",
        variants=EXCHANGES,
        operation="vcp_core.video.operations:exchange_subclips",
        kinds=("1-apart", "2-apart", "3-apart"),
        kinds_of=_apart,
    ),
)
OPTION_NAMES = tuple(OPTIONS)
# What the protocols published so far ask. An option that is added later is asked only where a protocol names
# it: more answers change what chance is.
PAPERS_OPTIONS = ("original", "rotation", "permutation", "remote", "adjacent")
KINDS = {spec.name: spec.kinds for spec in OPTIONS.values() if spec.kinds}


def kinds_of(option: str, variant: str) -> tuple[str, ...]:
    """Which of its option's `KINDS` a variant is; none for the original.

    Raises:
        UnknownName: If there is no such option.

    >>> [kinds_of(*one) for one in (("rotation", "90"), ("permutation", "1032"), ("adjacent", "0-2"))]
    [('90',), ('4-tiles',), ('2-apart',)]
    >>> kinds_of("remote", "before:21"), kinds_of("original", "")
    (('before', '16-31'), ())
    """
    return OPTIONS[option].kinds_of(variant)


def chosen_options(names: Sequence[str]) -> tuple[str, ...]:
    """The options of these names in the catalog's order, which is the order of answers everywhere.

    Raises:
        UnknownName: If there is no such option.
        ValueError: If there are fewer than two, one is named twice, or "original" is missing.

    >>> chosen_options(["adjacent", "original"])
    ('original', 'adjacent')
    """
    for name in names:
        OPTIONS[name]
    if len(set(names)) < max(2, len(names)) or "original" not in names:
        raise ValueError(f"must hold 'original' and others, each once, got {list(names)}")
    return tuple(name for name in OPTION_NAMES if name in names)

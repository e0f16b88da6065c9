"""The stored comparison of two evaluations. A worker makes it; page, client and gate read it. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.versions import SCORING_VERSION
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import Difference, compare, unpaired

SAME = "the two are the same weights with the same input, so they are equal whatever the number of videos"


class Compared(BaseModel):
    """The result of a comparison.

    Attributes:
        differences: The difference, second minus first, in every metric that both have.
        notes: Sentences about benchmarks that were compared on fewer videos, or not at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


# A comparison that was stored under one version is never read by another. The names of the fields are part of
# the version, because a document with other fields could not be parsed.
_FIELDS = hashlib.sha256(" ".join(sorted(Difference.model_fields)).encode()).hexdigest()
COMPARED_VERSION = f"{SCORING_VERSION}-{_FIELDS[:8]}"


def compare_and_note(
    first: Mapping[str, Predictions],
    second: Mapping[str, Predictions],
    protocol: Protocol,
    *,
    same: bool = False,
    on_units: OnUnits = ignore,
) -> Compared:
    """Compare two evaluations, and collect notes for the reader.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: The protocol; it sets the level of intervals.
        same: Whether both are the same weights with the same input.
        on_units: Called with the number of benchmarks compared since the last call.

    Raises:
        NotAvailable: If the two have different rows for a video.

    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> columns = {"video": list("abcdefgh"), "group": [None] * 8, "label": ["wave"] * 8}
    >>> columns |= {"hit_at_1": [True] * 8, "average_precision": [1.0] * 8}
    >>> facts = {"ks": [1], "gallery": {"clap": 9, "wave": 9}}
    >>> answered = Predictions(benchmark="retrieval", answers=("clap", "wave"), columns=columns, facts=facts)
    >>> first = {"retrieval": answered}
    >>> compared = compare_and_note(first, first, PROTOCOLS["quick-v1"], same=True)
    >>> [(one.metric, one.difference, one.low, one.high) for one in compared.differences]
    [('retrieval.top1', 0.0, 0.0, 0.0), ('retrieval.map', 0.0, 0.0, 0.0)]
    """
    differences: list[Difference] = []
    for name in first:
        differences += compare({name: first[name]}, second, protocol, same=same)
        on_units(1)
    notes = unpaired(first, second)
    return Compared(differences=tuple(differences), notes=(SAME, *notes) if same else notes)

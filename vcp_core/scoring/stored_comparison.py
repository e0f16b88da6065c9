"""Two evaluations compared, as it is kept: a worker makes it; page, client and gate read it. No torch."""

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
    """Everything that a comparison gives.

    Attributes:
        differences: Of every metric that both have, the second less the first.
        notes: Benchmarks that stand on fewer videos than one of the two, or on none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


# What is kept under one version is never read by another. The fields are part of the version, because a
# document of other fields could not be read at all.
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
    """Every difference of two evaluations, and what a reader must know of them.

    Args:
        first: Predictions by benchmark.
        second: Predictions by benchmark, on the same dataset under the same protocol.
        protocol: How intervals are made.
        same: Whether both are the same weights with the same input.
        on_units: Told how many benchmarks are compared since the last call.

    Raises:
        NotAvailable: If the two have other numbers of answers for a video.
    """
    differences: list[Difference] = []
    for name in first:
        differences += compare({name: first[name]}, second, protocol, same=same)
        on_units(1)
    notes = unpaired(first, second)
    return Compared(differences=tuple(differences), notes=(SAME, *notes) if same else notes)

"""Two results of the same checkpoint, dataset and protocol: are they the same? No torch.

The same versions on the same kind of device give the same scores to the last digit. Another device, or other
versions, round features elsewhere: an answer that was nearly a draw may then fall the other way, and a probe
that chooses its strength by a hair may choose another. Scores may then differ by `TOLERANCE_POINTS`, or by
`TOLERANCE_VIDEOS` test videos where these weigh more.
"""

from __future__ import annotations

from dataclasses import dataclass

from vcp_core.results import Results, Score

# A choice, wider than what was seen: by other kernels of the same CPU (without oneDNN) no score moved in
# `pytest -s tests/test_reproduction.py`, and none of 50 on a GPU in `tests/pretraining/test_cuda.py`; both
# print those that do. Of frozen features: what was finetuned on another device is another trajectory.
TOLERANCE_POINTS = 0.5
TOLERANCE_VIDEOS = 2


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A score that came out otherwise, percent.

    Attributes:
        metric: Whose score.
        first: As it was.
        second: As it is now; None where there is none any more, or `first` where there was none.
        allowed: By how much it may differ between devices, points.
    """

    metric: str
    first: float | None
    second: float | None
    allowed: float

    @property
    def tolerable(self) -> bool:
        """Whether another device explains it."""
        if self.first is None or self.second is None:
            return False
        return abs(self.second - self.first) <= self.allowed


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two results of the same inputs relate.

    Attributes:
        num_scores: Compared.
        deviations: Scores that differ at all, largest difference first.
        conditions: What else differs and may explain it: "device: A, now B", "torch: 2.12, now 2.13".
    """

    num_scores: int
    deviations: tuple[Deviation, ...]
    conditions: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Every score is the same to the last digit."""
        return not self.deviations

    @property
    def reproduced(self) -> bool:
        """Equal; or on another device or by other versions, and within the tolerance."""
        return self.equal or (bool(self.conditions) and all(one.tolerable for one in self.deviations))


def agreement(first: Results, second: Results) -> Agreement:
    """Compare every score with its interval and its control.

    Args:
        first: As published.
        second: As measured again, from the same checkpoint, dataset and protocol.

    Raises:
        ValueError: If the two are of other inputs.
    """
    for what, mine, other in (
        ("checkpoint", first.provenance.checkpoint["sha256"], second.provenance.checkpoint["sha256"]),
        ("dataset", first.provenance.dataset["fingerprint"], second.provenance.dataset["fingerprint"]),
        ("protocol", first.provenance.protocol_hash, second.provenance.protocol_hash),
    ):
        if mine != other:
            raise ValueError(f"The two results are of another {what}: {mine} and {other}.")
    before, now = _by_metric(first), _by_metric(second)
    found = [
        _deviation(metric, before.get(metric), now.get(metric))
        for metric in sorted({*before, *now})
        if before.get(metric) != now.get(metric)
    ]
    return Agreement(
        num_scores=len({*before, *now}),
        deviations=tuple(sorted(found, key=lambda one: (-_size(one), one.metric))),
        conditions=_conditions(first, second),
    )


def _by_metric(results: Results) -> dict[str, Score]:
    return {score.metric: score for result in results.benchmarks for score in result.scores}


def _deviation(metric: str, before: Score | None, now: Score | None) -> Deviation:
    num_videos = min(one.num_videos for one in (before, now) if one is not None)
    return Deviation(
        metric=metric,
        first=before.value if before else None,
        second=now.value if now else None,
        allowed=max(TOLERANCE_POINTS, 100 * TOLERANCE_VIDEOS / max(num_videos, 1)),
    )


def _size(deviation: Deviation) -> float:
    if deviation.first is None or deviation.second is None:
        return 100.0
    return abs(deviation.second - deviation.first)


def _conditions(first: Results, second: Results) -> tuple[str, ...]:
    before = {"device": first.provenance.device, **first.provenance.versions}
    now = {"device": second.provenance.device, **second.provenance.versions}
    return tuple(
        f"{name}: {before.get(name, 'unknown')}, now {now.get(name, 'unknown')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )

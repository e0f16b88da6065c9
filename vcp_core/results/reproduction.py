"""Two results of the same checkpoint, dataset and protocol: are they the same? No torch.

The same versions on the same kind of device, with as many threads, give the same scores to the last digit.
Another device, or other versions, round features elsewhere: an answer that was nearly a draw may then fall
the other way, and a probe that chooses its strength by a hair may choose another. Scores may then differ by
`TOLERANCE_POINTS`, or by `TOLERANCE_VIDEOS` test videos where these weigh more, and what is made of them by
`MULTIPLES` of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vcp_core.catalog.units import Unit
from vcp_core.results.types import Provenance, Results, Score

# A choice, wider than what was seen: by other kernels of the same CPU (without oneDNN) no score moved in
# `pytest -s tests/results/test_reproduction.py`, and none of 50 on a GPU in `tests/pretraining/test_cuda.py`;
# both print those that do. Of frozen features: what was finetuned on another device is another trajectory.
TOLERANCE_POINTS = 0.5
TOLERANCE_VIDEOS = 2
# Control and pixels are scores as well; a lift is the difference of two. How far the ends of intervals move
# when scores move so far: docs/decisions/2026-11-26-tolerance.md, `python -m bench.tolerance`.
MULTIPLES = {
    "value": 1,
    "control": 1,
    "pixels": 1,
    "lift": 2,
    "low": 4,
    "high": 4,
    "lift_low": 4,
    "lift_high": 4,
    "above_pixels_low": 4,
    "above_pixels_high": 4,
}
KEPT_LATER = ("above_pixels_low", "above_pixels_high")  # results from before 2026-11-26 have none
GIVEN = ("chance", "num_videos", "num_units")  # by the dataset and the protocol, whatever the device
NAMES = ("metric", "unit", "better", "units", "headline")  # no numbers
TOLERANCE_SHARE = (
    0.01  # of a plain number, in place of points; a choice, until one is measured on two devices
)
ROUNDING = 1e-9  # points


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A number of a score that came out otherwise, in the score's unit; of counts, a count.

    Attributes:
        metric: Whose score.
        field: Which of its numbers; "value" where the whole score came or went.
        first: As it was.
        second: As it is now; None where there is none any more, or `first` where there was none.
        allowed: By how much it may differ between devices.
        unit: Of the score.
    """

    metric: str
    field: str
    first: float | None
    second: float | None
    allowed: float
    unit: Unit = "percent"

    @property
    def tolerable(self) -> bool:
        """Whether another device explains it."""
        if self.first is None or self.second is None:
            return False
        return abs(self.second - self.first) <= self.allowed

    @property
    def size(self) -> float:
        """The difference as a multiple of what is allowed; infinite where a number came or went."""
        if self.first is None or self.second is None:
            return math.inf
        return abs(self.second - self.first) / self.allowed


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two results of the same inputs relate.

    Attributes:
        num_scores: Compared.
        deviations: Numbers that differ at all, the largest first, by what is allowed.
        conditions: What else differs and may explain it: "device: A, now B", "network threads: 2, now 1",
            "torch: 2.12, now 2.13".
    """

    num_scores: int
    deviations: tuple[Deviation, ...]
    conditions: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Every number of every score is the same to the last digit."""
        return not self.deviations

    @property
    def num_differing(self) -> int:
        """Scores with a number that differs."""
        return len({one.metric for one in self.deviations})

    @property
    def reproduced(self) -> bool:
        """Equal; or on another device, by other threads or versions, and within the tolerance."""
        return self.equal or (bool(self.conditions) and all(one.tolerable for one in self.deviations))


def agreement(first: Results, second: Results) -> Agreement:
    """Compare every score with its interval, its control, the lift over it, and the pixels'.

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
    one_rule = _sizes_known(first) and _sizes_known(second)
    found = [
        deviation
        for metric in sorted({*before, *now})
        for deviation in _deviations(metric, before.get(metric), now.get(metric))
        if one_rule or deviation.field != "chance" or not metric.startswith("recognition.")
    ]
    return Agreement(
        num_scores=len({*before, *now}),
        deviations=tuple(sorted(found, key=lambda one: (-one.size, one.metric))),
        conditions=tuple(differing(conditions(first.provenance), conditions(second.provenance)).values()),
    )


def _sizes_known(results: Results) -> bool:
    """Whether chance of recognition goes by the sizes of classes; before 2026-11-26 it was 1/K."""
    parts = [part for part in results.benchmarks if part.benchmark == "recognition" and part.predictions]
    return all(part.predictions and "training" in part.predictions.facts for part in parts)


def _by_metric(results: Results) -> dict[str, Score]:
    return {score.metric: score for result in results.benchmarks for score in result.scores}


def _deviations(metric: str, before: Score | None, now: Score | None) -> Iterator[Deviation]:
    """Those of one score."""
    there = [one for one in (before, now) if one is not None]
    unit, once = there[0].unit, _once(there)
    if before is None or now is None:
        first, second = (None if one is None else one.value for one in (before, now))
        yield Deviation(metric=metric, field="value", first=first, second=second, allowed=once, unit=unit)
        return
    allowed = {name: once * times for name, times in MULTIPLES.items()}
    # A precision stands on the answers that were given, and on as many as there were.
    allowed |= {name: ROUNDING for name in GIVEN if name == "chance" or ".precision." not in metric}
    for name, most in allowed.items():
        first, second = getattr(before, name), getattr(now, name)
        known = name not in KEPT_LATER or None not in (first, second)
        if first != second and known:
            yield Deviation(metric=metric, field=name, first=first, second=second, allowed=most, unit=unit)


def _once(scores: Sequence[Score]) -> float:
    """By how much an estimate may differ between devices, in the score's unit."""
    if scores[0].unit == "number":
        return max(ROUNDING, TOLERANCE_SHARE * max(abs(one.value) for one in scores))
    num_videos = min(one.num_videos for one in scores)
    return max(TOLERANCE_POINTS, 100 * TOLERANCE_VIDEOS / max(num_videos, 1))


def conditions(provenance: Provenance) -> dict[str, int | str]:
    """What decided the last digits, beside checkpoint, dataset and protocol."""
    return {"device": provenance.device, **provenance.machine, **provenance.versions}


def differing(before: Mapping[str, int | str], now: Mapping[str, int | str]) -> dict[str, str]:
    """Those conditions that are not the same, in words, by name."""
    return {
        name: f"{name.replace('_', ' ')}: {before.get(name, 'not kept')}, now {now.get(name, 'not kept')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    }

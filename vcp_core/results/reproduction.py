"""Whether two results of the same checkpoint, dataset and protocol agree. No torch.

The same versions on the same kind of device with the same number of threads give equal scores to the last
digit. Another device or other versions round features differently. Then an answer that was nearly a tie may
change, and a probe may choose another L2 strength. So scores may differ by `TOLERANCE_POINTS`, or by
`TOLERANCE_VIDEOS` test videos if that is more. Numbers derived from scores may differ by `MULTIPLES` of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vcp_core.catalog.units import Unit
from vcp_core.results.types import Provenance, Results, Score

# The tolerances are a choice, wider than any difference seen. With other kernels of the same CPU (without
# oneDNN) no score moved in `pytest -s tests/results/test_reproduction.py`. On a GPU none of 50 moved in
# `tests/pretraining/test_cuda.py`. Both tests print scores that move. The tolerances hold for frozen features
# only: finetuning on another device follows another trajectory.
TOLERANCE_POINTS = 0.5
TOLERANCE_VIDEOS = 2
# Control and pixels are scores as well, and a lift is the difference of two scores. For the ends of intervals
# see docs/decisions/2026-11-26-tolerance.md, `python -m bench.tolerance`.
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
KEPT_LATER = ("above_pixels_low", "above_pixels_high")  # results from before 2026-11-26 lack these
GIVEN = ("chance", "num_videos", "num_units")  # decided by dataset and protocol, not by the device
NAMES = ("metric", "unit", "better", "units", "headline")  # fields that are not numbers
TOLERANCE_SHARE = (
    0.01  # of a plain number, in place of points; a choice, until one is measured on two devices
)
ROUNDING = 1e-9  # points


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One number of a score that differs between two results.

    Attributes:
        metric: The score's metric.
        field: The name of the number; "value" if only one of the results has the score.
        first: The number in the first result, in the score's unit; None if the result does not have it.
        second: The number in the second result; None if the result does not have it.
        allowed: The largest difference that another device explains.
        unit: The score's unit.
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
        """The difference as a multiple of `allowed`; infinite if one result lacks the number."""
        if self.first is None or self.second is None:
            return math.inf
        return abs(self.second - self.first) / self.allowed


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two results of the same inputs relate.

    Attributes:
        num_scores: Number of scores compared.
        deviations: All numbers that differ, sorted by `size`, the largest first.
        conditions: Differences that may explain them: "device: A, now B", "network threads: 2, now 1",
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
        """Number of scores in which a number differs."""
        return len({one.metric for one in self.deviations})

    @property
    def reproduced(self) -> bool:
        """Equal, or within the tolerance if device, threads or versions differ."""
        return self.equal or (bool(self.conditions) and all(one.tolerable for one in self.deviations))


def agreement(first: Results, second: Results) -> Agreement:
    """Compare every score with its interval, its control, the lift over it, and the pixels'.

    Args:
        first: The published results.
        second: Results measured again, from the same checkpoint, dataset and protocol.

    Raises:
        ValueError: If checkpoint, dataset or protocol differ.

    >>> from vcp_core.results.types import BenchmarkResult
    >>> inputs = {"checkpoint": {"sha256": "0a"}, "dataset": {"fingerprint": "0b"}, "protocol_hash": "0c"}
    >>> numbers = {"low": 60.0, "high": 80.0, "num_videos": 96, "num_units": 47, "units": "group"}
    >>> def measured(value, threads):
    ...     scores = (Score(metric="cloze.accuracy", value=value, **numbers),)
    ...     machine = {"network_threads": threads}
    ...     there = Provenance.model_construct(device="cpu", machine=machine, versions={}, **inputs)
    ...     return Results(benchmarks=(BenchmarkResult(benchmark="cloze", scores=scores),), provenance=there)
    >>> found = agreement(measured(70.0, 2), measured(70.4, 1))
    >>> found.equal, found.reproduced, found.conditions
    (False, True, ('network threads: 2, now 1',))
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
    """Whether chance of recognition was computed from class sizes; before 2026-11-26 it was 1/K."""
    parts = [part for part in results.benchmarks if part.benchmark == "recognition" and part.predictions]
    return all(part.predictions and "training" in part.predictions.facts for part in parts)


def _by_metric(results: Results) -> dict[str, Score]:
    return {score.metric: score for result in results.benchmarks for score in result.scores}


def _deviations(metric: str, before: Score | None, now: Score | None) -> Iterator[Deviation]:
    """The deviations of one score."""
    there = [one for one in (before, now) if one is not None]
    unit, once = there[0].unit, _once(there)
    if before is None or now is None:
        first, second = (None if one is None else one.value for one in (before, now))
        yield Deviation(metric=metric, field="value", first=first, second=second, allowed=once, unit=unit)
        return
    allowed = {name: once * times for name, times in MULTIPLES.items()}
    # A precision's videos depend on the network's answers, so their number may differ.
    allowed |= {name: ROUNDING for name in GIVEN if name == "chance" or ".precision." not in metric}
    for name, most in allowed.items():
        first, second = getattr(before, name), getattr(now, name)
        known = name not in KEPT_LATER or None not in (first, second)
        if first != second and known:
            yield Deviation(metric=metric, field=name, first=first, second=second, allowed=most, unit=unit)


def _once(scores: Sequence[Score]) -> float:
    """The tolerance of an estimate between devices, in the score's unit."""
    if scores[0].unit == "number":
        return max(ROUNDING, TOLERANCE_SHARE * max(abs(one.value) for one in scores))
    num_videos = min(one.num_videos for one in scores)
    return max(TOLERANCE_POINTS, 100 * TOLERANCE_VIDEOS / max(num_videos, 1))


def conditions(provenance: Provenance) -> dict[str, int | str]:
    """The facts besides checkpoint, dataset and protocol that decided the last digits.

    >>> there = Provenance.model_construct(
    ...     device="cpu: x86_64 AVX2", machine={"network_threads": 2}, versions={"torch": "2.13.0"}
    ... )
    >>> conditions(there)
    {'device': 'cpu: x86_64 AVX2', 'network_threads': 2, 'torch': '2.13.0'}
    """
    return {"device": provenance.device, **provenance.machine, **provenance.versions}


def differing(before: Mapping[str, int | str], now: Mapping[str, int | str]) -> dict[str, str]:
    """Describe each condition that differs, by its name.

    >>> differing({"torch": "2.12", "device": "cpu"}, {"torch": "2.13", "device": "cpu"})
    {'torch': 'torch: 2.12, now 2.13'}
    """
    return {
        name: f"{name.replace('_', ' ')}: {before.get(name, 'not kept')}, now {now.get(name, 'not kept')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    }

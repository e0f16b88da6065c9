"""What an evaluation gives: typed scores with intervals, predictions behind them, and provenance.

The JSON of a result is determined by checkpoint, dataset, protocol, versions and the device with its numbers
of threads: the same run twice gives the same bytes. Clocks are kept apart, in `Timings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vcp_core.catalog.errors import NotAvailable, UnknownName
from vcp_core.catalog.files import whole
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.scores import Score as Score  # part of a result, as every class here

SCHEMA = "vcpbench.results/1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fit(_Record):
    """How a probe was fitted: the chosen L2 strength, and whether L-BFGS converged."""

    name: str
    l2: float
    holdout_losses: dict[str, float]
    converged: bool
    num_iterations: int
    gradient_norm: float
    notes: tuple[str, ...] = ()


class Table(_Record):
    """A named matrix for people: a confusion, recalls per class."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


class Predictions(_Record):
    """Per-video outcomes of one benchmark, by column; every score derives from these.

    Attributes:
        benchmark: Whose they are.
        answers: The possible answers, in order (options or classes).
        columns: Lists of one length; "video" and "group" are always there.
        num_left_out: Test videos that this benchmark cannot use, counted.
        facts: Counts that its metrics need and that rows do not carry (class sizes of a gallery).
        fits: The probes behind the answers.
    """

    benchmark: str
    answers: tuple[str, ...]
    columns: dict[str, list[Any]]
    num_left_out: int = 0
    facts: dict[str, Any] = {}
    fits: tuple[Fit, ...] = ()

    def column(self, name: str) -> list[Any]:
        """One column, a value per row."""
        return self.columns[name]

    @property
    def num_videos(self) -> int:
        """Distinct test videos."""
        return len(set(self.columns["video"]))


class BenchmarkResult(_Record):
    """One benchmark of one evaluation; `unavailable` says why there are no scores.

    A metric that nothing counts for (the precision of an answer never given) has no score: zero of zero is
    no measurement.
    """

    benchmark: str
    unavailable: str | None = None
    scores: tuple[Score, ...] = ()
    tables: tuple[Table, ...] = ()
    predictions: Predictions | None = None
    controls: dict[str, dict[str, float]] = {}
    # Of random weights, by seed; in memory alone, for the lift of a mean over splits: files would be several
    # times as large with them.
    control_predictions: dict[str, Predictions] = Field(default={}, exclude=True, repr=False)
    warnings: tuple[str, ...] = ()


class Provenance(_Record):
    """Everything that determined the numbers (PROTOCOL 10).

    Attributes:
        checkpoint: Its report.
        backbone: Its architecture's name.
        dataset: Name, split, fingerprint, licence, counts, and what was left out; `own_name`, the catalog's,
            where it is registered under another.
        protocol_name: As the run was asked for.
        protocol_hash: By which results are comparable.
        protocol: All its numbers.
        versions: Of everything that touches a digit.
        device: In words.
        machine: What else of it decides last digits: `batch_clips` of a forward pass, `network_threads` of a
            CPU in it, `blas_threads` of probes and intervals. Of several workers' "1; 2"; without a key that
            was not kept, as in results from before they were.
        num_clips: Distinct clips, each forwarded once.
        calibration_clips: Training clips that random weights were calibrated on; None without controls.
        pretrained_on: What the checkpoint's makers declare that it was trained on; None where they do not.
        input_spec: The clips that it took, in full (`vcp_core.catalog.inputs`); None in results from before
            it could be declared.
        reproduce: The command that gives the same again; None where dataset or protocol has no name, and for
            random weights and pixels, which have no file.
    """

    checkpoint: dict[str, Any]
    backbone: str
    dataset: dict[str, Any]
    protocol_name: str
    protocol_hash: str
    protocol: Protocol
    versions: dict[str, str]
    device: str
    machine: dict[str, int | str] = {}
    num_clips: int
    calibration_clips: int | None = None
    pretrained_on: str | None = None
    input_spec: str | None = None
    reproduce: str | None


class Timings(_Record):
    """Wall time in seconds; decoding overlaps with the rest, `wait_s` is what the network waited for it."""

    total_s: float
    decode_s: float
    wait_s: float
    forward_s: float
    scoring_s: float
    controls_s: float


class Results(_Record):
    """All benchmarks of one checkpoint on one dataset under one protocol."""

    schema_name: str = SCHEMA
    benchmarks: tuple[BenchmarkResult, ...]
    warnings: tuple[str, ...] = ()
    provenance: Provenance
    timings: Timings | None = Field(default=None, exclude=True)

    def benchmark(self, name: str) -> BenchmarkResult:
        """One benchmark's result.

        Raises:
            UnknownName: If it was not run.
        """
        for result in self.benchmarks:
            if result.benchmark == name:
                return result
        raise UnknownName("benchmark", name, [result.benchmark for result in self.benchmarks])

    def score(self, metric: str) -> Score:
        """One score by its metric's name, such as "recognition.top1".

        Raises:
            NotAvailable: If the dataset cannot carry its benchmark.
            UnknownName: If there is no such metric.
        """
        scores = {score.metric: score for result in self.benchmarks for score in result.scores}
        if metric in scores:
            return scores[metric]
        for result in self.benchmarks:
            if result.unavailable and metric.split(".")[0] == result.benchmark:
                raise NotAvailable(f"{metric}: {result.unavailable}")
        raise UnknownName("metric", metric, scores)

    def to_json(self) -> str:
        """The whole result; the same run twice gives the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written.
        """
        with whole(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")


def per_class(
    name: str, truth: Sequence[str], answers: Sequence[str], outcomes: Mapping[str, npt.ArrayLike]
) -> Table:
    """Mean outcome of each class (rows) by each measure (columns), percent; a class without rows has no line.

    Args:
        name: Of the table.
        truth: Class of every prediction row.
        answers: All classes, in order.
        outcomes: By measure, a value in [0, 1] for every prediction row.
    """
    labels = np.asarray(truth)
    present = tuple(answer for answer in answers if (labels == answer).any())
    columns = {measure: np.asarray(values, np.float64) for measure, values in outcomes.items()}
    values = tuple(
        tuple(100 * float(column[labels == answer].mean()) for column in columns.values())
        for answer in present
    )
    return Table(name=name, rows=present, columns=tuple(columns), values=values)


def confusion(truth: Sequence[str], predicted: Sequence[str], answers: Sequence[str], name: str) -> Table:
    """Counts of predicted answers (columns) by true answer (rows)."""
    index_of = {answer: i for i, answer in enumerate(answers)}
    counts = [[0.0] * len(answers) for _ in answers]
    for true, guess in zip(truth, predicted, strict=True):
        counts[index_of[true]][index_of[guess]] += 1
    return Table(name=name, rows=tuple(answers), columns=tuple(answers), values=tuple(map(tuple, counts)))

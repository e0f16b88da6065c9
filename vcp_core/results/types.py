"""The results of an evaluation: scores with intervals, the predictions behind them, and provenance.

Checkpoint, dataset, protocol, versions, device and numbers of threads determine the JSON of a result, so the
same run twice gives the same bytes. Wall times would differ, so they are kept apart in `Timings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vcp_core.catalog.errors import NotAvailable, UnknownName
from vcp_core.catalog.files import whole
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.readings import Assumption
from vcp_core.catalog.scores import Score as Score  # part of a result, as every class here

if TYPE_CHECKING:
    from vcp_core.results.plots import Plots

SCHEMA = "vcpbench.results/1"
DECIMALS = 4  # of probabilities and similarities in predictions


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
    """A named matrix for people to read, such as a confusion or recalls per class."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


class Predictions(_Record):
    """Per-video outcomes of one benchmark, by column; every score derives from these.

    Attributes:
        benchmark: The benchmark's name.
        answers: The possible answers, in order (options or classes).
        columns: Lists of equal length, one value per row. "video" and "group" are always among them.
        num_left_out: Number of test videos that this benchmark cannot use.
        facts: Counts that metrics need and that rows do not contain, such as class sizes of a gallery.
        fits: The probes behind the answers.
    """

    benchmark: str
    answers: tuple[str, ...]
    columns: dict[str, list[Any]]
    num_left_out: int = 0
    facts: dict[str, Any] = {}
    fits: tuple[Fit, ...] = ()

    def column(self, name: str) -> list[Any]:
        """One column, a value per row.

        >>> columns = {"video": ["a.mp4", "a.mp4", "b.mp4"], "group": [None] * 3, "right": [1, 0, 1]}
        >>> answered = Predictions(benchmark="cloze", answers=("original", "remote"), columns=columns)
        >>> answered.column("right"), answered.num_videos
        ([1, 0, 1], 2)
        """
        return self.columns[name]

    @property
    def num_videos(self) -> int:
        """Number of distinct test videos."""
        return len(set(self.columns["video"]))


class BenchmarkResult(_Record):
    """One benchmark of one evaluation; `unavailable` says why there are no scores.

    A metric over no rows has no score, because zero of zero is not a measurement. An example is the precision
    of an answer that was never given.
    """

    benchmark: str
    unavailable: str | None = None
    scores: tuple[Score, ...] = ()
    tables: tuple[Table, ...] = ()
    predictions: Predictions | None = None
    controls: dict[str, dict[str, float]] = {}
    # Predictions of random weights, by seed, for the lift of a mean over splits. They stay in memory only:
    # files would be several times as large with them.
    control_predictions: dict[str, Predictions] = Field(default={}, exclude=True, repr=False)
    warnings: tuple[str, ...] = ()


class Provenance(_Record):
    """Everything that determined the numbers (PROTOCOL 10).

    Attributes:
        checkpoint: The checkpoint's report.
        backbone: The architecture's name.
        dataset: Name, split, fingerprint, licence, counts, and the videos left out. `own_name` is the name in
            the catalog, if the dataset is registered under another name.
        protocol_name: The protocol's name in the request.
        protocol_hash: Results with the same hash are comparable.
        protocol: All numbers of the protocol.
        versions: Versions of all software that can change a digit.
        device: The device, in words.
        machine: Other facts that decide the last digits: `batch_clips` of a forward pass, `network_threads`
            of a CPU, `blas_threads` of probes and intervals. Several workers' values are joined as "1; 2".
            Older results lack the keys that were not recorded then.
        num_clips: Number of distinct clips. Each was forwarded once.
        calibration_clips: Number of training clips that calibrated random weights; None without controls.
        pretrained_on: The training data that the checkpoint's makers declare; None if they declare none.
        input_spec: The clips that the network took, in full (`vcp_core.catalog.inputs`); None in results from
            before inputs could be declared.
        scheme: The key scheme whose facts held (`vcp_core.catalog.keys`); "" in older results.
        scheme_version: Its version; None in older results.
        variant: The form of the network that the user named (`vcp_core.catalog.variants`); None for the
            usual one.
        assumed: What the results rely on, and neither the file nor the user says
            (`vcp_core.catalog.readings`). Older results do not list it.
        reproduce: The command that gives the same results again. None if dataset or protocol has no name, and
            for random weights and pixels, which have no file.
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
    scheme: str = ""
    scheme_version: int | None = None
    variant: str | None = None
    assumed: tuple[Assumption, ...] = ()
    reproduce: str | None


class Timings(_Record):
    """Wall time in seconds. Decoding overlaps with the rest; the network waited `wait_s` for frames.

    `total_s` counts the reading of the checkpoint. It counts the loading of the dataset, too, unless the
    caller of `evaluate` had loaded it.
    """

    total_s: float
    decode_s: float
    wait_s: float
    forward_s: float
    scoring_s: float
    controls_s: float


class Document(_Record):
    """A record that is written to a file of its own."""

    def to_json(self) -> str:
        """The whole result as JSON text. The same run twice gives the same text."""
        # `allow_nan=False`: NaN is no JSON, and a score that is NaN is left out before.
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written.
        """
        with whole(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")


class Results(Document):
    """All benchmarks of one checkpoint on one dataset under one protocol."""

    schema_name: str = SCHEMA
    benchmarks: tuple[BenchmarkResult, ...]
    warnings: tuple[str, ...] = ()
    provenance: Provenance
    timings: Timings | None = Field(default=None, exclude=True)

    def benchmark(self, name: str) -> BenchmarkResult:
        """One benchmark's result.

        Raises:
            UnknownName: If the benchmark was not run.
        """
        for result in self.benchmarks:
            if result.benchmark == name:
                return result
        raise UnknownName("benchmark", name, [result.benchmark for result in self.benchmarks])

    def score(self, metric: str) -> Score:
        """One score by its metric's name, such as "recognition.top1".

        Raises:
            NotAvailable: If the metric's benchmark cannot run on the dataset.
            UnknownName: If there is no such metric.

        >>> measured = {"value": 71.5, "low": 64.0, "high": 78.2, "num_videos": 96, "num_units": 47}
        >>> spatial = Score(metric="cloze.spatial", units="group", **measured)
        >>> cloze = BenchmarkResult(benchmark="cloze", scores=(spatial,))
        >>> results = Results(benchmarks=(cloze,), provenance=Provenance.model_construct())
        >>> results.score("cloze.spatial").value, results.score("cloze.spatial").unit
        (71.5, 'percent')
        >>> try:
        ...     results.score("cloze.spacial")
        ... except UnknownName as error:
        ...     print(error)
        No metric 'cloze.spacial'. Did you mean 'cloze.spatial'? Known: cloze.spatial.
        """
        scores = {score.metric: score for result in self.benchmarks for score in result.scores}
        if metric in scores:
            return scores[metric]
        for result in self.benchmarks:
            if result.unavailable and metric.split(".")[0] == result.benchmark:
                raise NotAvailable(f"{metric}: {result.unavailable}")
        raise UnknownName("metric", metric, scores)

    def to_pandas(self, predictions_of: str | None = None) -> Any:
        """A data frame with a row for each score, by metric; or with the predictions of one benchmark.

        Args:
            predictions_of: A benchmark. The frame then has a row for each of its predictions.

        Raises:
            NotAvailable: If pandas is not installed, or there are no predictions of the benchmark.
            UnknownName: If the benchmark was not run.
        """
        from vcp_core.results.notebook import to_pandas

        return to_pandas(self, predictions_of)

    @property
    def plot(self) -> Plots:
        """Pictures of these results: `plot.profile()`, `plot.confusion()`, `plot.course(*others)`."""
        from vcp_core.results.plots import Plots

        return Plots(self)

    def _repr_html_(self) -> str:
        """The headline scores as a table, which notebooks show."""
        from vcp_core.results.notebook import to_html

        return to_html(self)


def sureness_column(part: str) -> str:
    """Name the column that says how probable a part's answers are.

    Results from before 2026-11-30 have no such columns.

    >>> sureness_column("linear")
    'linear.probability'
    """
    return f"{part}.probability"


def rounded(values: npt.NDArray[np.floating]) -> list[Any]:
    """Round probabilities and similarities for a column: readers see them, and no score derives from them.

    Four decimals take fewer bytes than all digits.

    >>> rounded(np.array([[0.66666666, 0.33333333]])), rounded(np.array([1.0]))
    ([[0.6667, 0.3333]], [1.0])
    """
    found: list[Any] = np.round(np.asarray(values, np.float64), DECIMALS).tolist()
    return found


def per_class(
    name: str, truth: Sequence[str], answers: Sequence[str], outcomes: Mapping[str, npt.ArrayLike]
) -> Table:
    """The mean outcome of each class (rows) by each measure (columns), in percent.

    A class without prediction rows has no line.

    Args:
        name: The table's name.
        truth: Class of every prediction row.
        answers: All classes, in order.
        outcomes: By measure, a value in [0, 1] for every prediction row.

    >>> per_class("example", ["a", "a", "b"], ["a", "b", "c"], {"top1": [1, 0, 1]}).values
    ((50.0,), (100.0,))
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
    """Counts of predicted answers (columns) by true answer (rows).

    >>> confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b"], "example").values
    ((1.0, 1.0), (0.0, 1.0))
    """
    index_of = {answer: i for i, answer in enumerate(answers)}
    counts = [[0.0] * len(answers) for _ in answers]
    for true, guess in zip(truth, predicted, strict=True):
        counts[index_of[true]][index_of[guess]] += 1
    return Table(name=name, rows=tuple(answers), columns=tuple(answers), values=tuple(map(tuple, counts)))

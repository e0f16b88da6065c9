"""The benchmarks: each names its clips, predicts from their features, derives metrics from predictions.

cloze.py        which option was applied to the withheld clip?
recognition.py  a linear probe on clips, nearest neighbours of videos
retrieval.py    every test video queries the training side
grid.py         the grid of clips that recognition and retrieval share
parts.py        what of a benchmark can be done apart, and how parts are joined
metrics.py      the definition of a metric
sizes.py        sizes of probes and rankings, which decide the time and the memory of scoring
"""

from __future__ import annotations

import importlib
from typing import Protocol as Interface
from typing import cast

from vcp_core.benchmarks.metrics import Metric
from vcp_core.benchmarks.parts import Part, join
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import FeatureBank
from vcp_core.features.shards import Clip
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Predictions, Table


class Benchmark(Interface):
    """The functions that a benchmark's module provides."""

    def clips(self, video: Video, protocol: Protocol, spec: BackboneSpec) -> set[Clip]:
        """The distinct clips that the benchmark needs of a video."""

    def availability(self, dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> str | None:
        """The reason why the benchmark cannot run on this dataset; None if it can."""

    def parts(self, dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> tuple[Part, ...]:
        """What of the benchmark can be fitted or ranked apart, in the order of the answers' columns."""

    def predict(
        self,
        bank: FeatureBank,
        dataset: Dataset,
        protocol: Protocol,
        spec: BackboneSpec,
        part: str,
        *,
        on_units: OnUnits = ignore,
    ) -> Predictions:
        """Fit one part on the training split's features, and answer the test split's videos with it."""

    def metrics(self, predictions: Predictions) -> list[Metric]:
        """The metrics that predictions give."""

    def tables(self, predictions: Predictions) -> list[Table]:
        """Matrices for people to read, such as confusions."""


def load_benchmark(name: str) -> Benchmark:
    """The module of a benchmark, by its name.

    >>> load_benchmark("retrieval").__name__
    'vcp_core.benchmarks.retrieval'

    Raises:
        UnknownName: If there is no such benchmark.
    """
    return cast(Benchmark, importlib.import_module(BENCHMARKS[name].module))


def predict(
    benchmark: Benchmark,
    bank: FeatureBank,
    dataset: Dataset,
    protocol: Protocol,
    spec: BackboneSpec,
    *,
    on_units: OnUnits = ignore,
) -> Predictions:
    """Do all parts of a benchmark, one after the other, and join them.

    Args:
        benchmark: What `load_benchmark` gives.
        bank: The features of the benchmark's clips.
        dataset: The videos.
        protocol: The numbers of the evaluation.
        spec: The catalog's entry of the backbone.
        on_units: Called with the number of units of work done since the last call.
    """
    return join(
        [
            benchmark.predict(bank, dataset, protocol, spec, part.name, on_units=on_units)
            for part in benchmark.parts(dataset, protocol, spec)
        ]
    )

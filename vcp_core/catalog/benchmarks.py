"""Facts about every benchmark and its metrics.

To add a benchmark, add an entry here and a module vcp_core/benchmarks/<name>.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vcp_core.catalog.registry import Registry

if TYPE_CHECKING:
    from vcp_core.catalog.protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """The facts of one benchmark.

    Attributes:
        name: The name that users type, which is also the prefix of the benchmark's metrics.
        title: The name that tables and pages show.
        asks: The question that the benchmark answers, in one line.
        headline: The metrics that tables show first.
        module: The module that defines the six functions of `vcp_core.benchmarks.Benchmark`.
        max_pooled: Tells whether the benchmark reads the papers' max-pooled feature under a protocol. This
            feature is nine times as large as the average, so it is stored only if a benchmark reads it.
    """

    name: str
    title: str
    asks: str
    headline: tuple[str, ...]
    module: str
    max_pooled: Callable[[Protocol], bool] = lambda protocol: False


BENCHMARKS = Registry(
    "benchmark",
    BenchmarkSpec(
        name="cloze",
        title="Cloze",
        asks="Which spatio-temporal operation was applied to a withheld clip?",
        headline=("cloze.accuracy", "cloze.spatial", "cloze.temporal"),
        module="vcp_core.benchmarks.cloze",
    ),
    BenchmarkSpec(
        name="recognition",
        title="Recognition",
        asks="Which action does a video show?",
        headline=("recognition.top1", "recognition.knn.top1"),
        module="vcp_core.benchmarks.recognition",
    ),
    BenchmarkSpec(
        name="retrieval",
        title="Retrieval",
        asks="Are a video's nearest neighbours of its own class?",
        headline=("retrieval.top1", "retrieval.map"),
        module="vcp_core.benchmarks.retrieval",
        max_pooled=lambda protocol: protocol.retrieval.max_pooled,
    ),
)

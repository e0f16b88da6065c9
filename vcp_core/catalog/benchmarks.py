"""Facts about every benchmark and its metrics. Adding one: an entry here, vcp_core/benchmarks/<name>.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vcp_core.catalog.registry import Registry

if TYPE_CHECKING:
    from vcp_core.catalog.protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """One benchmark.

    Attributes:
        name: What users type; the prefix of its metrics.
        title: What tables and pages say.
        asks: The question it answers, in one line.
        headline: The metrics shown first.
        module: Where `clips`, `availability`, `predict`, `metrics` and `tables` live.
        max_pooled: Whether it reads the papers' max-pooled feature under a protocol. That feature is kept
            beside the averages only where a benchmark reads it: it is nine times as large.
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

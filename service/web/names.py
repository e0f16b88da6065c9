"""The names of metrics on pages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.options import OPTION_NAMES

PIXELS = "8 \N{MULTIPLICATION SIGN} 8 pixels"
RECALL = "cloze.recall."  # of the headline's head and the last stage
OPTION_METRICS = tuple(RECALL + option for option in OPTION_NAMES)
OPTIONS_GROUP = "Options: lift over random weights"
_WORDS = {"knn": "kNN", "map": "mAP", "mean_class": "mean of classes"}


def group(metric: str) -> str:
    """Name the heading above a metric's column: its benchmark, or the options' strip."""
    if metric in OPTION_METRICS:
        return OPTIONS_GROUP
    return _benchmark(metric.partition(".")[0])


def by_benchmark(metrics: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Metrics under their benchmarks' titles."""
    groups = groupby(sorted(metrics), key=lambda metric: metric.partition(".")[0])
    return [(_benchmark(name), list(found)) for name, found in groups]


def short(metric: str) -> str:
    """Name a metric under its group's heading.

    >>> short("recognition.knn.top1"), short("cloze.recall.remote"), short("cloze.concat.recall.remote")
    ('kNN top-1', 'remote', 'concat recall remote')
    """
    if metric in OPTION_METRICS:
        return metric.removeprefix(RECALL)
    return " ".join(_word(part) for part in metric.split(".")[1:]) or metric


def _word(part: str) -> str:
    if part.startswith("top") and part[3:].isdigit():
        return f"top-{part[3:]}"
    return _WORDS.get(part, part)


def title(metric: str) -> str:
    """Name a metric in full.

    >>> title("retrieval.top1"), title("cloze.recall.remote")
    ('Retrieval top-1', 'Cloze recall remote')
    """
    benchmark, _, rest = metric.partition(".")
    return f"{_benchmark(benchmark)} {' '.join(_word(part) for part in rest.split('.'))}"


def _benchmark(name: str) -> str:
    return BENCHMARKS[name].title if name in BENCHMARKS else name

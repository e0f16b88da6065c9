"""From a metric to the answers that it counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from service.answers.wanted import Wanted
from vcp_core.catalog.options import OPTIONS

MAX_POOLED = "max-pooled"


def benchmark_of(metric: str) -> str:
    """The benchmark of a metric."""
    return metric.partition(".")[0]


def of_metric(wanted: Wanted, parts: Collection[str]) -> Wanted:
    """Fill in the part and the filters of `wanted.metric`. What was given by itself stays.

    Args:
        wanted: The parameters, with a metric.
        parts: The names of the benchmark's parts.

    >>> found = of_metric(Wanted(metric="cloze.concat.recall.rotation.90"), ["relational", "concat"])
    >>> found.part, found.truth, found.variant
    ('concat', ('rotation',), '90')
    >>> of_metric(Wanted(metric="cloze.temporal"), ["relational"]).truth
    ('remote', 'adjacent')
    >>> of_metric(Wanted(metric="retrieval.max.top1"), ["pooled", "max-pooled"]).part
    'max-pooled'
    """
    assert wanted.metric is not None
    words = wanted.metric.split(".")[1:]
    part = None
    if words[:1] == ["max"]:
        part, words = MAX_POOLED, words[1:]
    elif words and words[0] in parts:
        part, words = words[0], words[1:]
    kind = words[0] if words else ""
    truth = tuple(option.name for option in OPTIONS.values() if option.ability == kind)
    answer = variant = None
    if kind == "recall" and len(words) > 1:
        truth, variant = (words[1],), words[2] if len(words) > 2 else None
    elif kind == "precision" and len(words) > 1:
        answer = words[1]
    return replace(
        wanted,
        metric=None,
        part=wanted.part or part,
        truth=wanted.truth or truth,
        answer=wanted.answer or answer,
        variant=wanted.variant or variant,
    )

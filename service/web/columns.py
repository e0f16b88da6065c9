"""The columns that a board can show, in groups to choose from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from service.web import names
from vcp_core.catalog.options import OPTION_NAMES

MAIN = {"Cloze": "Accuracy", "Recognition": "Linear probe", "Retrieval": "Ranking"}
VARIANTS = "Recall of variants"
PARTS = {"recall": "Recall of options", "precision": "Precision", "concat": "Concat head", "knn": "kNN"}
FOLDED = (VARIANTS, "Precision", "Concat head")  # a reader unfolds them
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Metrics of a benchmark that belong together.

    Attributes:
        title: The group's heading.
        metrics: Each metric, with its name under this heading.
        folded: Whether the group is folded until a column of it is shown.
    """

    title: str
    metrics: list[tuple[str, str]] = field(default_factory=list)
    folded: bool = False


def groups(metrics: Iterable[str]) -> list[tuple[str, list[Group]]]:
    """Group metrics by benchmark, and inside a benchmark by what they measure.

    >>> (title, found), = groups(["cloze.recall.remote", "cloze.accuracy"])
    >>> title, [one.title for one in found]
    ('Cloze', ['Accuracy', 'Recall of options'])
    """
    found: list[tuple[str, list[Group]]] = []
    for benchmark, of_benchmark in names.by_benchmark(metrics):
        by_title: dict[str, Group] = {}
        for metric in sorted(of_benchmark, key=_order):
            title, name = _placed(metric)
            title = title or MAIN.get(benchmark, "Scores")
            group = by_title.setdefault(title, Group(title=title, folded=title in FOLDED))
            group.metrics.append((metric, name))
        found.append((benchmark, sorted(by_title.values(), key=_place)))
    return found


def _place(group: Group) -> int:
    """The place of a group inside its benchmark: what is looked at most comes first."""
    order = (PARTS["recall"], VARIANTS, PARTS["precision"], PARTS["concat"], PARTS["knn"])
    return order.index(group.title) if group.title in order else -1


def _placed(metric: str) -> tuple[str, str]:
    """The heading of a metric's group, and the metric's name under this heading. A main one has no heading.

    >>> _placed("cloze.recall.rotation.90"), _placed("recognition.knn.top1"), _placed("retrieval.map")
    (('Recall of variants', 'rotation 90'), ('kNN', 'top-1'), ('', 'mAP'))
    """
    first, *rest = metric.split(".")[1:] or [metric]
    if first not in PARTS or not rest:
        return "", names.short(metric)
    title = VARIANTS if first == "recall" and len(rest) > 1 else PARTS[first]
    return title, names.short(".".join(["", *rest]))


def _order(metric: str) -> list[tuple[int, str]]:
    """Options in their usual order, numbers by their value."""
    parts = [part for piece in metric.split(".") for part in DIGITS.split(piece) if part]
    places = {name: place for place, name in enumerate(OPTION_NAMES)}
    return [(int(part), "") if part.isdigit() else (places.get(part, -1), part) for part in parts]

"""Comparisons of many evaluations as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from vcpbench_client.answers import LEAST_UNITS, Evaluation
from vcpbench_client.comparing import AdjustedDifference, ComparedMany, Matrix, Pair
from vcpbench_client.tables import (
    ARROWS,
    ID_DIGITS,
    benchmark_of,
    benchmarks,
    short,
    span,
    verdict,
    width_of,
    written,
)

LEVEL = 0.05  # Holm's p-value below which two evaluations are told apart; protocols have 95 % intervals
SIGNS = f"{ARROWS[1][0]} better, {ARROWS[-1][0]} worse, {ARROWS[0][0]} neither"


def evaluations(found: ComparedMany) -> Table:
    """The evaluations with the numbers that stand for them in the other tables."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "model", "step", "evaluation", ""):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "step" else "left")
    for place, one in enumerate(found.evaluations, start=1):
        about = one.checkpoint
        step = "" if about.step is None else str(about.step)
        mark = "baseline" if one.id == found.baseline else ""
        cells = (f"{place:>2}", about.model or "random weights", step, one.id[:ID_DIGITS], mark)
        table.add_row(*map(Text, cells))
    return table


def differences(found: ComparedMany, *, headline: bool, width: int | None = None) -> Table:
    """Each evaluation less the baseline, metric by metric, with Holm's p-values.

    Args:
        found: The comparison.
        headline: Whether only headline metrics are shown.
        width: Characters of a line of the terminal. If names do not fit, their numbers stand alone.
    """
    table = _differences(found, headline=headline, names=True)
    if width is not None and width_of(table) > width:
        table = _differences(found, headline=headline, names=False)
    return table


def matrix(found: ComparedMany, wanted: Matrix, *, width: int | None = None) -> Table | None:
    """All pairs in one metric, the row's evaluation less the column's. None if the terminal is too narrow.

    A number stands where Holm's p-value tells the two apart. If numbers do not fit, arrows stand for them.
    """
    for numbers in (True, False):
        for names in (True, False):
            table = _matrix(found, wanted, numbers=numbers, names=names)
            if width is None or width_of(table) <= width:
                return table
    return None


def fine(value: float) -> str:
    """Write a p-value that many others are compared with: small ones keep two digits.

    >>> fine(0.2345), fine(0.00001234), fine(0.0)
    ('0.234', '1.2e-05', '0')
    """
    if value == 0:
        return "0"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _differences(found: ComparedMany, *, headline: bool, names: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "score", "difference", "95 % interval", "Holm's p", ""):
        table.add_column(heading, no_wrap=True, justify="right" if heading else "left")
    labels, benchmark = _labels(found.evaluations, names=names), ""
    for metric, of_metric in _by_metric(found, headline=headline).items():
        if benchmark != benchmark_of(metric):
            benchmark = benchmark_of(metric)
            table.add_row(Text(benchmark, style="bold"))
        first = next(iter(of_metric.values()))
        table.add_row(short(metric, first.unit))
        table.add_row(Text(f"  {labels[found.baseline]}"), written(first.first, first.unit), "baseline")
        for evaluation, one in of_metric.items():
            sign, style = ARROWS[_verdict(one, one.better)]
            table.add_row(
                Text(f"  {labels[evaluation]}"),
                written(one.second, one.unit),
                written(one.difference, one.unit, "+"),
                span(one.low, one.high, "+", one.unit),
                fine(one.p_adjusted),
                Text(sign, style=style),
            )
    return table


def _by_metric(found: ComparedMany, *, headline: bool) -> dict[str, dict[str, AdjustedDifference]]:
    """The differences of each metric by evaluation; metrics of one benchmark stand together."""
    by_metric = dict[str, dict[str, AdjustedDifference]]()
    for one in found.with_baseline:
        for difference in one.differences:
            if difference.headline or not headline:
                by_metric.setdefault(difference.metric, {})[one.evaluation] = difference
    order = benchmarks(by_metric)
    return dict(sorted(by_metric.items(), key=lambda item: order.index(benchmark_of(item[0]))))


def _matrix(found: ComparedMany, wanted: Matrix, *, numbers: bool, names: bool) -> Table:
    labels = _labels(found.evaluations, names=names)
    cells = dict[tuple[str, str], Text]()
    for pair in wanted.pairs:
        side = _verdict(pair, wanted.better)
        cells[pair.second, pair.first] = _cell(pair.difference, side, wanted.unit, numbers=numbers)
        cells[pair.first, pair.second] = _cell(-pair.difference, -side, wanted.unit, numbers=numbers)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for place in range(1, len(found.evaluations) + 1):
        table.add_column(str(place), no_wrap=True, justify="right")
    for row in found.evaluations:
        table.add_row(
            Text(labels[row.id]), *(cells.get((row.id, column.id), Text("")) for column in found.evaluations)
        )
    return table


def _cell(difference: float, side: int, unit: str, *, numbers: bool) -> Text:
    sign, style = ARROWS[side]
    return Text(written(difference, unit, "+") if numbers and side else sign, style=style)


def _verdict(one: AdjustedDifference | Pair, better: str) -> int:
    """1 if it is better than the other by Holm's p-value, -1 if worse, else 0."""
    if one.p_adjusted >= LEVEL or (one.num_units is not None and one.num_units < LEAST_UNITS):
        return 0
    return verdict(one.difference, one.difference, better)


def _labels(found: Sequence[Evaluation], *, names: bool) -> Mapping[str, str]:
    """The number of each evaluation, with its name if `names` is true."""
    labels = dict[str, str]()
    for place, one in enumerate(found, start=1):
        about = one.checkpoint
        step = "" if about.step is None else f" {about.step}"
        labels[one.id] = f"{place:>2} {about.model or 'random weights'}{step}" if names else f"{place:>2}"
    return labels

"""Results as a data frame of pandas, and as the table that a notebook shows. No torch."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vcp_core.catalog.errors import NotAvailable
from vcp_core.catalog.units import written
from vcp_core.results.diagnosis import diagnose

if TYPE_CHECKING:
    from vcp_core.results.types import Results, Score

HEADINGS = ("metric", "score", "95 % interval", "chance", "random weights", "lift", "its interval")
EXTRA = "pip install 'vcpbench[notebook]'"


def optional(module: str) -> ModuleType:
    """Import a library of the extra `notebook`.

    Raises:
        NotAvailable: If it is not installed. The message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        if error.name != name:
            raise
        raise NotAvailable(f"{name} is not installed. Install it: {EXTRA}") from error


def to_pandas(results: Results, predictions_of: str | None = None) -> Any:
    """Make a data frame: a row for each score, by metric; or the predictions of one benchmark.

    Args:
        results: The results.
        predictions_of: A benchmark. The frame then has a row for each of its predictions.

    Raises:
        NotAvailable: If pandas is not installed, or the results hold no predictions of the benchmark.
        UnknownName: If the benchmark was not run.
    """
    pandas = optional("pandas")
    if predictions_of is None:
        rows = [
            {"benchmark": one.benchmark, **score.model_dump()}
            for one in results.benchmarks
            for score in one.scores
        ]
        return pandas.DataFrame(rows).set_index("metric") if rows else pandas.DataFrame()
    found = results.benchmark(predictions_of)
    if found.predictions is None:
        raise NotAvailable(found.unavailable or f"These results hold no predictions of {predictions_of}.")
    return pandas.DataFrame(found.predictions.columns)


def to_html(results: Results) -> str:
    """Write the headline scores as an HTML table, below what they stand on, and the diagnosis under it."""
    about = results.provenance
    scores = [score for one in results.benchmarks for score in one.scores]
    missing = [f"{one.benchmark}: {one.unavailable}" for one in results.benchmarks if one.unavailable]
    seeds = {seed for one in results.benchmarks for seed in one.controls}
    sentences = diagnose(scores, num_controls=len(seeds) or None)
    head = f"{about.backbone} on {about.dataset['name']} under {about.protocol_name}"
    body = "".join(_row(_cells(score)) for score in scores if score.headline)
    return (
        f"<div><p><b>{html.escape(head)}</b> ({about.num_clips:,} clips, {html.escape(about.device)})</p>"
        f"<table><thead>{_row(HEADINGS, cell='th')}</thead><tbody>{body}</tbody></table>"
        f"{_list(sentences)}{_list([*missing, *results.warnings])}</div>"
    )


def _cells(score: Score) -> list[str]:
    value, low, high, chance, control = (
        written(number, score.unit)
        for number in (score.value, score.low, score.high, score.chance, score.control)
    )
    lift, lift_low, lift_high = (
        written(number, score.unit, "+") for number in (score.lift, score.lift_low, score.lift_high)
    )
    percent = "" if score.unit == "number" else " %"
    between = f"{lift_low} to {lift_high}" if lift_low and lift_high else ""
    return [score.metric, value + percent, f"{low} to {high}", chance, control, lift, between]


def _row(cells: Iterable[str], *, cell: str = "td") -> str:
    return f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in cells)}</tr>"


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(one)}</li>" for one in sentences)
    return f"<ul>{items}</ul>" if items else ""

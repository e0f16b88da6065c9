"""Pictures of results, drawn by matplotlib (the extra `notebook`). No torch.

    results.plot.profile()        the recall of each cloze option
    results.plot.confusion()      which answer was taken for which
    results.plot.course(*others)  scores over the steps of a training

Each draws into the axes that it is given, or into a new figure, and returns the axes. So titles, sizes and
files are matplotlib's: `results.plot.profile().figure.savefig("profile.svg")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vcp_core.catalog.errors import InputError, NotAvailable, UnknownName
from vcp_core.catalog.options import OPTIONS
from vcp_core.results.notebook import optional

if TYPE_CHECKING:
    from vcp_core.results.types import Results, Table

HEADLINES = ("recognition.top1", "retrieval.top1", "cloze.accuracy")
# Okabe and Ito's palette, which colour-blind readers tell apart (jfly.uni-koeln.de/color).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#767676"
MOST_NUMBERS = 15  # classes of a confusion with numbers in its fields


class Plots:
    """The pictures of one evaluation's results."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def profile(self, ax: Any = None) -> Any:
        """Draw each cloze option's recall with its interval, random weights' recall, and chance.

        Raises:
            NotAvailable: If matplotlib is not installed, or there are no cloze scores.
        """
        scores = {score.metric: score for one in self._results.benchmarks for score in one.scores}
        found = {name: scores[f"cloze.recall.{name}"] for name in OPTIONS if f"cloze.recall.{name}" in scores}
        if not found:
            raise NotAvailable("These results have no cloze scores, of which a profile is made.")
        ax = _axes(ax, height=0.5 * len(found) + 1.2)
        rows = np.arange(len(found))
        values = np.array([score.value for score in found.values()])
        ends = np.array([[score.low, score.high] for score in found.values()]).T
        around = np.abs(ends - values)
        ax.errorbar(values, rows, xerr=around, fmt="o", color=COLOURS[0], capsize=3, label="this checkpoint")
        controls = [(row, score.control) for row, score in zip(rows, found.values(), strict=True)]
        drawn = [(row, value) for row, value in controls if value is not None]
        if drawn:
            below, at = zip(*drawn, strict=True)
            ax.plot(at, below, "D", color=COLOURS[1], fillstyle="none", label="random weights")
        chance = next(iter(found.values())).chance
        if chance is not None:
            ax.axvline(chance, color=GREY, linestyle=":", label="chance")
        ax.set(xlim=(0, 100), ylim=(len(found) - 0.5, -0.5), xlabel="recall, percent")
        ax.set_yticks(rows, list(found))
        _finish(ax, self._title())
        return ax

    def confusion(self, table: str = "cloze.confusion", ax: Any = None) -> Any:
        """Draw a confusion: the share of each true answer's rows (down) by given answer (across).

        Args:
            table: A confusion of the results: "cloze.confusion", "recognition.confusion", ...
            ax: Axes to draw into.

        Raises:
            NotAvailable: If matplotlib is not installed.
            UnknownName: If there is no such confusion.
        """
        found = self._table(table)
        counts = np.asarray(found.values, np.float64)
        shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        side = min(10.0, 1.8 + 0.45 * len(found.rows))
        ax = _axes(ax, width=side + 1, height=side)
        image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        ax.figure.colorbar(image, ax=ax, label="percent of the true answer", shrink=0.8)
        ax.set(xlabel="answered", ylabel="true", title=f"{table}: {self._title()}")
        ax.set_xticks(range(len(found.columns)), found.columns, rotation=90)
        ax.set_yticks(range(len(found.rows)), found.rows)
        if len(found.rows) <= MOST_NUMBERS:
            for (down, across), share in np.ndenumerate(shares):
                colour = "white" if share > 50 else "black"
                ax.text(across, down, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=8)
        return ax

    def course(
        self,
        *others: Results,
        steps: Sequence[int] | None = None,
        metrics: Sequence[str] = HEADLINES,
        ax: Any = None,
    ) -> Any:
        """Draw scores over the steps of a training, with intervals, random weights and chance.

        Args:
            others: Results of other checkpoints of the same training.
            steps: The step of this result and of each other one, in their order. If left out, each step is
                the one that the checkpoint's file records.
            metrics: The metrics to draw. Those that no results have are left out.
            ax: Axes to draw into.

        Raises:
            NotAvailable: If matplotlib is not installed, or no results have one of the metrics.
            InputError: If a checkpoint records no step, the steps are not as many as the results, or the
                results do not share videos and protocol.
        """
        found = [self._results, *others]
        if steps is not None and len(steps) != len(found):
            raise InputError(f"{len(steps)} steps for {len(found)} results. Name a step for each.")
        known = list(steps) if steps is not None else [_step(one) for one in found]
        order = sorted(range(len(found)), key=known.__getitem__)
        every, at_steps = [found[i] for i in order], [known[i] for i in order]
        if (
            len({(one.provenance.dataset.get("fingerprint"), one.provenance.protocol_hash) for one in every})
            > 1
        ):
            raise InputError(
                "These results stand on other videos or under another protocol than each other. "
                "A course needs the same dataset and protocol for each."
            )
        scores = [{score.metric: score for one in r.benchmarks for score in one.scores} for r in every]
        shown = [metric for metric in metrics if any(metric in mine for mine in scores)]
        if not shown:
            raise NotAvailable(f"These results have none of the metrics {', '.join(metrics)}.")
        ax = _axes(ax)
        for number, metric in enumerate(shown):
            colour = COLOURS[number % len(COLOURS)]
            there = [
                (step, mine[metric]) for step, mine in zip(at_steps, scores, strict=True) if metric in mine
            ]
            at = [step for step, _ in there]
            ax.plot(at, [score.value for _, score in there], "o-", color=colour, label=metric)
            lows, highs = [score.low for _, score in there], [score.high for _, score in there]
            ax.fill_between(at, lows, highs, color=colour, alpha=0.15, linewidth=0)
            last = there[-1][1]
            for name, value, dash in (("random weights", last.control, ":"), ("chance", last.chance, "-.")):
                if value is not None:
                    label = f"its {name}: {value:.1f}"
                    ax.axhline(value, color=colour, linestyle=dash, linewidth=1, label=label)
        ax.set(xlabel="training step")
        _finish(ax, self._title())
        ax.legend(fontsize=8, framealpha=0.85, edgecolor="none")  # it may lie on the lines of reference
        return ax

    def _table(self, name: str) -> Table:
        known = {
            table.name: table
            for one in self._results.benchmarks
            for table in one.tables
            if table.name.endswith("confusion")
        }
        if name not in known:
            raise UnknownName("confusion", name, known)
        return known[name]

    def _title(self) -> str:
        about = self._results.provenance
        return f"{about.backbone} on {about.dataset['name']}, {about.protocol_name}"


def _step(results: Results) -> int:
    """The training step that a checkpoint's file records, of our own training or of another."""
    report = results.provenance.checkpoint
    for said in (report.get("origin"), report.get("training")):
        if said and said.get("step") is not None:
            return int(said["step"])
    raise InputError(
        "A checkpoint of these results records no training step. Name the steps: course(..., steps=[...])."
    )


def _axes(ax: Any, *, width: float = 6.4, height: float = 4.0) -> Any:
    if ax is not None:
        return ax
    # Not by pyplot, which would keep each figure, and choose a backend for windows.
    figure = optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure.subplots()


def _finish(ax: Any, title: str) -> None:
    ax.set_title(title)
    ax.grid(visible=True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize=8)

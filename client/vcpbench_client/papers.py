r"""A board as a table for a paper or a README: LaTeX with booktabs, or Markdown.

Every number has its 95 % interval. A number is bold only if its interval lies beyond those of all other rows.
Then the intervals alone tell the rows apart. `vcpbench compare` may tell more apart, because it compares
video by video.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from vcpbench_client.answers import Board, BoardRow, ControlRow, Score
from vcpbench_client.tables import benchmark_of, metrics_of, written

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {sign: rf"\{sign}" for sign in "&%$#_{}"}
FACTS = ("rank", "model", "step", "backbone")
BOLD = "Bold: the interval lies beyond those of all other rows."


def markdown(found: Board) -> str:
    """Write a board as a Markdown table, with what it stands on above it."""
    metrics = metrics_of(found)
    bold = _told_apart(found, metrics)
    lines = [
        _caption(found),
        "",
        _line([*FACTS, *metrics]),
        _line(["--:", "---", "--:", "---", *["--:"] * len(metrics)]),
    ]
    for row in _rows(found):
        cells = [_cell(row, metric, bold, "**{}**", " [{}, {}]") for metric in metrics]
        lines.append(_line([_in_markdown(fact) for fact in _facts(row)] + cells))
    return "\n".join([*lines, "", f"95 % intervals in brackets. {BOLD}", ""])


def latex(found: Board) -> str:
    r"""Write a board as a LaTeX `tabular`. It needs `\usepackage{booktabs}`."""
    metrics = metrics_of(found)
    bold = _told_apart(found, metrics)
    spans = [(name, len(list(of))) for name, of in groupby(metrics, benchmark_of)]
    groups = [rf"\multicolumn{{{count}}}{{c}}{{{_in_latex(name)}}}" for name, count in spans]
    titles = [_in_latex(metric.partition(".")[2] or metric) for metric in metrics]
    lines = [
        f"% {_caption(found)}",
        f"% 95 % intervals in brackets. {BOLD}",
        r"\begin{tabular}{rlrl" + "r" * len(metrics) + "}",
        r"\toprule",
        " & ".join([*[""] * len(FACTS), *groups]).strip() + r" \\",
        *_rules([count for _, count in spans]),
        " & ".join([*FACTS, *titles]) + r" \\",
        r"\midrule",
    ]
    for kind, rows in groupby(_rows(found), type):
        lines += [r"\midrule"] if kind is ControlRow and found.rows else []
        for row in rows:
            cells = [
                _cell(row, metric, bold, r"\textbf{{{}}}", r" {{\scriptsize [{}, {}]}}") for metric in metrics
            ]
            lines.append(" & ".join([*map(_in_latex, _facts(row)), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


FORMATS: dict[str, Callable[[Board], str]] = {"markdown": markdown, "latex": latex}


def stands_out(row: BoardRow | ControlRow, others: Sequence[BoardRow | ControlRow], metric: str) -> bool:
    """Whether the row's interval is better than those of all other rows, and there are some.

    >>> from datetime import datetime
    >>> def row(low: float, high: float) -> ControlRow:
    ...     facts = {"num_videos": 9, "num_units": 9, "units": "video"}
    ...     score = Score(metric="a.b", value=(low + high) / 2, low=low, high=high, **facts)
    ...     return ControlRow(evaluation="", scores={"a.b": score})
    >>> stands_out(row(50, 60), [row(30, 49)], "a.b"), stands_out(row(50, 60), [row(30, 51)], "a.b")
    (True, False)
    """
    mine = row.scores.get(metric)
    theirs = [other.scores[metric] for other in others if other is not row and metric in other.scores]
    if mine is None or mine.better == "neither" or not theirs:
        return False
    if mine.better == "lower":
        return mine.high < min(score.low for score in theirs)
    return mine.low > max(score.high for score in theirs)


def _rows(found: Board) -> list[BoardRow | ControlRow]:
    return [*found.rows, *found.controls]


def _caption(found: Board) -> str:
    videos = f" (videos {found.dataset.fingerprint[:8]})" if found.dataset.fingerprint else ""
    shown = f"{len(found.rows)} of {found.total} evaluations" if found.total > len(found.rows) else ""
    parts = (
        f"{found.dataset.name}{videos}",
        f"{found.protocol.name} (protocol {found.protocol.hash[:8]})",
        f"sorted by {found.sort.removeprefix('-')}",
        shown,
    )
    return ", ".join(part for part in parts if part)


def _facts(row: BoardRow | ControlRow) -> list[str]:
    if isinstance(row, ControlRow):
        return ["", row.title, "", row.backbone or ""]
    rank = "" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"
    return [rank, row.model, "" if row.step is None else str(row.step), row.backbone or ""]


def _told_apart(found: Board, metrics: Sequence[str]) -> dict[str, BoardRow]:
    """Give the row that stands out in each metric. Only the row with the best bound can."""
    told = {}
    for metric in metrics:
        scored = [row for row in found.rows if metric in row.scores]
        if not scored:
            continue
        if scored[0].scores[metric].better == "lower":
            best = min(scored, key=lambda row: row.scores[metric].high)
        else:
            best = max(scored, key=lambda row: row.scores[metric].low)
        if stands_out(best, found.rows, metric):
            told[metric] = best
    return told


def _cell(
    row: BoardRow | ControlRow, metric: str, told_apart: Mapping[str, BoardRow], bold: str, brackets: str
) -> str:
    score: Score | None = row.scores.get(metric)
    if score is None:
        return ""
    value, low, high = (written(one, score.unit) for one in (score.value, score.low, score.high))
    return (bold.format(value) if told_apart.get(metric) is row else value) + brackets.format(low, high)


def _rules(spans: Sequence[int]) -> list[str]:
    begin, rules = len(FACTS) + 1, []
    for count in spans:
        rules.append(rf"\cmidrule(lr){{{begin}-{begin + count - 1}}}")
        begin += count
    return ["".join(rules)] if rules else []


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    r"""Keep a name from being read as markup.

    >>> print(_in_markdown("a|b_c"))
    a\|b\_c
    """
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", text)


def _in_latex(text: str) -> str:
    r"""Escape what LaTeX takes for commands.

    >>> print(_in_latex("r3d_18 & 50%"))
    r3d\_18 \& 50\%
    """
    return "".join(SPECIAL.get(sign, sign) for sign in text)

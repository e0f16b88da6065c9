"""What was answered, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vcpbench_client.answers import (
    LEAST_UNITS,
    Board,
    BoardRow,
    Checkpoint,
    ControlRow,
    Dataset,
    Difference,
    Evaluation,
    Model,
    Protocol,
    Score,
    Status,
)
from vcpbench_client.deleting import Retired, Size
from vcpbench_client.logs import TrainingLog
from vcpbench_client.naming import Alias, Move
from vcpbench_client.sharing import Share, View
from vcpbench_client.tokens import Token

PERCENT = "percent"
ARROWS = {1: ("▲", "green"), 0: ("·", "dim"), -1: ("▼", "red")}  # better, open, worse; with colours
ID_DIGITS = 8  # of an evaluation's id, which every command takes for the whole id
BENCHMARKS = ("cloze", "recognition", "retrieval")  # in this order; others after them
LEAST_NAME = 12  # characters of a model's name, however narrow the terminal is

Row = tuple[Sequence[str | Text], str]  # cells, and their style
_WIDE = Console(
    width=10_000, height=1
)  # to measure by; without a height, rich takes 80 columns if TERM is dumb


def scores(found: Iterable[Score], *, headline: bool, width: int | None = None) -> Table:
    """Scores with interval, chance, random weights and lift: headlines and options' recalls, or all.

    Args:
        found: The scores.
        headline: Whether to leave out all but the headlines and the options' recalls.
        width: Characters of a line of the terminal. Columns that do not fit are left out, and named below.
    """
    wanted = [score for score in found if not headline or score.headline or _is_option(score.metric)]
    measure, rows = _measure(wanted), list[Row]()
    for name in benchmarks(score.metric for score in wanted):
        rows.append(([Text(name, style="bold")], ""))
        for score in (score for score in wanted if benchmark_of(score.metric) == name):
            name_cell = short(score.metric, "" if measure == PERCENT else score.unit)
            rows.append(([name_cell, *_cells(score)], "" if score.headline else "dim"))
    headings = (measure, "score", "95 % interval", "chance", "pixels", "random", "lift", "its interval")
    return _fitted(headings, rows, width, spare=("pixels", "chance", "its interval"))


def differences(found: Sequence[Difference], *, headline: bool, width: int | None = None) -> Table:
    """Pairs of scores, and what lies between them; `headline` and `width` as for `scores`."""
    wanted = [one for one in found if one.headline or not headline]
    measure, rows = _measure(wanted), list[Row]()
    for name in benchmarks(one.metric for one in wanted):
        rows.append(([Text(name, style="bold")], ""))
        for one in (one for one in wanted if benchmark_of(one.metric) == name):
            numbers = (one.first, ""), (one.second, ""), (one.difference, "+")
            cells = [written(value, one.unit, plus) for value, plus in numbers]
            cells += [span(one.low, one.high, "+", one.unit), written(one.detectable, one.unit)]
            cells += [_probability(one.p_value)]
            sign, style = arrow(one)
            name_cell = short(one.metric, "" if measure == PERCENT else one.unit)
            rows.append(([name_cell, *cells, Text(sign, style=style)], ""))
    headings = (measure, "first", "second", "difference", "95 % interval", "found in 80 %", "p", "")
    return _fitted(headings, rows, width, spare=("found in 80 %", "p"))


def board(found: Board, *, width: int | None = None) -> tuple[Table, list[str]]:
    """A board: the metric that it is sorted by with its interval, the others without.

    Args:
        found: The board.
        width: Characters of a line of the terminal. Ids are cut to the digits that commands need, the columns
            of steps and backbones are left out if they tell no row from another, and names of models are cut
            if nothing else can be left out. None leaves out nothing.

    Returns:
        The table, and the metrics that were left out because the table would be wider.
    """
    shown, left_out = metrics_of(found), list[str]()
    if width is None:
        return _board(found, shown), left_out
    sort, facts = found.sort.removeprefix("-"), _telling(found)
    table = _board(found, shown, facts, digits=ID_DIGITS)
    while width_of(table) > width:
        last = next((metric for metric in reversed(shown) if metric != sort), None)
        if last is None:
            longest = max((len(row.model) for row in found.rows), default=0)
            longest = max(LEAST_NAME, longest - (width_of(table) - width))
            return _board(found, shown, facts, digits=ID_DIGITS, longest=longest), left_out
        shown.remove(last)
        left_out.insert(0, last)
        table = _board(found, shown, facts, digits=ID_DIGITS)
    return table, left_out


def only_backbone(found: Board) -> str | None:
    """The backbone of all rows, if there is no other."""
    rows: list[BoardRow | ControlRow] = [*found.rows, *found.controls]
    backbones = {row.backbone for row in rows if row.backbone}
    return next(iter(backbones)) if len(backbones) == 1 else None


def metrics_of(found: Board) -> list[str]:
    """The metrics of a board's columns, by benchmark."""
    rows: list[BoardRow | ControlRow] = [*found.rows, *found.controls]
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.scores))
    order = benchmarks(metrics)
    return sorted(metrics, key=lambda metric: order.index(benchmark_of(metric)))  # stable within a benchmark


def _telling(found: Board) -> list[str]:
    """The columns of facts that tell rows from one another."""
    steps = any(row.step is not None for row in found.rows)
    return [*(["step"] if steps else []), *([] if only_backbone(found) else ["backbone"])]


def _board(
    found: Board,
    metrics: Sequence[str],
    facts: Collection[str] = ("step", "backbone"),
    *,
    digits: int | None = None,
    longest: int | None = None,
) -> Table:
    sort = found.sort.removeprefix("-")
    titles = [metric.replace(".", "\n", 1) for metric in metrics]
    table = _table("rank", "model", *facts, *titles, "evaluation", right=titles)
    rows: list[BoardRow | ControlRow] = [*found.rows, *found.controls]
    for row in rows:
        cells = [_cell(row.scores.get(metric), interval=metric == sort) for metric in metrics]
        if isinstance(row, ControlRow):
            rank, name, step = "", row.title, ""
        else:
            rank = f"{row.rank or '-'}{'=' if row.tied else ''}{'!' if row.outdated else ''}"
            name, step = row.model, _step(row.step)
        told = {"step": step, "backbone": row.backbone or ""}
        style = "dim" if isinstance(row, ControlRow) else ""
        texts = [rank, _cut(name, longest), *(told[fact] for fact in facts), *cells]
        table.add_row(*map(Text, [*texts, row.evaluation[:digits]]), style=style)
    return table


def _cut(name: str, longest: int | None) -> str:
    """Cut a name in its middle, because names of one run differ at their ends.

    >>> _cut("r3d-vcp-2026-11-lr0.1", 12)
    'r3d-v…-lr0.1'
    """
    if longest is None or len(name) <= longest:
        return name
    tail = longest // 2
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def width_of(table: Table) -> int:
    """Characters of a table's lines."""
    return Measurement.get(_WIDE, _WIDE.options, table).maximum


def several(found: Mapping[str, Evaluation]) -> Table:
    """Evaluations of several files, by the files' names: a row each, with the headline scores."""
    headline = [score.metric for one in found.values() for score in one.scores if score.headline]
    metrics = list(dict.fromkeys(headline))
    table = _table("file", "step", "state", *metrics, "evaluation")
    for name, one in found.items():
        scores = {score.metric: score for score in one.scores}
        cells = [_cell(scores.get(metric), interval=True) for metric in metrics]
        table.add_row(*map(Text, (name, _step(one.checkpoint.step), one.state, *cells, one.id)))
    return table


def evaluations(found: Iterable[Evaluation]) -> Table:
    """Evaluations, a row each."""
    table = _table("evaluation", "model", "step", "dataset", "protocol", "state", "asked for")
    for one in found:
        about = one.checkpoint
        facts = (
            one.id,
            about.model or "random weights",
            _step(about.step),
            one.dataset.name,
            one.protocol.name,
        )
        table.add_row(*map(Text, (*facts, one.state, _moment(one.created_at))))
    return table


def checkpoints(found: Iterable[Checkpoint]) -> Table:
    """Checkpoints, a row each."""
    table = _table("checkpoint", "model", "run", "step", "backbone", "state", "MB", "uploaded")
    for one in found:
        size = "" if one.size_bytes is None else f"{one.size_bytes / 1e6:.1f}"
        facts = (one.id, one.model, one.run or "", _step(one.step), one.backbone or "", one.state, size)
        table.add_row(*map(Text, (*facts, _moment(one.created_at))))
    return table


def models(found: Iterable[Model]) -> Table:
    """Models, a row each, with their newest checkpoints."""
    table = _table(
        "model", "team", "checkpoints", "evaluations", "newest", "run", "step", "state", "uploaded", "tags"
    )
    for one in found:
        name = f"{one.name} (private)" if one.private else one.name
        cells = [name, one.team, str(one.num_checkpoints), str(one.num_evaluations)]
        if one.newest:
            new = one.newest
            cells += [new.id, new.run or "", _step(new.step), new.state, _moment(new.created_at)]
            cells += [", ".join(one.tags)]
        table.add_row(*map(Text, cells))
    return table


def aliases(found: Iterable[Alias]) -> Table:
    """Aliases, and where they point."""
    table = _table("alias", "team", "model", "run", "step", "checkpoint", "since", "by")
    for one in found:
        facts = (f"@{one.name}", one.team, one.model, one.run or "", _step(one.step), one.checkpoint)
        table.add_row(*map(Text, (*facts, _moment(one.moved_at), one.by or "")))
    return table


def moves(found: Iterable[Move]) -> Table:
    """The moves of an alias."""
    table = _table("since", "checkpoint", "by")
    for one in found:
        ended = f"deleted {_moment(one.deleted_at)}" if one.deleted_at else "removed"
        table.add_row(*map(Text, (_moment(one.moved_at), one.checkpoint or ended, one.by or "")))
    return table


def shares(found: Iterable[Share]) -> Table:
    """Links that read one page."""
    table = _table("link", "evaluation", "against", "state", "by", "made", "expires")
    for one in found:
        facts = (
            one.id,
            (one.evaluation or "")[:ID_DIGITS],
            (one.against or "")[:ID_DIGITS],
            one.state,
            one.by,
        )
        table.add_row(*map(Text, (*facts, _moment(one.created_at), _moment(one.expires_at))))
    return table


def retired(found: Iterable[Retired]) -> Table:
    """Datasets that lost their names."""
    table = _table("dataset", "name", "fingerprint", "evaluations", "retired")
    for one in found:
        facts = (one.id, one.name, (one.fingerprint or "")[:12], str(one.num_evaluations))
        table.add_row(*map(Text, (*facts, _moment(one.retired_at))))
    return table


def sizes(found: Iterable[Size]) -> Table:
    """What is in the store."""
    table = _table("kind", "team", "dataset", "objects", "size", "would go")
    for one in found:
        facts = (one.kind, one.team or "shared", one.dataset or "", str(one.count))
        table.add_row(*map(Text, (*facts, megabytes(one.size_bytes), megabytes(one.would_free_bytes))))
    return table


def megabytes(size_bytes: int) -> str:
    """Write a number of bytes in MB."""
    return f"{size_bytes / 1e6:,.1f} MB"


def views(found: Iterable[View], url: str) -> Table:
    """Saved views with their whole addresses."""
    table = _table("view", "name", "by", "address")
    for one in found:
        table.add_row(*map(Text, (one.id, one.name, one.by, f"{url}{one.address}")))
    return table


def tokens(found: Iterable[Token]) -> Table:
    """API tokens, a row each."""
    table = _table("token", "name", "team", "role", "owner", "state", "made", "expires", "last used")
    for one in found:
        facts = (one.id, one.name, one.team, one.role, one.owner, one.state, _moment(one.created_at))
        ends, used = (_moment(at) if at else "never" for at in (one.expires_at, one.last_used_at))
        table.add_row(*map(Text, (*facts, ends, used)))
    return table


def logs(found: Iterable[TrainingLog]) -> Table:
    """Training logs of a model."""
    table = _table("log", "run", "rows", "curves", "uploaded")
    for one in found:
        facts = (one.id, one.run or "", str(one.num_rows), ", ".join(one.names), _moment(one.uploaded_at))
        table.add_row(*map(Text, facts))
    return table


def datasets(found: Iterable[Dataset]) -> Table:
    """Datasets, their states, and what became of their files."""
    table = _table("dataset", "state", "train", "test", "left out", "not taken", "damaged", "fingerprint", "")
    for one in found:
        said = (one.reason or "").partition("\n")[0] or _first((one.summary or {}).get("warnings") or ())
        cells = (one.name, one.state, *_files(one.summary or {}), (one.fingerprint or "")[:12], said)
        table.add_row(*map(Text, cells))
    return table


def _files(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Numbers of videos and of files that are none; empty where a summary of an older server has none."""
    videos, damaged = summary.get("videos", {}), summary.get("damaged", {})
    left_out, not_taken = summary.get("left_out"), summary.get("not_taken")
    return (
        *(str(videos.get(side, "")) for side in ("train", "test")),
        "" if left_out is None else str(len(left_out)),
        "" if not_taken is None else str(sum(files["count"] for files in not_taken)),
        str(damaged.get("videos", "")),
    )


def _first(warnings: Sequence[str]) -> str:
    """The first warning, and how many there are beside it."""
    rest = f" And {len(warnings) - 1} more: see --json." if warnings[1:] else ""
    return f"! {warnings[0]}{rest}" if warnings else ""


def protocols(found: Iterable[Protocol]) -> Table:
    """Protocols and their hashes."""
    table = _table("protocol", "hash")
    for one in found:
        table.add_row(Text(one.name), one.hash)
    return table


def status(found: Status) -> Table:
    """Queues, and who takes them."""
    table = _table("queue", "waiting", "running", "workers")
    for queue in found.queues:
        names = [worker.name for worker in found.workers if queue.name in worker.queues]
        table.add_row(queue.name, str(queue.waiting), str(queue.running), Text(", ".join(names) or "none"))
    return table


def gaps(found: Status) -> list[str]:
    """A sentence for each worker whose machine lacks a wall around foreign files."""
    return [
        f"{worker.name} lacks walls around foreign files: {_listed(worker.lacking_walls)}"
        for worker in found.workers
        if worker.lacking_walls
    ]


def _listed(reasons: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in reasons.items())


def benchmark_of(metric: str) -> str:
    """The benchmark that a metric belongs to."""
    return metric.partition(".")[0]


def arrow(one: Difference) -> tuple[str, str]:
    """Better, worse, or neither as far as the interval tells; with a colour."""
    few = one.num_units is not None and one.num_units < LEAST_UNITS
    return ARROWS[0 if few else verdict(one.low, one.high, one.better)]


def verdict(low: float | None, high: float | None, better: str) -> int:
    """Judge the interval of a difference: 1 if all of it is better, -1 if all of it is worse, else 0."""
    if low is None or high is None or better == "neither":
        return 0
    above = (low > 0) - (high < 0)
    return -above if better == "lower" else above


def span(low: float, high: float, sign: str = "", unit: str = "percent") -> str:
    """An interval."""
    return f"{written(low, unit, sign)} .. {written(high, unit, sign)}"


def written(value: float | None, unit: str = "percent", sign: str = "") -> str:
    """A number of a score as the server's pages write it: one decimal, or three digits of a plain number."""
    if value is None:
        return ""
    decimals = 1
    if unit == "number":
        decimals = next((decimals for decimals, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)
    return f"{value:{sign}.{decimals}f}"


def _fitted(headings: Sequence[str], rows: Sequence[Row], width: int | None, spare: Sequence[str]) -> Table:
    """Fill a table. If it is too wide, columns stand closer, then the spare ones are left out in order."""
    for gap, num_gone in ((2, 0), *((1, number) for number in range(len(spare) + 1))):
        gone = spare[:num_gone]
        kept = [place for place, heading in enumerate(headings) if heading not in gone]
        table = _table(*(headings[place] for place in kept), gap=gap)
        for cells, style in rows:
            table.add_row(*(cells[place] for place in kept if place < len(cells)), style=style)
        if gone:
            table.caption = f"Not shown for want of width: {', '.join(gone)}."
            table.caption_justify = "left"
        if width is None or width_of(table) <= width:
            break
    return table


def _table(*headings: str, right: Collection[str] = (), gap: int = 2) -> Table:
    """An empty table. Headings of numbers, and those in `right`, stand on the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    numbers = {
        "score",
        "chance",
        "pixels",
        "random",
        "lift",
        "first",
        "second",
        "difference",
        "found in 80 %",
        "p",
        "waiting",
        "running",
        "checkpoints",
        "evaluations",
        "MB",
    }
    for heading in headings:
        of_numbers = heading in numbers or "interval" in heading or "." in heading
        to_right = of_numbers or heading in ("rank", "step", *right)
        table.add_column(heading, justify="right" if to_right else "left", no_wrap=True)
    return table


def benchmarks(metrics: Iterable[str]) -> list[str]:
    """The benchmarks of these metrics, in the order of tables."""
    found = dict.fromkeys(map(benchmark_of, metrics))
    return [*(name for name in BENCHMARKS if name in found), *(n for n in found if n not in BENCHMARKS)]


def _measure(found: Iterable[Score | Difference]) -> str:
    """The first heading: what all rows are measured in, where they are measured in one thing."""
    return "metric" if any(one.unit == "number" for one in found) else PERCENT


def short(metric: str, unit: str = "") -> Text:
    """A metric below its benchmark, with its unit where not all rows have one."""
    mark = {"percent": ", %", "points": ", points"}.get(unit, "")
    return Text(f"  {metric.partition('.')[2]}{mark}")


def _is_option(metric: str) -> bool:
    """Whether it is the recall of a whole cloze option.

    >>> _is_option("cloze.recall.remote"), _is_option("cloze.recall.remote.before")
    (True, False)
    """
    return metric.startswith("cloze.recall.") and metric.count(".") == 2


def _step(value: int | None) -> str:
    return "" if value is None else str(value)


def _moment(value: datetime) -> str:
    """A time, as clocks here show it."""
    return f"{value.astimezone():%Y-%m-%d %H:%M}"


def _probability(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cell(score: Score | None, *, interval: bool) -> str:
    if score is None:
        return "-"
    value, low, high = (written(one, score.unit) for one in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]" if interval else value


def _cells(score: Score) -> list[Text | str]:
    others = (score.chance, score.pixels, score.control)
    cells: list[Text | str] = [
        written(score.value, score.unit),
        span(score.low, score.high, unit=score.unit),
        *(written(one, score.unit) for one in others),
    ]
    if score.lift_low is None or score.lift_high is None:
        return cells
    _, style = ARROWS[verdict(score.lift_low, score.lift_high, score.better)]
    lift = Text(written(score.lift, score.unit, "+"), style=style)
    return [*cells, lift, span(score.lift_low, score.lift_high, "+", score.unit)]

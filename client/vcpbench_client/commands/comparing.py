"""`vcpbench compare`: two evaluations in pairs, or many with a baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import (
    INTERRUPTED,
    connect,
    plainly,
    print_json,
    prose,
    say,
    show,
    terminal_width,
)

if TYPE_CHECKING:
    from vcpbench_client.answers import Comparison
    from vcpbench_client.client import Client
    from vcpbench_client.comparing import ComparedMany, Matrix

T = TypeVar("T")
LEAST, MOST = 2, 50  # evaluations


@plainly
def compare(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            metavar="EVALUATION EVALUATION...",
            help=f"{LEAST} to {MOST}, on the same videos under the same protocol. Each by its id, the "
            "first characters of its id, MODEL@latest, or @ALIAS.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", "-b", help="The one that the others are compared with. Default: the first."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="The metric of the matrix of all pairs. Of two evaluations, only with --baseline."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every metric, not only the headline ones.")
    ] = False,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait. The comparison then goes on.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Compare evaluations, paired by video, with intervals: the second with the first, or many.

    Three or more are compared with a baseline and in all pairs. Their p-values are adjusted by Holm's method.
    A worker of the server compares them once, and the server keeps the comparison.

    **Examples**

    `vcpbench compare 0d9c2c0e 7a4e6a7e`

    `vcpbench compare my-model@latest another@latest @champion --baseline @champion`
    """
    if not LEAST <= len(evaluations) <= MOST:
        raise typer.BadParameter(f"{len(evaluations)} evaluations are named. Name {LEAST} to {MOST} of them.")
    if len(evaluations) > LEAST or baseline is not None:
        _many(evaluations, baseline, metric, every=every, timeout_s=timeout_s, as_json=as_json)
        return
    if metric is not None:
        raise typer.BadParameter(
            "--metric chooses the matrix of all pairs. Two evaluations have none without --baseline. "
            "Add --baseline, or leave --metric out."
        )
    with connect() as client:
        found = compared(client, *evaluations, timeout_s=timeout_s, quiet=as_json)
        page = client.comparison_page(found.first.id, found.second.id)
    if as_json:
        print_json(found)
        return
    from vcpbench_client import tables

    for name, one in (("first", found.first.checkpoint), ("second", found.second.checkpoint)):
        show(f"{name:<7} {one.model or 'random weights'} {one.step if one.step is not None else ''}".rstrip())
    show(tables.differences(found.differences, headline=not every, width=terminal_width()))
    for note in found.notes:
        show(prose(note))
    say(page)


def compared(
    client: Client, first: str, second: str, *, timeout_s: float | None = None, quiet: bool
) -> Comparison:
    """Wait with progress until two evaluations are compared. After Ctrl-C the comparison goes on."""
    from vcpbench_client.commands.progress import comparing

    with comparing(quiet) as tell:
        return _uninterrupted(lambda: client.compare(first, second, on_progress=tell, timeout_s=timeout_s))


def _many(
    wanted: list[str],
    baseline: str | None,
    metric: str | None,
    *,
    every: bool,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    from vcpbench_client.commands.progress import comparing

    with connect() as client:
        with comparing(as_json) as tell:
            found = _uninterrupted(
                lambda: client.compare_many(wanted, baseline=baseline, on_progress=tell, timeout_s=timeout_s)
            )
        page = client.many_page([one.id for one in found.evaluations], found.baseline)
    pairs = _chosen(found, metric)
    if as_json:
        print_json(found)
        return
    _show(found, pairs, every=every)
    say(page)


def _uninterrupted(wait: Callable[[], T]) -> T:
    try:
        return wait()
    except KeyboardInterrupt:
        say("The comparison goes on without you. To see it, run the same command again.")
        raise typer.Exit(INTERRUPTED) from None


def _chosen(found: ComparedMany, metric: str | None) -> Matrix | None:
    """The matrix of the metric; the first one if no metric is named."""
    if metric is None:
        return next(iter(found.matrices), None)
    by_metric = {one.metric: one for one in found.matrices}
    if metric not in by_metric:
        there = ", ".join(by_metric) or "none"
        raise typer.BadParameter(f"There is no matrix of {metric!r}. There are: {there}.")
    return by_metric[metric]


def _show(found: ComparedMany, pairs: Matrix | None, *, every: bool) -> None:
    from vcpbench_client import comparing_tables as tables

    width, about = terminal_width(), found.evaluations[0]
    show(f"{about.dataset.name}, {about.protocol.name}: each less the baseline, paired by video")
    show(tables.evaluations(found), "", tables.differences(found, headline=not every, width=width))
    show(prose(f"{tables.SIGNS}, by Holm's p below {tables.LEVEL}. Each interval is that of its pair alone."))
    if pairs is not None:
        made = tables.matrix(found, pairs, width=width)
        show("", f"All {pairs.num_comparisons} pairs in {pairs.metric}: the row less the column")
        show(made or prose("The matrix of pairs is wider than this terminal. See the page, or use --json."))
    for note in dict.fromkeys(note for one in found.with_baseline for note in one.notes):
        show(prose(note))

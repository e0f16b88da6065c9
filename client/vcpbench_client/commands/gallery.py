"""`vcpbench answers`: what a network answered, video by video."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show


@plainly
def answers(
    evaluation: Annotated[str, typer.Argument(help=options.EVALUATION)],
    right: Annotated[
        bool | None, typer.Option("--right/--wrong", help="Only right answers, or only wrong ones.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="The answers that this metric counts, such as cloze.recall.rotation.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="cloze, recognition or retrieval. Default: recognition.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="A part of it: linear, knn; relational, concat; pooled, max-pooled.")
    ] = None,
    truth: Annotated[
        list[str] | None,
        typer.Option("--class", "--option", help="Only with this right answer; repeat for several."),
    ] = None,
    answer: Annotated[str | None, typer.Option(help="Only with this answer.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of cloze, only this variant or kind of variant, such as 2-tiles.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Only of this group of videos.")] = None,
    video: Annotated[str | None, typer.Option(help="Part of the video's id.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Another evaluation on the same videos, whose answers stand beside.")
    ] = None,
    against_right: Annotated[
        bool | None,
        typer.Option(
            "--other-right/--other-wrong", help="Only where the one of --against is right, or wrong."
        ),
    ] = None,
    sort: Annotated[
        Literal["-sure", "sure", "video", "-video"],
        typer.Option(help="By how sure the network was, or by video. A `-` before it: largest first."),
    ] = "-sure",
    limit: Annotated[int, typer.Option(min=1, max=500, help="Rows.")] = 24,
    offset: Annotated[int, typer.Option(min=0, help="Rows to skip.")] = 0,
    as_json: options.JsonFlag = False,
) -> None:
    """List what a network answered, video by video, the surest answers first.

    The page of the same answers shows the videos. Its address is printed below the table.

    **Examples**

    `vcpbench answers my-model@latest --wrong --class wave`

    `vcpbench answers my-model@latest --wrong --metric cloze.recall.rotation`

    `vcpbench answers new@latest --wrong --against old@latest --other-right`
    """
    wanted = {
        "metric": metric,
        "benchmark": benchmark,
        "part": part,
        "truth": truth or None,
        "answer": answer,
        "right": right,
        "variant": variant,
        "group": group,
        "video": video,
        "against": against,
        "against_right": against_right,
        "sort": sort,
    }
    with connect() as client:
        found = client.answers(evaluation, **wanted, limit=limit, offset=offset)
        page = client.gallery_page(found.evaluation.id, **wanted)
    if as_json:
        print_json(found)
        return
    from vcpbench_client.given import table

    about = found.evaluation.checkpoint
    counts = f"{found.num_right} right, {found.num_wrong} wrong"
    show(f"{about.model or 'random weights'}, {found.benchmark}, {found.part}: {counts}")
    if found.items:
        show(table(found))
    else:
        say("There are none.")
    for note in found.notes:
        say(note, style="yellow")
    if found.total > len(found.items):
        say(f"Rows {offset + 1} to {offset + len(found.items)} of {found.total}; more: --offset, --limit.")
    say(page)

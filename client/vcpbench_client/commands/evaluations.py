"""`vcpbench evaluate`, `status`, `cancel`: evaluate checkpoints on the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from vcpbench_client.commands.uploads import completed, declared_by_name, send
from vcpbench_client.defaults import DATASET, PROTOCOL
from vcpbench_client.errors import NotFound, Unauthorised

if TYPE_CHECKING:
    from vcpbench_client.answers import Checkpoint, Evaluation
    from vcpbench_client.client import Client
    from vcpbench_client.operating import Quota

EvaluationArgument = Annotated[str, typer.Argument(help=options.EVALUATION, metavar="EVALUATION")]


@plainly
@options.option_groups()
def evaluate(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|CHECKPOINT...",
            help="Files, with --model. Or uploaded checkpoints: an id, its first characters, or "
            "MODEL@latest.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Name of the model that the files belong to.",
            autocompletion=options.complete_model,
        ),
    ] = None,
    *,
    dataset: options.DatasetOption = DATASET,
    protocol: options.ProtocolOption = PROTOCOL,
    facts: options.Facts,
    wait: Annotated[bool, typer.Option(help="Wait until the evaluation is done.")] = True,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait. The evaluation then goes on.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Upload checkpoints, evaluate them on the server, and show their scores.

    A file that the server has is not sent again, and a finished evaluation is not computed again. After
    Ctrl-C the evaluations go on.

    If one of several files fails, the others go on, and the exit code is 2.

    **Examples**

    `vcpbench evaluate model.pt --model my-model`

    `vcpbench evaluate checkpoints/*.ckpt --model my-model --run vcp-2026-11`

    `vcpbench evaluate my-model@latest --dataset ucf101 --protocol standard-v1`
    """
    if model is None:
        _refuse_files(what)
    if len(what) > 1 and facts["step"] is not None:
        raise typer.BadParameter(
            "--step is for one file. With several files, each file or its name gives the step."
        )
    with connect() as client:
        if len(what) > 1:
            from vcpbench_client.commands import many

            asked = many.Asked(client=client, dataset=dataset, protocol=protocol, quiet=as_json)
            many.evaluate(asked, what, model, facts, wait=wait, timeout_s=timeout_s)
            return
        checkpoint: str | Checkpoint = what[0]
        file = Path(what[0]) if model is not None else None
        if file is not None and model is not None:
            if not wait and facts["step"] is None:
                facts["step"] = declared_by_name(file)
            checkpoint = send(client, file, model, quiet=as_json, **facts)
        found = client.evaluate(checkpoint, dataset, protocol)
        if not found.ended:
            say(f"Evaluation {found.id}: {client.page(found.id)}")
        if wait:
            found = follow(client, found, timeout_s=timeout_s, quiet=as_json)
            found = completed(client, found, file) if file else found
    show_evaluation(found, as_json=as_json)


def _refuse_files(what: list[str]) -> None:
    """Files need the name of a model; ids and `MODEL@latest` do not."""
    if file := next((one for one in what if Path(one).exists()), None):
        raise typer.BadParameter(f"{file} is a file. Say which model it belongs to: --model NAME.")


@plainly
def status(
    evaluation: Annotated[
        str | None, typer.Argument(help=f"{options.EVALUATION} If left out: the server's queues and workers.")
    ] = None,
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the evaluation until it ends.")
    ] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Show the state of an evaluation, or of the server's queues and workers and what your team uses.

    **Examples**

    `vcpbench status 0d9c2c0e --follow`

    `vcpbench status my-model@latest`

    `vcpbench status --json`
    """
    with connect() as client:
        if evaluation is not None:
            found = client.evaluation(evaluation)
            if follow_it and (not found.ended or found.state == "failed"):  # `wait` raises for failed ones
                found = follow(client, found, quiet=as_json)
            show_evaluation(found, as_json=as_json)
            return
        workers, quota = client.status(), _own_quota(client)
    if as_json:
        from vcpbench_client.answers import plain

        print_json({**plain(workers), "quota": quota})
    else:
        from vcpbench_client import operating_tables, tables

        show(client.url, tables.status(workers), *tables.gaps(workers))
        for pause in workers.pauses:
            say(f"! {pause}", style="yellow")
        if quota is not None:
            show("", f"team {quota.team}", operating_tables.quota(quota), *operating_tables.full(quota))


def _own_quota(client: Client) -> Quota | None:
    """What the team uses; None without a token, and from a server of an older version."""
    try:
        return client.quota()
    except (Unauthorised, NotFound):
        return None


@plainly
def cancel(evaluation: EvaluationArgument, as_json: options.JsonFlag = False) -> None:
    """Cancel an evaluation. The features that it has computed stay for the next one.

    **Example**

    `vcpbench cancel 0d9c2c0e`
    """
    with connect() as client:
        found = client.cancel(evaluation)
    show_evaluation(found, as_json=as_json)


def follow(
    client: Client, evaluation: Evaluation, *, timeout_s: float | None = None, quiet: bool
) -> Evaluation:
    """Wait for an evaluation with progress. After Ctrl-C it goes on, and messages say how to follow it."""
    from vcpbench_client.commands.progress import following

    try:
        with following(quiet) as tell:
            return client.wait(evaluation, on_progress=tell, timeout_s=timeout_s)
    except KeyboardInterrupt:
        say(f"Evaluation {evaluation.id} goes on without you.")
        say(f"  follow it  vcpbench status {evaluation.id} --follow")
        say(f"  cancel it  vcpbench cancel {evaluation.id}")
        raise typer.Exit(INTERRUPTED) from None


def show_evaluation(found: Evaluation, *, as_json: bool) -> None:
    """Print the state of an evaluation, its scores if it is done, and its warnings."""
    if as_json:
        print_json(found)
        return
    from vcpbench_client import tables

    about = found.checkpoint
    step = f" step {about.step}" if about.step is not None else ""
    whose = f"{about.model or 'random weights'}{step} ({about.backbone or 'backbone not known yet'})"
    show(f"{whose} on {found.dataset.name}, {found.protocol.name}: {found.state}, evaluation {found.id}")
    if found.scores:
        table = tables.scores(found.scores, headline=True, width=terminal_width())
        show(table, *map(prose, found.diagnosis))
    for benchmark, reason in found.unavailable.items():
        say(f"! {benchmark}: {reason}", style="yellow")
    for warning in found.warnings:
        say(f"! {warning}", style="yellow")
    if not found.ended:
        from vcpbench_client.commands.progress import standing

        say(standing(found))
    if found.state == "failed":
        say(f"{found.reason}\n{found.log_tail or ''}".rstrip(), style="red")

"""`vcpbench upload`, `evaluate`, `status`, `cancel`: a checkpoint's way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vcpbench_client.commands.common import (
    ERROR,
    INTERRUPTED,
    BackboneOption,
    DatasetOption,
    InputOption,
    JsonFlag,
    ModelOption,
    PrefixOption,
    PretrainedOption,
    ProtocolOption,
    RunOption,
    StepOption,
    complete_model,
    connect,
    plainly,
    print_json,
    say,
    show,
)
from vcpbench_client.defaults import DATASET, PROTOCOL

if TYPE_CHECKING:
    from vcpbench_client.answers import Checkpoint, Evaluation
    from vcpbench_client.client import Client

EvaluationArgument = Annotated[str, typer.Argument(help="Its id.", metavar="EVALUATION")]


@plainly
def upload(
    file: Annotated[Path, typer.Argument(help="The checkpoint.")],
    model: ModelOption,
    run: RunOption = None,
    step: StepOption = None,
    backbone: BackboneOption = None,
    pretrained_on: PretrainedOption = None,
    prefix: PrefixOption = None,
    input_spec: InputOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring a checkpoint to the server; run it again after a broken line, and it goes on.

    **Example**

    `vcpbench upload model.pt --model my-model --run vcp-2026-11 --step 12000`
    """
    with connect() as client:
        facts = {
            "run": run,
            "step": step,
            "backbone": backbone,
            "pretrained_on": pretrained_on,
            "prefix": prefix,
            "input_spec": input_spec,
        }
        found = send(client, file, model, quiet=as_json, **facts)
    tell_uploaded(found, as_json=as_json)


@plainly
def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|CHECKPOINT",
            help="A file, with --model; or what is uploaded already: a checkpoint's id, or MODEL@latest.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="The name that a file comes under.", autocompletion=complete_model
        ),
    ] = None,
    dataset: DatasetOption = DATASET,
    protocol: ProtocolOption = PROTOCOL,
    run: RunOption = None,
    step: StepOption = None,
    backbone: BackboneOption = None,
    pretrained_on: PretrainedOption = None,
    prefix: PrefixOption = None,
    input_spec: InputOption = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait; it goes on without us.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Upload a checkpoint, have it evaluated, and show its scores.

    What is there already is neither sent nor computed again. Ctrl-C leaves the evaluation running.

    **Examples**

    `vcpbench evaluate model.pt --model my-model`

    `vcpbench evaluate my-model@latest --dataset ucf101 --protocol standard-v1`
    """
    with connect() as client:
        checkpoint: str | Checkpoint = what
        if model is not None:
            facts = {
                "run": run,
                "step": step,
                "backbone": backbone,
                "pretrained_on": pretrained_on,
                "prefix": prefix,
                "input_spec": input_spec,
            }
            checkpoint = send(client, Path(what), model, quiet=as_json, **facts)
        elif Path(what).is_file():
            raise typer.BadParameter(f"{what} is a file; say which model it is of: --model NAME.")
        found = client.evaluate(checkpoint, dataset, protocol)
        if not found.ended:
            say(f"Evaluation {found.id}: {client.page(found.id)}")
        if wait:
            found = follow(client, found, timeout_s=timeout_s, quiet=as_json)
    _print(found, as_json=as_json)


@plainly
def status(
    evaluation: Annotated[
        str | None, typer.Argument(help="Its id; the server's queues and workers if left out.")
    ] = None,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Until it has ended.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """How an evaluation stands; without one, what the server's workers do.

    **Examples**

    `vcpbench status 0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11 --follow`

    `vcpbench status --json`
    """
    with connect() as client:
        if evaluation is not None:
            found = client.evaluation(evaluation)
            if follow_it and (not found.ended or found.state == "failed"):  # an error, whenever it failed
                found = follow(client, found, quiet=as_json)
            _print(found, as_json=as_json)
            return
        workers = client.status()
    if as_json:
        print_json(workers)
    else:
        from vcpbench_client import tables

        show(client.url, tables.status(workers))


@plainly
def cancel(evaluation: EvaluationArgument, as_json: JsonFlag = False) -> None:
    """End an evaluation; what it has computed stays for the next one.

    **Example**

    `vcpbench cancel 0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11`
    """
    with connect() as client:
        found = client.cancel(evaluation)
    _print(found, as_json=as_json)


def tell_uploaded(found: Checkpoint, *, as_json: bool) -> None:
    """What became of an upload; one that the server has refused by now is a failure, with its reason."""
    if as_json:
        print_json(found)
    else:
        show(f"{found.model}: checkpoint {found.id}, {found.state}")
    if found.state == "rejected":
        say(f"It was rejected: {found.reason}", style="red")
        raise typer.Exit(ERROR)
    if not as_json:
        say(f"Evaluate it: vcpbench evaluate {found.id}")


def send(client: Client, file: Path, model: str, *, quiet: bool, **facts: Any) -> Checkpoint:
    """Upload with progress; Ctrl-C says that what was sent stays. `facts` are those of `Client.upload`."""
    from vcpbench_client.commands.progress import uploading

    try:
        with uploading(quiet) as tell:
            return client.upload(file, model, on_progress=tell, **facts)
    except KeyboardInterrupt:
        say("Interrupted. What was sent stays; run it again to go on.")
        raise typer.Exit(INTERRUPTED) from None


def follow(
    client: Client, evaluation: Evaluation, *, timeout_s: float | None = None, quiet: bool
) -> Evaluation:
    """Wait with progress; Ctrl-C leaves it running and says how to come back to it."""
    from vcpbench_client.commands.progress import following

    try:
        with following(quiet) as tell:
            return client.wait(evaluation, on_progress=tell, timeout_s=timeout_s)
    except KeyboardInterrupt:
        say(f"Evaluation {evaluation.id} goes on without you.")
        say(f"  follow it  vcpbench status {evaluation.id} --follow")
        say(f"  cancel it  vcpbench cancel {evaluation.id}")
        raise typer.Exit(INTERRUPTED) from None


def _print(found: Evaluation, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from vcpbench_client import tables

    about = found.checkpoint
    step = f" step {about.step}" if about.step is not None else ""
    whose = f"{about.model or 'random weights'}{step} ({about.backbone or 'backbone not known yet'})"
    show(f"{whose} on {found.dataset.name}, {found.protocol.name}: {found.state}, evaluation {found.id}")
    if found.scores:
        show(tables.scores(found.scores, headline=True))
    for benchmark, reason in found.unavailable.items():
        say(f"! {benchmark}: {reason}", style="yellow")
    for warning in found.warnings:
        say(f"! {warning}", style="yellow")
    if not found.ended:
        from vcpbench_client.commands.progress import standing

        say(standing(found))
    if found.state == "failed":
        say(f"{found.reason}\n{found.log_tail or ''}".rstrip(), style="red")

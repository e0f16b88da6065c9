"""What the commands' options share: how they are named, completed, and grouped."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, TypedDict, TypeVar, get_type_hints, is_typeddict

import typer

from vcpbench_client import defaults
from vcpbench_client.commands.common import connect
from vcpbench_client.errors import ClientError

if TYPE_CHECKING:
    from vcpbench_client.client import Client

EVALUATION = "An evaluation: its id, the first characters of its id, or MODEL@latest."

R = TypeVar("R")


def option_groups(defaults: object = None) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Make a decorator for commands with groups of options.

    A group is a `TypedDict` whose keys are options. Sibling commands share it as one keyword argument. Typer
    sees every key as an option of its own.

    Args:
        defaults: Has an option's default as the attribute of its name. The default is None if it has none.
    """

    def decorated(command: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(command, eval_str=True)
        groups: dict[str, tuple[str, ...]] = {}
        flat: list[inspect.Parameter] = []
        for one in signature.parameters.values():
            if not is_typeddict(one.annotation):
                flat.append(one)
                continue
            hints = get_type_hints(one.annotation, include_extras=True)
            groups[one.name] = tuple(hints)
            flat += [
                one.replace(name=name, annotation=hint, default=getattr(defaults, name, None))
                for name, hint in hints.items()
            ]

        @functools.wraps(command)
        def run(**given: object) -> R:
            grouped = {group: {name: given.pop(name) for name in names} for group, names in groups.items()}
            return command(**given, **grouped)

        run.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
        return run

    return decorated


def _complete(names: Callable[[Client], Iterable[str]], incomplete: str) -> list[str]:
    """What a shell may offer; nothing rather than an error or a long wait."""
    try:
        with connect(patience_s=0, timeout_s=2) as client:
            return sorted({name for name in names(client) if name.startswith(incomplete)})
    except ClientError:
        return []


def complete_model(incomplete: str) -> list[str]:
    """Names of models, by their newest checkpoints."""
    return _complete(lambda client: (one.model for one in client.checkpoints(limit=100)), incomplete)


def complete_dataset(incomplete: str) -> list[str]:
    """Names of datasets."""
    return _complete(lambda client: (one.name for one in client.datasets()), incomplete)


def complete_protocol(incomplete: str) -> list[str]:
    """Names of protocols."""
    return _complete(lambda client: (one.name for one in client.protocols()), incomplete)


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="Its name.",
        envvar=defaults.DATASET_VARIABLE,
        autocompletion=complete_dataset,
    ),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        "-p",
        help="Its name or hash.",
        envvar=defaults.PROTOCOL_VARIABLE,
        autocompletion=complete_protocol,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="The name that its checkpoints come under.", autocompletion=complete_model
    ),
]
RunOption = Annotated[str | None, typer.Option("--run", help="The training run.")]
StepOption = Annotated[int | None, typer.Option("--step", min=0, help="Of that run.")]
BackboneOption = Annotated[
    str | None, typer.Option("--backbone", help="Its architecture; found by the server if left out.")
]
PretrainedOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="What it was trained on: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix", help="Which of several networks, as 'teacher.'; the one trained by gradients if left out."
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec", help="What it takes in, if not its backbone's own: 'frames=8,stride=4,crop=224,...'"
    ),
]


class Facts(TypedDict):
    """What the user says of a file; the arguments of `Client.upload`."""

    run: RunOption
    step: StepOption
    backbone: BackboneOption
    pretrained_on: PretrainedOption
    prefix: PrefixOption
    input_spec: InputOption

"""Options that the commands share, their completion in a shell, and groups of options."""

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

EVALUATION = "An evaluation: its id, the first characters of its id, MODEL@latest, or @ALIAS."
CHECKPOINT = "A checkpoint: its id, the first characters of its id, MODEL@latest, or @ALIAS."

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
    """Names for a shell's completion. If the server does not answer within 2 seconds, there are none."""
    try:
        with connect(patience_s=0, timeout_s=2) as client:
            return sorted({name for name in names(client) if name.startswith(incomplete)})
    except ClientError:
        return []


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with `incomplete`, from the 100 newest checkpoints."""
    return _complete(lambda client: (one.model for one in client.checkpoints(limit=100)), incomplete)


def complete_dataset(incomplete: str) -> list[str]:
    """Names of datasets that begin with `incomplete`."""
    return _complete(lambda client: (one.name for one in client.datasets()), incomplete)


def complete_protocol(incomplete: str) -> list[str]:
    """Names of protocols that begin with `incomplete`."""
    return _complete(lambda client: (one.name for one in client.protocols()), incomplete)


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="Name of the dataset.",
        envvar=defaults.DATASET_VARIABLE,
        autocompletion=complete_dataset,
    ),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        "-p",
        help="Name or hash of the protocol.",
        envvar=defaults.PROTOCOL_VARIABLE,
        autocompletion=complete_protocol,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Name of the model that the checkpoint belongs to.",
        autocompletion=complete_model,
    ),
]
RunOption = Annotated[str | None, typer.Option("--run", help="Name of the training run.")]
StepOption = Annotated[int | None, typer.Option("--step", min=0, help="Step of the training run.")]
BackboneOption = Annotated[
    str | None, typer.Option("--backbone", help="Architecture. Default: the server recognises it.")
]
PretrainedOption = Annotated[
    str | None,
    typer.Option(
        "--pretrained-on",
        help="Training data of the checkpoint: ucf101:1 or ucf101:1,2 (splits), kinetics400, none, ...",
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        help="Prefix of the network's keys, such as 'teacher.'. Default: the network trained by gradients.",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option(
        "--variant",
        help="Form of the network, if no tensor shows it: 'tclr' (dilated layer4, BGR), 'bgr', ...",
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input-spec",
        help="Input of the network, if not the backbone's own: 'frames=8,stride=4,crop=224,...'",
    ),
]
PrivateOption = Annotated[
    bool | None,
    typer.Option(
        "--private/--public",
        help="Whether only your team sees the model. For a new model. Default: public.",
        show_default=False,
    ),
]


class Facts(TypedDict):
    """Facts that the user gives about a file: the arguments of `Client.upload`."""

    run: RunOption
    step: StepOption
    backbone: BackboneOption
    pretrained_on: PretrainedOption
    prefix: PrefixOption
    variant: VariantOption
    input_spec: InputOption
    private: PrivateOption

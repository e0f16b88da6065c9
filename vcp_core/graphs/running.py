"""Run a program: each operation once, in its order, on whatever device its tensors are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vcp_core.catalog.errors import GraphError
from vcp_core.catalog.names import printable
from vcp_core.graphs.operations import WORDS, Operation, operations
from vcp_core.graphs.program import Argument, Node, Program, Ref, Word, last_reads

Value = Any  # a tensor, or a size
Call = Callable[["Step", list[Any], dict[str, Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A node that is ready to run.

    Attributes:
        at: Its position among the nodes.
        node: The node.
        operation: Its entry in the table.
        positional: Its arguments by position. A `Ref` stands for a value.
        keywords: Its arguments by name.
        takes_device: Whether it takes the device of the run.
        results: The numbers of its results.
        dead: The values that no later step reads.
    """

    at: int
    node: Node
    operation: Operation
    positional: tuple[Any, ...]
    keywords: dict[str, Any]
    takes_device: bool
    results: range
    dead: tuple[int, ...]

    def named(self, arguments: Sequence[Any], keywords: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by their names."""
        return dict(zip(self.operation.parameters, arguments, strict=False)) | keywords


def steps_of(program: Program) -> list[Step]:
    """Make a checked program ready to run.

    >>> twice = Node(operation="aten.mul.Tensor", arguments=(("self", Ref(0)), ("other", 2)))
    >>> program = Program(weights=(), clip_shape=(3, 16, 112, 112), nodes=(twice,), outputs=(1,))
    >>> run(steps_of(program), program, [], Tensor([[1.0]]))
    [tensor([[2.]])]
    """
    last = last_reads(program)
    ending: dict[int, list[int]] = {}
    for value, at in last.items():
        if value > program.clips:
            ending.setdefault(at, []).append(value)
    table = operations()
    steps = []
    for at, (node, results) in enumerate(program.steps()):
        operation = table[node.operation]
        positional, keywords = _bound(node, operation)
        unread = [value for value in results if value not in last]
        steps.append(
            Step(
                at=at,
                node=node,
                operation=operation,
                positional=positional,
                keywords=keywords,
                takes_device="device" in operation.parameters,
                results=results,
                dead=(*ending.get(at, ()), *unread),
            )
        )
    return steps


def run(
    steps: Sequence[Step],
    program: Program,
    weights: Sequence[Tensor],
    clips_BCTHW: Tensor,
    *,
    call: Call | None = None,
) -> list[Tensor]:
    """Give the program's outputs for a batch of clips.

    Args:
        steps: The result of `steps_of`.
        program: The program.
        weights: Its weights, in its order, on the device of the clips.
        clips_BCTHW: The prepared clips.
        call: Calls each operation instead of this function.

    Raises:
        GraphError: If an operation cannot run on these clips, as for an index that is out of range.
    """

    def careful(step: Step, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        try:
            return call(step, arguments, keywords) if call else step.operation.call(*arguments, **keywords)
        # torch raises every kind of error for numbers that do not fit.
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            if _is_of_the_machine(error):
                raise
            raise failed(f"operation {step.at + 1} ({step.node.operation})", error) from error

    values: list[Value] = []
    # A loop's variable would keep the arguments of each operation alive while the next one runs.
    deque(running(steps, program, weights, clips_BCTHW, values, call=careful), maxlen=0)
    return [values[value] for value in program.outputs]


def failed(what: str, error: Exception) -> GraphError:
    """Make an error of ours of an operation's error. Sizes were checked, so numbers are at fault."""
    said = printable(str(error).strip().partition("\n")[0])[:200].rstrip(".")
    return GraphError(
        f"{what} of its program fails on clips of the dataset ({said}). Its shapes are right, so the numbers "
        "in a tensor are not, such as an index that is out of range. Run the exported program on clips with "
        "pixel values from 0 to 1, normalised as declared.",
        reason="run",
    )


def _is_of_the_machine(error: Exception) -> bool:
    """Whether memory ran out. Another machine may have more."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def running(
    steps: Sequence[Step],
    program: Program,
    weights: Sequence[Tensor],
    clips_BCTHW: Tensor,
    values: list[Value],
    *,
    call: Call | None = None,
) -> Iterator[tuple[Step, list[Any], dict[str, Any], Sequence[Value]]]:
    """Run the steps, and give each one with its arguments and results. Afterwards its dead values are freed.

    Args:
        steps: The result of `steps_of`.
        program: The program.
        weights: Its weights.
        clips_BCTHW: The prepared clips.
        values: An empty list. It is filled with all values; those that are dead are None.
        call: As for `run`.
    """
    values += [*weights, clips_BCTHW]
    values += [None] * sum(node.num_results for node in program.nodes)
    device = clips_BCTHW.device
    for step in steps:
        arguments = [_filled(one, values) for one in step.positional]
        keywords = {name: _filled(one, values) for name, one in step.keywords.items()}
        if step.takes_device:
            keywords["device"] = device
        found = call(step, arguments, keywords) if call else step.operation.call(*arguments, **keywords)
        results = found if isinstance(found, list | tuple) else (found,)
        if len(results) != len(step.results):
            raise GraphError(
                f"operation {step.at + 1} ({step.node.operation}) gives {len(results)} results, and the file "
                f"says {len(step.results)}. Export it again.",
                reason="results",
            )
        for number, value in zip(step.results, results, strict=True):
            values[number] = value
        yield step, arguments, keywords, results
        for number in step.dead:
            values[number] = None


def _bound(node: Node, operation: Operation) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A node's arguments by position and by name. Defaults fill the gaps between positions."""
    given = {name: _ready(value) for name, value in node.arguments}
    if "cudnn_enabled" in operation.parameters:  # the file says what the exporting machine had
        given["cudnn_enabled"] = True
    names = list(operation.parameters)
    last = max((names.index(name) for name in given if not operation.parameters[name].keyword), default=-1)
    by_position: list[Any] = []
    for name in names[: last + 1]:
        if name == "device":  # the run gives it by its name, so what follows is given by name, too
            break
        by_position.append(given.pop(name, operation.parameters[name].default))
    return tuple(by_position), given


def _ready(argument: Argument) -> Any:
    """An argument as torch takes it, where it does not name a value."""
    if isinstance(argument, Word):
        return WORDS[argument.kind][argument.name]
    if isinstance(argument, tuple):
        ready = [_ready(one) for one in argument]
        return tuple(ready) if any(isinstance(one, Ref) for one in ready) else ready
    return argument


def _filled(argument: Any, values: Sequence[Value]) -> Any:
    """An argument with values instead of their numbers. Only tuples hold such numbers."""
    if type(argument) is Ref:
        return values[argument.value]
    if type(argument) is tuple:
        return [_filled(one, values) for one in argument]
    return argument

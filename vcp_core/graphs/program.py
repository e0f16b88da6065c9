"""A network as data: operations on numbered values, and the weights that they read.

Values are numbered: first the weights, then the clips, then the results of the nodes in their order. The
numbers replace the names in the file, so two files of one structure give equal programs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vcp_core.catalog.errors import DamagedCheckpoint

Kind = Literal["parameter", "buffer", "constant"]
FORM = 1  # of the document that `Program.as_dict` makes


@dataclass(frozen=True, slots=True)
class Ref:
    """A value, by its number: a tensor, or a size."""

    value: int


@dataclass(frozen=True, slots=True)
class Word:
    """A member of one of torch's enumerations.

    Attributes:
        kind: "dtype" or "memory_format".
        name: Its name in torch, such as "float32" or "channels_last_3d".
    """

    kind: str
    name: str


Argument = None | bool | int | float | str | Ref | Word | tuple["Argument", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A tensor that the file holds.

    Attributes:
        name: Its name in the user's module, such as "layer1.0.conv1.weight".
        kind: A parameter, which training changes, a buffer, or a constant of the code.
        dtype: Its type, such as "float32".
        shape: Its shape.
    """

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation.

    Attributes:
        operation: Its name in the table, such as "aten.conv3d.default" or "size.mul".
        arguments: Its arguments by name, in the order of the file.
        num_results: How many values it gives. They have the next free numbers.
    """

    operation: str
    arguments: tuple[tuple[str, Argument], ...]
    num_results: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A network without its numbers.

    Attributes:
        weights: Its weights; values 0, 1, and so on.
        clip_shape: Channels, frames, height and width of its input, which is the next value. The number of
            clips is free.
        nodes: Its operations in their order.
        outputs: The values that it gives.

    >>> twice = Node(operation="aten.mul.Tensor", arguments=(("self", Ref(0)), ("other", 2)))
    >>> program = Program(weights=(), clip_shape=(3, 16, 112, 112), nodes=(twice,), outputs=(1,))
    >>> Program.from_dict(program.as_dict()) == program
    True
    """

    weights: tuple[Weight, ...]
    clip_shape: tuple[int, int, int, int]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def clips(self) -> int:
        """The number of the value that holds the clips."""
        return len(self.weights)

    @property
    def num_parameters(self) -> int:
        """Number of numbers in all parameters."""
        return sum(math.prod(weight.shape) for weight in self.weights if weight.kind == "parameter")

    def steps(self) -> Iterator[tuple[Node, range]]:
        """Each node with the numbers of its results."""
        first = self.clips + 1
        for node in self.nodes:
            yield node, range(first, first + node.num_results)
            first += node.num_results

    def structure(self) -> str:
        """The SHA-256 of the program without the names of its weights, in hexadecimal digits.

        Two files have one structure if their operations, shapes and outputs are the same.
        """
        plain = self.as_dict()
        plain["weights"] = [weight[1:] for weight in plain["weights"]]
        return hashlib.sha256(_compact(plain).encode()).hexdigest()

    def to_json(self) -> str:
        """Write the program as one line of JSON. The same program gives the same line."""
        return _compact(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Turn the program into plain values, ready for JSON. `from_dict` reads them."""
        return {
            "form": FORM,
            "weights": [[one.name, one.kind, one.dtype, list(one.shape)] for one in self.weights],
            "clip_shape": list(self.clip_shape),
            "nodes": [
                [node.operation, {name: _plain(value) for name, value in node.arguments}, node.num_results]
                for node in self.nodes
            ],
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_dict(cls, values: Any) -> Program:
        """Rebuild the program that `as_dict` described.

        Raises:
            DamagedCheckpoint: If these are not such values.
        """
        try:
            if values["form"] != FORM:
                raise ValueError(values["form"])
            return cls(
                weights=tuple(
                    Weight(name=name, kind=kind, dtype=dtype, shape=tuple(shape))
                    for name, kind, dtype, shape in values["weights"]
                ),
                clip_shape=tuple(values["clip_shape"]),
                nodes=tuple(
                    Node(
                        operation=operation,
                        arguments=tuple((name, _argument(value)) for name, value in arguments.items()),
                        num_results=num_results,
                    )
                    for operation, arguments, num_results in values["nodes"]
                ),
                outputs=tuple(values["outputs"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedCheckpoint(
                "not a graph that vcpbench wrote. Ingest the checkpoint again."
            ) from error


def references(argument: Argument) -> Iterator[int]:
    """The values that an argument names, in their order.

    >>> list(references((Ref(3), None, (Ref(4), 2))))
    [3, 4]
    """
    if isinstance(argument, Ref):
        yield argument.value
    elif isinstance(argument, tuple):
        for one in argument:
            yield from references(one)


def read_by(node: Node) -> list[int]:
    """The values that a node reads, in their order."""
    return [value for _, argument in node.arguments for value in references(argument)]


def last_reads(program: Program) -> dict[int, int]:
    """The position of the last node that reads each value. An output is read after the last node."""
    found = {value: at for at, node in enumerate(program.nodes) for value in read_by(node)}
    return found | dict.fromkeys(program.outputs, len(program.nodes))


def _compact(values: object) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def _plain(argument: Argument) -> Any:
    if isinstance(argument, Ref):
        return {"value": argument.value}
    if isinstance(argument, Word):
        return {argument.kind: argument.name}
    if isinstance(argument, tuple):
        return [_plain(one) for one in argument]
    if isinstance(argument, float) and not math.isfinite(argument):
        return {"float": str(argument)}  # JSON has no infinity
    return argument


def _argument(value: Any) -> Argument:
    if isinstance(value, dict):
        ((kind, said),) = value.items()
        if kind == "value":
            return Ref(int(said))
        return float(said) if kind == "float" else Word(kind, str(said))
    if isinstance(value, list):
        return tuple(map(_argument, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(type(value))

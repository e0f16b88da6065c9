"""What a server would refuse about a program, found before anything is sent.

A server reads the file itself, with a strict reader. These checks look at the program as torch holds it, so
their messages can name the line of the user's code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from vcpbench_client.exporting.table import ATEN, SIZES, why_not

KNOWN = {f"aten.{name}" for name in ATEN} | {f"size.{name}" for name in SIZES} | {"aten.sym_size.int"}
DROPPED = ("aten._assert", "aten.sym_constrain_range")  # checks of torch.export, which a server leaves out
COMPARISONS = {f"size.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge")}  # for these checks
TRAIN_FLAGS = ("train", "training", "dropout_p")
MAP_RANK, FEATURE_RANK = 5, 2  # dimensions of (B, D, T, H, W) and of (B, D)
FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')


def refusals(program: ExportedProgram, stages: Sequence[str]) -> list[str]:
    """List the reasons for which a server would refuse a program, each in a sentence.

    Args:
        program: The program of `trace`.
        stages: A name for each output.
    """
    return list(dict.fromkeys((*_operations(program.graph), *_changes(program), *_outputs(program, stages))))


def _operations(graph: fx.Graph) -> Iterator[str]:
    for node in graph.nodes:
        name = _name(node)
        if name is None or name in COMPARISONS or name.startswith(DROPPED):
            continue
        if name not in KNOWN:
            yield f"{name} {why_not(name)}{_line(node)}"
            continue
        if not isinstance(node.target, torch._ops.OpOverload):
            continue
        given = _arguments(node)
        written = [
            one.name for one in node.target._schema.arguments if one.alias_info and one.alias_info.is_write
        ]
        if any(isinstance(given.get(one), fx.Node) and given[one].op == "placeholder" for one in written):
            yield f"{name} changes a weight or the clips in place{_line(node)}"
        norms = "instance_norm" in name and given.get("running_mean") is not None
        if any(given.get(flag) for flag in TRAIN_FLAGS) or (norms and given.get("use_input_stats")):
            yield f"{name} is in train mode{_line(node)}. Pass training=self.training"
        if "batch_norm" in name and given.get("running_mean") is None:
            yield f"{name} has no running statistics, so clips of a batch change each other{_line(node)}"
        if name == "aten.index.Tensor" and any(map(_is_mask, given["indices"])):
            yield f"{name} picks by a mask, so a shape depends on numbers{_line(node)}. Use torch.where"


def _name(node: fx.Node) -> str | None:
    """The name of a node's operation in the table; None if the node computes nothing."""
    if node.op != "call_function":
        return f"{node.op} {node.target}" if node.op not in ("placeholder", "output", "get_attr") else None
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target.name()}"  # type: ignore[no-untyped-call]
    if target.__name__ == "getitem":
        return None
    return f"size.{target.__name__}" if target.__module__ == "_operator" else f"size.sym_{target.__name__}"


def _arguments(node: fx.Node) -> dict[str, Any]:
    names = [one.name for one in node.target._schema.arguments]  # type: ignore[union-attr]
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _is_mask(index: Any) -> bool:
    return isinstance(index, fx.Node) and index.meta["val"].dtype in (torch.bool, torch.uint8)


def _changes(program: ExportedProgram) -> Iterator[str]:
    signature = program.graph_signature
    for spec in signature.output_specs:
        if spec.kind is not OutputKind.USER_OUTPUT:
            yield f"the forward pass changes {spec.target!r}. Write no tensor of the module or of the clips"
    for given in signature.input_specs:
        if given.kind in (InputKind.CUSTOM_OBJ, InputKind.TOKEN):
            yield f"the forward pass reads {given.target!r}, a custom object that cannot come with a file"


def _outputs(program: ExportedProgram, stages: Sequence[str]) -> Iterator[str]:
    form = program.call_spec.out_spec
    whole = form.unflatten(list(range(form.num_leaves))) if form is not None else 0
    if type(whole) not in (int, tuple, list):
        yield f"its output is a {type(whole).__name__}, which has no order of stages. Return tensors"
    elif not isinstance(whole, int) and not all(isinstance(one, int) for one in whole):
        yield "its output is nested, and the order of stages would be a guess. Return a tuple of tensors"
    output = next(node for node in program.graph.nodes if node.op == "output")
    nodes = [one for one in output.args[0] if isinstance(one, fx.Node)]
    if len(set(nodes)) < len(nodes):
        yield "two stages are the same tensor. Leave one of them out"
    # Changed buffers come first. They are refused above.
    for name, node in zip(stages, nodes[-len(stages) :], strict=False):
        value = node.meta["val"]
        if node.op == "placeholder" or not isinstance(value, Tensor):
            yield f"{name} is an input or a weight, and not a result"
            continue
        shape = list(value.shape)
        if len(shape) not in (MAP_RANK, FEATURE_RANK):
            yield (
                f"{name} has the shape ({', '.join(['B', *map(str, shape[1:])])}), and a stage is a map "
                "(B, D, T, H, W) or a feature (B, D). Average its tokens, take its class token, or reshape "
                "tokens to a map"
            )
        elif isinstance(shape[0], int) or not all(isinstance(side, int) for side in shape[1:]):
            yield f"{name} has the shape {tuple(shape)}. Its first side must be the number of clips alone"


def _line(node: fx.Node) -> str:
    """Where in the user's code a node comes from, if torch kept it."""
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    others = (os.path.dirname(torch.__file__), os.path.dirname(__file__))
    own = [(path, number) for path, number in frames if not path.startswith(others)]
    return f" ({os.path.basename(own[-1][0])}, line {own[-1][1]})" if own else ""

"""Networks as people export them by mistake: each is refused with what to do instead."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import Tensor, nn

from tests.graphs.networks import CLIP, Stem, built
from vcp_core.catalog.errors import CheckpointError, GraphError, UnknownOperation
from vcp_core.graphs import read_graph

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("FutureWarning", "DeprecationWarning")),
]


class Calls(nn.Module):
    """A stem, and then a function of its map and of all inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.stem, self.function = Stem(), function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self.stem(inputs[0]), *inputs)


@torch.library.custom_op("vcpbench_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return 2 * x


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def exported(module: nn.Module, path: Path, *, free: bool = True, inputs: int = 1) -> Path:
    clips = tuple(torch.randn(2, *CLIP) for _ in range(inputs))
    shapes = tuple({0: torch.export.Dim("clips")} for _ in clips)
    named = shapes if not isinstance(module, Calls) else (shapes,)  # *inputs is one argument
    program = torch.export.export(module, clips, dynamic_shapes=named if free else None)
    held = io.BytesIO()
    torch.export.save(program, held)
    path.write_bytes(held.getvalue())
    return path


MISTAKES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], type[CheckpointError], str]] = {
    "train mode": (lambda: Stem().train(), {}, GraphError, r"train mode.*Call model\.eval\(\)"),
    "dropout that stays on": (
        lambda: Calls(lambda x, clips: F.dropout(x, 0.5, training=True)).eval(),
        {},
        GraphError,
        r"aten\.dropout\.default\) is in train mode",
    ),
    "a static batch": (
        lambda: Stem().eval(),
        {"free": False},
        GraphError,
        "batches of 2 clips only.*dynamic_shapes",
    ),
    "two inputs": (
        lambda: Calls(lambda x, clips, other: x + other.mean()).eval(),
        {"inputs": 2},
        GraphError,
        "takes 2 inputs",
    ),
    "a dictionary": (
        lambda: Calls(lambda x, clips: {"map": x}).eval(),
        {},
        GraphError,
        "builtins.dict.*order of stages",
    ),
    "a tuple in a tuple": (
        lambda: Calls(lambda x, clips: (x, (x + 1,))).eval(),
        {},
        GraphError,
        "its output is nested",
    ),
    "a custom operation": (
        lambda: Calls(lambda x, clips: twice(x)).eval(),
        {},
        UnknownOperation,
        r"vcpbench_tests\.twice\.default is a custom operation.*open an issue",
    ),
    "noise": (
        lambda: Calls(lambda x, clips: x + torch.rand_like(x)).eval(),
        {},
        UnknownOperation,
        r"rand_like\.default draws at random",
    ),
    "clips changed in place": (
        lambda: Calls(lambda x, clips: x + clips.sub_(0.5).mean()).eval(),
        {},
        GraphError,
        "changes the clips in place|changes its own buffers, parameters or input",
    ),
    "an input as an output": (
        lambda: Calls(lambda x, clips: (x, clips)).eval(),
        {},
        GraphError,
        "an output of it is an input",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    module, options, error, words = MISTAKES[name]
    path = exported(module(), tmp_path / "a.pt2", **options)
    with pytest.raises(error, match=f"(?s){words}"):
        read_graph(path)


def test_a_network_of_half_precision_is_refused_with_what_to_do(tmp_path: Path) -> None:
    network = built("squeeze and excite").half()
    free = ({0: torch.export.Dim("clips")},)
    program = torch.export.export(network, (torch.randn(2, *CLIP).half(),), dynamic_shapes=free)
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(GraphError, match=r"not float32. Call model\.float\(\)"):
        read_graph(tmp_path / "a.pt2")

"""Write a program as a .pt2 archive that holds no path of the user, and compare it with its network."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from vcpbench_client.errors import ExportError

EXTRA = "vcpbench.json"  # torch puts it at extra/vcpbench.json in the archive
VERSION = 1
BATCHES = (1, 3)  # clips; the program is traced with 2
MOST_DIFFERENCE = 1e-4  # of the largest feature
WEIGHTS = ("data/weights/weight_", "data/constants/tensor_")  # entries of raw numbers


def write(program: ExportedProgram, path: Path, *, words: Mapping[str, str], stages: Sequence[str]) -> None:
    """Write a program with its input and the names of its stages.

    Stack traces, names of modules and sample inputs are left out. A server reads none of them, and they hold
    paths of the user.

    Raises:
        ExportError: If a path of the user is in the file nonetheless.
    """
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.meta = {name: value for name, value in node.meta.items() if name == "val"}
    program._example_inputs = None
    program._guards_code = []
    described = json.dumps({"version": VERSION, "input": dict(words), "stages": list(stages)})
    torch.export.save(program, path, extra_files={EXTRA: described})
    _expect_no_paths(path)


def _expect_no_paths(path: Path) -> None:
    told = {os.path.expanduser("~"), os.getcwd(), os.path.dirname(torch.__file__), str(path.parent)}
    secrets = [one.encode() for one in told if one.count("/") > 1 or len(one) > 4]
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.partition("/")[2].startswith(WEIGHTS) and any(
                map(archive.read(name).__contains__, secrets)
            ):
                raise ExportError(f"{name} of the archive holds a path of this machine. Please report it.")


def compare(network: nn.Module, path: Path, clips_BCTHW: Tensor) -> float:
    """Compare a file with its network on some clips, in parts of the largest feature; 0 if bit-equal.

    The file is one that this process has just written, so torch.export may load it.

    Args:
        network: The network.
        path: The file.
        clips_BCTHW: As many clips as the largest of `BATCHES`.

    Raises:
        ExportError: If the two differ, or if a clip's features depend on the other clips of its batch.
    """
    loaded = torch.export.load(path).module()
    found: dict[int, list[Tensor]] = {}
    most = 0.0
    with torch.no_grad():
        for batch in BATCHES:
            clips = clips_BCTHW[:batch]
            found[batch], wanted = _tensors(loaded(clips.clone())), _tensors(network(clips.clone()))
            if not all(bool(one.isfinite().all()) for one in (*found[batch], *wanted)):
                raise ExportError(
                    "The network gives NaN or infinity for random clips. Are its weights whole?"
                )
            most = max(most, _difference(found[batch], wanted))
    if most > MOST_DIFFERENCE:
        raise ExportError(
            f"The file gives other numbers than the network, by {most:.1e} of the largest feature. Does its "
            "forward pass draw at random, or count its calls?"
        )
    alone = _difference(found[BATCHES[0]], [one[: BATCHES[0]] for one in found[BATCHES[-1]]])
    if alone > MOST_DIFFERENCE:
        raise ExportError(
            f"A clip's features depend on the other clips of its batch, by {alone:.1e} of the largest "
            "feature. Is a norm in train mode, or does the forward pass mix clips?"
        )
    return most


def _tensors(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)


def _difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    pairs = zip(first, second, strict=True)
    return max(0.0 if torch.equal(a, b) else float((a - b).abs().max() / b.abs().max()) for a, b in pairs)

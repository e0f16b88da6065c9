"""Make a .pt2 archive of a network, check it as a server would, and put it in its place."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from vcpbench_client.errors import ExportError, FileError
from vcpbench_client.exporting import archive
from vcpbench_client.exporting.checking import refusals
from vcpbench_client.exporting.cutting import cut
from vcpbench_client.exporting.inputs import SHOWN_NOWHERE, Input, colour_of
from vcpbench_client.exporting.tracing import expect_torch, trace

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A finished file.

    Attributes:
        path: The file.
        size_bytes: Its size.
        stages: The shape of each stage without the batch, first to last: (D, T, H, W), or (D,).
        input: The words of the input spec in the file.
        num_operations: Operations of the program.
        num_weights: Weights that the stages read.
        difference: Between the file and the network, in parts of the largest feature. 0 is bit-equal.
        is_read: Whether vcpbench's own reader took the file. False if only the client is installed here.
        notes: Sentences about what a user should know.
    """

    path: Path
    size_bytes: int
    stages: dict[str, tuple[int, ...]]
    input: dict[str, str]
    num_operations: int
    num_weights: int
    difference: float
    is_read: bool
    notes: tuple[str, ...] = ()


def export(
    network: nn.Module,
    path: str | Path,
    *,
    frames: int,
    crop: int,
    stages: Sequence[str] = (),
    stride: int | None = None,
    resize: tuple[int, int] | None = None,
    mean: float | tuple[float, float, float] | None = None,
    std: float | tuple[float, float, float] | None = None,
) -> Exported:
    """Export a network as a .pt2 archive that a vcpbench server evaluates. Needs torch 2.9 or later.

    The network is copied, and stays as it is. Its forward pass takes clips (B, 3, T, H, W): pixel values in
    [0, 1], less `mean`, divided by `std`.

    Args:
        network: The network, with its weights.
        path: The file to write. It appears whole or not at all.
        frames: Frames of a clip.
        crop: Height and width of a clip in pixels.
        stages: Names of modules whose outputs are the stages, first to last. Each is a map (B, D, T, H, W)
            or a feature (B, D). Without stages, the output of the whole network counts.
        stride: Distance between two frames of a clip, in frames of the video.
        resize: Height and width of frames before the crop, in pixels.
        mean: Is taken away from pixel values in [0, 1]: one number, or one for each of red, green and blue.
        std: Divides them afterwards.

    Returns:
        What was written, and what vcpbench will assume.

    Raises:
        ExportError: If the network cannot be exported, or a server would refuse the file. Nothing is written.
        FileError: If the file cannot be written.

    >>> export(build_network(), "model.pt2", frames=16, crop=112, stages=["layer4"])  # doctest: +SKIP
    """
    declared = Input(
        frames=frames,
        crop=crop,
        stride=stride,
        resize=resize,
        mean=None if mean is None else colour_of("mean", mean),
        std=None if std is None else colour_of("std", std),
    )
    return make(copied(network), Path(path), declared, stages=stages)


def make(
    network: nn.Module,
    path: Path,
    declared: Input,
    *,
    stages: Sequence[str],
    first_values: Collection[str] = (),
    said: Sequence[str] = (),
    tell: Tell = lambda step: None,
) -> Exported:
    """Export a network that nobody else uses, as `export` does.

    Args:
        network: The network on the CPU. It is changed.
        path: The file to write.
        declared: The input.
        stages: Names of modules.
        first_values: Weights that no file gave. A stage must not read one that training changes.
        said: Sentences that come before the notes.
        tell: Called with each step that begins.
    """
    expect_torch()
    clips_BCTHW = torch.rand(
        archive.BATCHES[-1], *declared.clip_shape, generator=torch.Generator().manual_seed(0)
    )
    with warnings.catch_warnings(action="ignore"):  # torch.export warns of itself
        notes = _prepare(network)
        tell("running the network once")
        if stages:
            notes += cut(network, stages, clips_BCTHW[:2])
        tell("exporting")
        program = trace(network, clips_BCTHW[:2])
        names = list(stages) or _numbered(program)
        refused = refusals(program, names)
        if refused:
            raise ExportError(f"A server would refuse the program: {'; '.join(refused)}.")
        read = _weights_read(program)
        _expect_loaded(read, first_values)
        with _put_at(path) as part:
            archive.write(program, part, words=declared.words(), stages=names)
            tell("comparing the file with the network")
            difference = archive.compare(network, part, clips_BCTHW)
            is_read = _read_strictly(part)
            size_bytes = part.stat().st_size
    return Exported(
        path=path,
        size_bytes=size_bytes,
        stages=dict(zip(names, _shapes(program), strict=True)),
        input=declared.words(),
        num_operations=sum(node.op == "call_function" for node in program.graph.nodes),
        num_weights=len(read),
        difference=difference,
        is_read=is_read,
        notes=(*said, *notes, *_unsaid(declared)),
    )


def copied(network: nn.Module) -> nn.Module:
    """Copy a network to the CPU, without what parallel training and compilation put around it.

    Raises:
        ExportError: If the network cannot be copied, or is a TorchScript module.
    """
    inner: object = network
    while isinstance(inner, nn.Module):
        network = inner
        parallel = isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = network.module if parallel else getattr(network, "_orig_mod", None)
    if isinstance(network, torch.jit.ScriptModule):
        raise ExportError("The network is a TorchScript module. Pass the module that it was made from.")
    try:
        return copy.deepcopy(network).cpu()
    # Any error: a network may hold whatever cannot be copied.
    except Exception as error:
        raise ExportError(f"The network cannot be copied ({type(error).__name__}: {error}).") from error


def _prepare(network: nn.Module) -> list[str]:
    """Bring a network into the form that is exported. Return what was changed."""
    network.eval()
    training = [name or "the network" for name, module in network.named_modules() if module.training]
    if training:
        raise ExportError(
            f"{', '.join(training[:5])} stays in train mode after model.eval(). Let its train() follow the "
            "argument."
        )
    types = {one.dtype for one in network.parameters() if one.is_floating_point()} - {torch.float32}
    if types:
        network.float()
        return [f"the weights were {', '.join(sorted(map(str, types)))}, and are float32 in the file"]
    return []


def _unsaid(declared: Input) -> list[str]:
    unsaid = [word for word in SHOWN_NOWHERE if word not in declared.words()]
    if not unsaid:
        return []
    return [
        f"the file does not say {', '.join(unsaid)}, and a server refuses an unknown input. Export with "
        "these words, or pass them as --input-spec when you evaluate"
    ]


def _numbered(program: ExportedProgram) -> list[str]:
    return [f"stage{number}" for number in range(1, len(program.graph_signature.user_outputs) + 1)]


def _shapes(program: ExportedProgram) -> list[tuple[int, ...]]:
    output = next(node for node in program.graph.nodes if node.op == "output")
    return [tuple(map(int, node.meta["val"].shape[1:])) for node in output.args[0]]


def _weights_read(program: ExportedProgram) -> dict[str, bool]:
    """The weights that an operation reads, by name; whether training changes them."""
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    return {
        str(spec.target): spec.kind is InputKind.PARAMETER
        for spec in program.graph_signature.input_specs
        if spec.kind is not InputKind.USER_INPUT and spec.arg.name in used
    }


def _expect_loaded(read: dict[str, bool], first_values: Collection[str]) -> None:
    random = [name for name in first_values if read.get(name)]
    if random:
        raise ExportError(
            "The stages read weights that --ignore-keys left out, so they would be random: "
            f"{', '.join(random[:5])}. Ignore only keys of heads behind the last stage."
        )


@contextmanager
def _put_at(path: Path) -> Iterator[Path]:
    """Give a path to write to. The file there is moved to its place if the block ends well."""
    try:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise FileError(path, f" cannot be written: {error.strerror or error}.", path=path) from error
    try:
        part = folder / "model.pt2"  # torch writes this name into the archive
        yield part
        os.replace(part, path)
    except OSError as error:
        raise FileError(path, f" cannot be written: {error.strerror or error}.", path=path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_strictly(path: Path) -> bool:
    """Read the file as a server does, if vcpbench itself is installed here.

    Raises:
        ExportError: If it is refused.
    """
    try:
        from vcp_core.catalog.errors import VcpbenchError
        from vcp_core.graphs import read_graph, survey
    except ImportError:
        return False
    try:
        survey(read_graph(path).program)
    except VcpbenchError as error:
        raise ExportError(f"A server would refuse the file: {error}") from error
    return True

"""A program as a backbone: it takes clips and gives features like every other network.

Shapes: B clips, C channels (RGB), T frames, H height, W width, D features.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.errors import GraphError, GraphTooLarge, InputError
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.readings import resolve
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.graphs.calibration import Calibration, calibration_of
from vcp_core.graphs.folding import folded_program
from vcp_core.graphs.program import Program
from vcp_core.graphs.running import Call, failed, run, steps_of
from vcp_core.graphs.surveying import MAP_RANK, Survey, survey
from vcp_core.graphs.usage import KEPT, redrawn, uses

MAX_STAGES = 64  # the largest backbone of the catalog has 8
MAX_DIM = 1 << 16  # channels of a stage; slow_r50's last stage has 2,048


def facts_of(
    program: Program,
    weights: Mapping[str, Tensor],
    found: Survey,
    *,
    stages: Sequence[str] = (),
    input_spec: str | None = None,
) -> GraphFacts:
    """Find what is known of a graph without its program.

    Args:
        program: The checked program.
        weights: Its weights by name.
        found: Its survey.
        stages: Names of its outputs, as the file says them; stage1, stage2 and so on if left out.
        input_spec: The input, as the file says it.

    Raises:
        InputError: If the file takes clips that no dataset gives.
        GraphError: If the file names another number of stages than it has.
        GraphTooLarge: If it has very many stages, or channels.
    """
    _, frames, height, width = program.clip_shape
    if height != width:
        raise InputError(
            f"its clips are {height} x {width} pixels, and vcpbench gives square crops. Export it with "
            "example clips whose height equals their width."
        )
    InputSpec.parse(f"frames={frames},crop={width}")
    dims = tuple(shape[0] for shape in found.output_shapes)
    if len(dims) > MAX_STAGES or max(dims) > MAX_DIM:
        raise GraphTooLarge(
            f"it gives {len(dims)} stages of up to {max(dims):,} channels, and at most {MAX_STAGES} of "
            f"{MAX_DIM:,} are taken. Export a few feature maps of its backbone.",
            most=MAX_DIM,
        )
    if stages and len(stages) != len(dims):
        raise GraphError(
            f"it names {len(stages)} stages, and its program gives {len(dims)} outputs. Export it again, and "
            "change nothing in the file.",
            reason="declared",
        )
    used = uses(program)
    return GraphFacts(
        structure=program.structure(),
        kept=_digest([weights[name] for name, use in used.items() if use.use in KEPT]),
        clip_shape=program.clip_shape,
        stages=tuple(stages) or tuple(f"stage{number}" for number in range(1, len(dims) + 1)),
        stage_dims=dims,
        last_strides=_strides(program, found.output_shapes[-1]),
        num_parameters=program.num_parameters,
        input_spec=input_spec,
        operations=dict(Counter(node.operation for node in program.nodes)),
        multiply_adds=found.multiply_adds,
        peak_bytes=found.peak_bytes,
        uses=dict(Counter(use.use for use in used.values())),
        calibration=calibration_of(program),
    )


def _digest(tensors: Sequence[Tensor]) -> str:
    """Hash the bytes of tensors; "" for none. Their shapes and types are a part of the structure."""
    if not tensors:
        return ""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _strides(program: Program, shape: tuple[int, ...]) -> tuple[int, int]:
    """Frames and pixels of a clip between neighbours in the last stage's map; half of a clip for a vector."""
    _, frames, _, width = program.clip_shape
    if len(shape) < MAP_RANK - 1:
        return frames, math.ceil(width / 2)  # so that `max_pooled_dim` is the number of features
    return math.ceil(frames / shape[1]), math.ceil(width / shape[-1])


class Graph(Backbone):
    """A network from a .pt2 file. torch runs its operations one by one; nothing of it is compiled.

    Each output of the program is a stage, first to last. An output (B, D, T, H, W) is a map, and is averaged
    like a family's. An output (B, D) is a feature, and is taken as it is.

    Args:
        program: The checked program.
        weights: Its weights by name. They are not copied.
        spec: Its facts as a backbone (`vcp_core.catalog.readings.resolve`).

    Attributes:
        program: The program.

    >>> from vcp_core.graphs.program import Node, Ref
    >>> mean = Node(operation="aten.mean.dim", arguments=(("self", Ref(0)), ("dim", (2, 3, 4))))
    >>> program = Program(weights=(), clip_shape=(3, 16, 112, 112), nodes=(mean,), outputs=(1,))
    >>> graph = build_graph(program, {})
    >>> graph(torch.full((2, 3, 16, 112, 112), 255, dtype=torch.uint8))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """

    def __init__(self, program: Program, weights: Mapping[str, Tensor], spec: BackboneSpec) -> None:
        super().__init__(spec)
        self.program = program
        self._steps = steps_of(program)
        self._call: Call | None = None
        # By number: a module's attributes must not have names from a file.
        for number, weight in enumerate(program.weights):
            tensor = weights[weight.name]
            if weight.kind == "parameter" and tensor.is_floating_point():
                parameter = nn.Parameter(tensor, requires_grad=False)
                self.register_parameter(_attribute(number), parameter)
            else:
                self.register_buffer(_attribute(number), tensor)
        self.eval()

    def weights(self) -> list[Tensor]:
        """The weights in the program's order, on the device where they are."""
        return [getattr(self, _attribute(number)) for number in range(len(self.program.weights))]

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """As `Module.to`. A layout for 5 dimensions leaves weights with other dimensions as they are.

        `Module.to` fails if a weight has 4 dimensions, as the kernel of a 2D convolution has.
        """
        layout = kwargs.pop("memory_format", None)
        super().to(*args, **kwargs)
        if layout is not None:
            for weight in self.weights():
                if weight.dim() == MAP_RANK or layout == torch.contiguous_format:
                    weight.data = weight.data.contiguous(memory_format=layout)
        return self

    def forward_stages(self, x_BCTHW: Tensor) -> list[Tensor]:
        """Each output as a map. A feature (B, D) is a map of size 1 x 1 x 1, which pooling leaves unchanged.

        Raises:
            ValueError: If the clips are not of the shape that the file takes.
            GraphError: If an operation cannot run on these clips.
        """
        if tuple(x_BCTHW.shape[1:]) != self.program.clip_shape:
            shown = ", ".join(map(str, self.program.clip_shape))
            raise ValueError(
                f"{self.spec.name} expects clips of shape (B, {shown}), got {tuple(x_BCTHW.shape)}."
            )
        outputs = run(self._steps, self.program, self.weights(), x_BCTHW, call=self._call)
        if x_BCTHW.is_cuda:
            try:  # an error inside a kernel comes later than the call, and must not look like one of ours
                torch.cuda.synchronize(x_BCTHW.device)
            except RuntimeError as error:
                raise failed("an operation", error) from error
        return [output if output.dim() == MAP_RANK else output[..., None, None, None] for output in outputs]

    def stages(self, clips_BCTHW: Tensor, *, max_pooled: bool = False) -> dict[str, Tensor]:
        """As `Backbone.stages`. A map with sides of 1, or a feature, is max-pooled over what is there."""
        maps = self.forward_stages(self._prepare(clips_BCTHW))
        found = {
            name: x_BDTHW.mean(dim=(2, 3, 4), dtype=torch.float32)
            for name, x_BDTHW in zip(self.spec.stages, maps, strict=True)
        }
        if max_pooled:
            height, width = maps[-1].shape[3:]
            x_BDTHW = nn.functional.max_pool3d(maps[-1].float(), (1, min(2, height), min(2, width)))
            found[self.spec.max_pooled_stage] = x_BDTHW.flatten(start_dim=1)
        return found

    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight anew by its use (`vcp_core.graphs.usage`).

        Args:
            generator: A generator on the CPU. The network must be on the CPU, too.
        """
        for own, drawn in zip(self.weights(), redrawn(self.program, self.weights(), generator), strict=True):
            with torch.no_grad():
                own.copy_(drawn)

    def redrawn(self, seed: int) -> Graph:
        """Make a graph of the same program with random weights, on the CPU."""
        own = [weight.cpu() for weight in self.weights()]
        return self._with(self.program, redrawn(self.program, own, torch.Generator().manual_seed(seed)))

    @property
    def needs_calibration(self) -> bool:
        """Whether `calibrating` changes anything."""
        return calibration_of(self.program) != "nothing"

    @contextmanager
    def calibrating(self) -> Iterator[None]:
        """Normalise by the statistics of each batch inside the block, and keep their averages at its end.

        This is what `vcp_core.evaluation.controls.calibrate` does to the batch norms of a family. A graph
        without any normalisation gets one: each convolution's output is standardised per channel, which its
        weight and bias do afterwards. A network is changed only if the block ends well.
        """
        calibration = Calibration(self.program, self.weights())
        self._call = calibration.call
        try:
            yield
        finally:
            self._call = None
        calibration.finish()

    def folded(self) -> Graph:
        """Make a graph in which convolutions do the work of the batch norms behind them.

        The features are the same but for the last digits (docs/decisions/2026-11-29-folding.md). A graph
        that has nothing to fold is returned itself.
        """
        program, weights = folded_program(self.program, self.weights())
        return self if program is self.program else self._with(program, weights)

    def _with(self, program: Program, weights: Sequence[Tensor]) -> Graph:
        named = {one.name: tensor for one, tensor in zip(program.weights, weights, strict=True)}
        return Graph(program, named, self.spec)


def build_graph(program: Program, weights: Mapping[str, Tensor], *, input_spec: str | None = None) -> Graph:
    """Make a backbone of a program, in eval mode on the CPU. It runs once without numbers.

    Args:
        program: The checked program.
        weights: Its weights by name.
        input_spec: The declared input. Without it, each frame is taken, frames are resized to the crop, and
            pixel values stay in [0, 1].

    Raises:
        GraphError: As `survey`.
        InputError: As `facts_of` and `vcp_core.catalog.readings.resolve`.
    """
    facts = facts_of(program, weights, survey(program))
    return Graph(program, weights, resolve(facts, input_spec=input_spec) if input_spec else facts.spec)


def _attribute(number: int) -> str:
    return f"weight_{number}"

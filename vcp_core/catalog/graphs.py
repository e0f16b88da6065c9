"""What is known of a graph (.pt2) without its program. No torch.

A backbone of the catalog is a name with facts. A graph brings its facts with it: ingest finds them in the
file, and the checkpoint's row keeps them. `vcp_core.catalog.readings.resolve` takes either of the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.keys import EXPORTED
from vcp_core.catalog.names import counted
from vcp_core.catalog.specs import GRAPH, BackboneSpec

SHOWN = 8  # digits of a structure in a graph's name
UNSEEN = ("stride", "resize", "mean", "std")  # words of an input that no program shows
EXAMPLE = "stride=1,resize=128x171,mean=0.45,std=0.225"

Calibration = Literal["batch norms", "convolutions", "nothing"]
# What random weights get, by use (`vcp_core.graphs.usage`).
DRAWN: Mapping[str, str] = {
    "kernel": "by torch's default",
    "bias": "0",
    "scale": "1",
    "shift": "0",
    "running mean": "0",
    "running variance": "1",
    "slope": "0.25",
    "token": "N(0, 0.02)",
    "layer scale": "as in the file",
    "kept": "as in the file",
}
CALIBRATED: Mapping[Calibration, str] = {
    "batch norms": "Batch norms get the statistics of training clips.",
    "convolutions": "The program has no normalisation. So each convolution with a bias is standardised for "
    "each channel on training clips.",
    "nothing": "Nothing is standardised: its normalisations keep no statistics.",
}


@dataclass(frozen=True, kw_only=True)
class GraphFacts:
    """The facts of a graph.

    Attributes:
        structure: SHA-256 of the program without names and numbers (`vcp_core.graphs.Program.structure`).
        kept: SHA-256 of the numbers that random weights keep, such as tables and masks; "" if there are none.
        clip_shape: Input (channels, frames, height, width). The file fixes it.
        stages: Stage names, first to last.
        stage_dims: Channels of each stage.
        last_strides: As `BackboneSpec.last_strides`.
        num_parameters: Parameters of the program.
        input_spec: The input that the file declares (`vcp_core.catalog.inputs`); None if it declares none.
        operations: How many operations there are of each name.
        multiply_adds: Multiply-adds of one clip.
        peak_bytes: The most bytes that the results of one clip take at one time.
        uses: How many weights there are of each use (`vcp_core.graphs.usage`).
        calibration: What training clips standardise in random weights.

    >>> facts = GraphFacts(
    ...     structure="3f1c" + 60 * "0", kept="", clip_shape=(3, 16, 112, 112), stages=("stage1",),
    ...     stage_dims=(512,), last_strides=(8, 16), num_parameters=33_166_272,
    ...     input_spec="stride=2,resize=128x171", operations={"aten.conv3d.default": 20},
    ...     multiply_adds=10**10, peak_bytes=10**8, uses={"kernel": 20}, calibration="nothing",
    ... )
    >>> facts.name
    'graph-3f1c0000'
    >>> facts.input("mean=0.45,std=0.225")
    'frames=16,stride=2,resize=128x171,crop=112,mean=0.45,std=0.225'
    >>> print(facts.random_weights())
    kernel by torch's default (20 tensors). Nothing is standardised: its normalisations keep no statistics.
    >>> GraphFacts.from_dict(facts.as_dict()) == facts
    True
    """

    structure: str
    kept: str
    clip_shape: tuple[int, int, int, int]
    stages: tuple[str, ...]
    stage_dims: tuple[int, ...]
    last_strides: tuple[int, int]
    num_parameters: int
    input_spec: str | None
    operations: Mapping[str, int]
    multiply_adds: int
    peak_bytes: int
    uses: Mapping[str, int]
    calibration: Calibration

    @property
    def name(self) -> str:
        """What people see, and filter boards by. Keys of features and controls hold the whole structure."""
        return f"{GRAPH}-{self.structure[:SHOWN]}"

    @property
    def spec(self) -> BackboneSpec:
        """The graph as the catalog describes a backbone, for clips whose pixel values stay in [0, 1]."""
        return BackboneSpec(
            name=self.name,
            family=GRAPH,
            keys=(EXPORTED,),
            stages=self.stages,
            stage_dims=self.stage_dims,
            clip_shape=self.clip_shape,
            resize=(self.clip_shape[2], self.clip_shape[3]),
            last_strides=self.last_strides,
            num_parameters=self.num_parameters,
            source=EXPORTED.source,
            builder="vcp_core.graphs.backbone:Graph",
            arguments={"structure": self.structure, "kept": self.kept},
        )

    def input(self, declared: str | None) -> str:
        """Write the whole input: what the user declares, and for the rest what the file declares.

        Raises:
            InputError: If a declaration is not valid or contradicts the program, or if neither says a word
                that no program shows.
        """
        said = InputSpec.parse(declared) if declared else InputSpec()
        if self.input_spec:
            said = said.over(InputSpec.parse(self.input_spec))
        own = InputSpec(frames=self.clip_shape[1], crop=self.clip_shape[2])
        if own.over(said) != said.over(own):
            raise InputError(
                f"the declared input ({said}) contradicts the file, which takes clips of {own}. Leave out "
                "frames and crop, or export the network with other example clips."
            )
        missing = [word for word in UNSEEN if getattr(said, word) is None]
        if missing:
            raise InputError(
                f"its input is not known: neither the file nor a declaration says {', '.join(missing)}. "
                f"Declare them (--input-spec {EXAMPLE}, with your numbers), or export the network with "
                "`vcpbench export`, which writes them into the file."
            )
        return str(said.over(own))

    def random_weights(self) -> str:
        """Say what random weights get, by use, and what training clips standardise in them."""
        drawn = ", ".join(
            f"{use} {what} ({counted(self.uses[use], 'tensor')})"
            for use, what in DRAWN.items()
            if use in self.uses
        )
        return f"{drawn or 'none'}. {CALIBRATED[self.calibration]}"

    def lines(self) -> list[tuple[str, str]]:
        """What a report shows of a graph: pairs of a word and a text."""
        stages = ", ".join(f"{name} {dim}" for name, dim in zip(self.stages, self.stage_dims, strict=True))
        number, kinds = sum(self.operations.values()), len(self.operations)
        program = f"{counted(number, 'operation')} of {counted(kinds, 'kind')}"
        work = f"{self.multiply_adds / 1e9:.2f} billion multiply-adds"
        memory = f"{self.peak_bytes / 2**20:.0f} MiB at most"
        return [
            ("structure", self.structure),
            ("stages", stages),
            ("program", f"{program}; a clip takes {work}, {memory}"),
            ("control", f"random weights: {self.random_weights()}"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Turn the facts into plain values, ready for JSON. `from_dict` reads them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GraphFacts:
        """Rebuild the facts that `as_dict` described."""
        # JSON has no tuples: they come back as lists.
        facts: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in values.items()
        }
        return cls(**facts)

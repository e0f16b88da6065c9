"""The report on a checkpoint file: what was found in it, for users and for provenance."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog import names
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.readings import Assumption, assumed, resolve, variant_of
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.checkpoints.names import WRAPPERS


@dataclass(frozen=True, kw_only=True)
class CheckpointReport:
    """How a backbone was found in a file.

    Attributes:
        sha256: SHA-256 of the original file.
        size_bytes: Size of the original file.
        format: "torch zip", "torch legacy", "safetensors" or "torch export", recognised by the file's bytes.
        backbone: Name of the backbone in the file.
        scheme: The key scheme of the file ("torchvision"); "" in reports from before there were schemes.
        wrapper: The nested dictionaries that hold the keys, joined by dots ("state_dict"); "" for none.
        prefix: The beginning of the keys inside these dictionaries ("module."); "" for none.
        stripped: Words of wrappers that were left out of keys ("_orig_mod"), with the number of keys.
        network: The value of `--prefix` that names the network: wrapper and prefix together, "." for none.
        why: Why this network was chosen, or a fact about it; "" if there is nothing to say.
        num_keys: Number of the backbone's keys. All of them were there in the right shape.
        filled: Keys that no forward pass reads (`num_batches_tracked`) and that held no count. They are 0.
        left_over: Numbers of tensors that are not the backbone's (head, queue, optimizer), by their place.
        others: The value of `--prefix` of every other whole backbone in the file ("teacher."); not used.
        dtypes: Types of the weights in the original file. The canonical file has float32.
        notes: Sentences about anything unusual in the file.
        origin: The training run that a file of ours claims (`vcp_core.checkpoints.origin`).
        scheme_version: Version of the key scheme's facts; 0 in reports from before they were counted.
        variant: The form of the network that the user named; None for the usual one.
        input_spec: The input of the network, in full; "" in older reports.
        assumed: Facts that an evaluation relies on, and that cannot be seen in the file
            (`vcp_core.catalog.readings.Assumption`). Older reports do not list them.
        training: The step, epoch and run that the file claims (`vcp_core.checkpoints.trainers`).
        graph: The facts of a graph, whose name is the backbone; None for a backbone of the catalog.

    >>> report = CheckpointReport(
    ...     sha256="0" * 64,
    ...     size_bytes=57_600_000,
    ...     format="torch zip",
    ...     backbone="r3d",
    ...     wrapper="state_dict",
    ...     prefix="module.",
    ...     num_keys=72,
    ...     filled=(),
    ...     left_over={"optimizer": 3},
    ...     others=(),
    ...     dtypes=("float32",),
    ... )
    >>> for line in report.explain().splitlines()[3:5]:
    ...     print(line)
    wrapper     the keys are inside 'state_dict'
    prefix      the keys are under 'module.': 'module' (DataParallel or DistributedDataParallel)
    """

    sha256: str
    size_bytes: int
    format: str
    backbone: str
    wrapper: str
    prefix: str
    num_keys: int
    filled: tuple[str, ...]
    left_over: dict[str, int]
    others: tuple[str, ...]
    dtypes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    scheme: str = ""
    origin: dict[str, Any] | None = None
    network: str = ""
    why: str = ""
    stripped: dict[str, int] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    scheme_version: int = 0
    variant: str | None = None
    input_spec: str = ""
    assumed: tuple[dict[str, str], ...] = ()
    graph: GraphFacts | None = None

    @property
    def network_spec(self) -> BackboneSpec:
        """The facts of the network in its usual form, with its usual input."""
        return BACKBONES[self.backbone] if self.graph is None else self.graph.spec

    def read_as(self, *, variant: str | None, input_spec: str | None) -> CheckpointReport:
        """Add what the user named and declared, and what is then still assumed.

        Raises:
            UnknownName: If the backbone has no such variant.
            InputError: If the declared input is not valid, or does not fit the backbone. Also if a graph's
                input is not known.
        """
        spec = resolve(
            self.graph or self.backbone, scheme=self.scheme, variant=variant, input_spec=input_spec
        )
        return dataclasses.replace(
            self,
            scheme_version=spec.facts.version,
            variant=variant,
            input_spec=input_of(spec),
            assumed=tuple(dataclasses.asdict(one) for one in assumed(spec)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Turn the report into plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Write the report as one line of JSON. `from_json` reads it."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> CheckpointReport:
        """Read a report that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        # JSON has no tuples: they come back as lists.
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        graph = values.get("graph")
        return cls(**{**values, **lists, "graph": graph and GraphFacts.from_dict(graph)})

    def explain(self) -> str:
        """Explain the report to a user, in a few lines."""
        lines = [
            f"backbone    {self._backbone()}",
            f"file        {self.format}, {self.size_bytes / 1e6:.1f} MB",
            f"sha256      {self.sha256}",
            *self._place(),
            *self._variant(),
            f"input       {self.input_spec or input_of(self.network_spec)}",
            *self._assumed(),
        ]
        if self.origin:
            where = f"{self.origin['run']}, step {self.origin['step']}, on {self.origin['dataset']}"
            lines.append(f"origin      {self.origin['task']} {where}")
        lines += self._training()
        if self.graph is None and self.dtypes != ("float32",):
            lines.append(f"converted   {', '.join(self.dtypes)} to float32")
        if self.left_over:
            lines.append(f"left over   {listed(f'{at} ({n})' for at, n in self.left_over.items())}")
            lines.append(
                "            They are not the backbone's. An evaluation of its features does not need them."
            )
        if self.others:
            lines.append(f"also there  {listed(map(repr, self.others))}: other whole backbones, not used")
            lines.append("            To use one of them, pass its name here to --prefix.")
        if self.filled:
            lines.append(
                f"filled      {len(self.filled)} num_batches_tracked, with 0; no forward pass reads them"
            )
        return "\n".join([*lines, *(f"note        {note}" for note in self.notes)])

    def _backbone(self) -> str:
        millions = f"{self.network_spec.num_parameters / 1e6:.1f} M parameters"
        if self.graph is not None:
            return f"{self.backbone}: a program of its own, {self.num_keys} weights, {millions}"
        named = f", named as in {self.scheme}" if self.scheme else ""
        return f"{self.backbone}: all {self.num_keys} keys{named}, {millions}"

    def _place(self) -> list[str]:
        """Where the network lies in the file; of a graph, what it is."""
        if self.graph is None:
            return [
                f"wrapper     {self._wrapper()}",
                f"prefix      {self._prefix()}",
                *self._stripped(),
                *self._network(),
            ]
        return [f"{name:<11} {what}" for name, what in self.graph.lines()]

    def _variant(self) -> list[str]:
        if self.variant is None:
            return []
        return [f"variant     {self.variant}: {variant_of(self.network_spec, self.variant).says}"]

    def _assumed(self) -> list[str]:
        heads = itertools.chain(["assumed"], itertools.repeat(""))
        lines = [f"{head:<11} {Assumption(**one)}" for head, one in zip(heads, self.assumed, strict=False)]
        others = [one.name for one in self.network_spec.variants if one.name != self.variant]
        if lines:
            lines.append(
                "            The file does not show it. If it is wrong, pass --input-spec or --variant"
            )
            lines[-1] += f" ({', '.join(others)})." if others else "."
        return lines

    def _wrapper(self) -> str:
        return f"the keys are inside {self.wrapper!r}" if self.wrapper else "none: the keys are at the top"

    def _stripped(self) -> list[str]:
        said = [f"{word!r} ({WRAPPERS[word]}) in {count} keys" for word, count in self.stripped.items()]
        return [f"left out    {', '.join(said)}: words of wrappers"] if said else []

    def _prefix(self) -> str:
        if not self.prefix:
            return "none"
        said = [f"{word!r} ({why})" for word, why in PREFIXES.items() if word in self.prefix.split(".")]
        return f"the keys are under {self.prefix!r}" + (f": {', '.join(said)}" if said else "")

    def _network(self) -> list[str]:
        return [f"network     {self.network!r}: {self.why}"] if self.why else []

    def _training(self) -> list[str]:
        said = self.training
        if not said or self.origin:
            return []
        return [
            f"{fact:<11} {said[fact]}, from {printable(said['sources'][fact])}"
            for fact in ("run", "step", "epoch")
            if said[fact] is not None
        ]


# Common names of the module that holds a backbone, and what they mean. They explain a report; the search for
# a backbone does not use them.
PREFIXES = {
    **WRAPPERS,
    "base_network": "VCOP's proxy network",
    "encoder_q": "MoCo's query encoder, which was trained by gradients",
    "encoder_k": "MoCo's key encoder, an averaged copy",
    "student": "trained by gradients",
    "teacher": "an averaged copy of the student",
}


def listed(names: Iterable[str], *, first: int = 5) -> str:
    """List the first few names and the number of the rest; safe to show on a terminal or a page.

    >>> listed(["a", "b", "c"], first=2)
    'a, b and 1 more'
    """
    names = list(names)
    shown = ", ".join(map(printable, names[:first]))
    return f"{shown} and {len(names) - first} more" if len(names) > first else shown


def printable(text: str) -> str:
    r"""Shorten a foreign text, and escape every character that cannot be printed.

    >>> printable("conv\x1b[31m"), len(printable("x" * 500))
    ('conv\\x1b[31m', 163)
    """
    return names.printable(text if len(text) <= 160 else f"{text[:160]}...")

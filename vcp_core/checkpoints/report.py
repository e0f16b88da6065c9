"""What was found in a checkpoint file, for people and for provenance."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog import names
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.inputs import input_of
from vcp_core.checkpoints.names import WRAPPERS


@dataclass(frozen=True, kw_only=True)
class CheckpointReport:
    """How a backbone was found in a file.

    Attributes:
        sha256: Of the file as it came.
        size_bytes: Of the file as it came.
        format: "torch zip", "torch legacy" or "safetensors", told by its bytes.
        backbone: Which one it holds.
        scheme: Whose names its keys have ("torchvision"); "" in reports from before there were several.
        wrapper: The nested dictionaries its keys were in, joined by dots ("state_dict"); "" for none.
        prefix: What its keys began with inside of them ("module."); "" for nothing.
        stripped: Words of wrappers that were left out from between the parts of its keys ("_orig_mod"), and
            from how many keys.
        network: The `--prefix` that names it: its wrapper and prefix together, "." for none.
        why: Why this one of several networks, or what is known of the only one; "" for nothing to say.
        num_keys: Keys of the backbone, all of which were there in the right shape.
        filled: Keys that no forward pass reads (`num_batches_tracked`) and that held no count: they are 0.
        left_over: Tensors that are not the backbone's, counted by where they are (heads, queues, optimizer).
        others: The `--prefix` of each other whole backbone in the same file ("teacher."); not used.
        dtypes: Of the weights as they came; they are float32 from here on.
        notes: Anything else worth knowing.
        origin: What a file of ours says of its training run (`vcp_core.checkpoints.origin`); a claim.
        training: What the file says of step, epoch and run (`vcp_core.checkpoints.trainers`); a claim.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> CheckpointReport:
        """The report that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})

    def explain(self) -> str:
        """A few lines for people."""
        millions = BACKBONES[self.backbone].num_parameters / 1e6
        named = f", named as in {self.scheme}" if self.scheme else ""
        lines = [
            f"backbone    {self.backbone}: all {self.num_keys} keys{named}, {millions:.1f} M parameters",
            f"file        {self.format}, {self.size_bytes / 1e6:.1f} MB",
            f"sha256      {self.sha256}",
            f"wrapper     {self._wrapper()}",
            f"prefix      {self._prefix()}",
            *self._stripped(),
            *self._network(),
            f"input       {input_of(BACKBONES[self.backbone])}",
        ]
        if self.origin:
            where = f"{self.origin['run']}, step {self.origin['step']}, on {self.origin['dataset']}"
            lines.append(f"origin      {self.origin['task']} {where}")
        lines += self._training()
        if self.dtypes != ("float32",):
            lines.append(f"converted   {', '.join(self.dtypes)} to float32")
        if self.left_over:
            lines.append(f"left over   {listed(f'{at} ({n})' for at, n in self.left_over.items())}")
            lines.append(
                "            Not the backbone's: a frozen network is evaluated by its features alone."
            )
        if self.others:
            lines.append(f"also there  {listed(map(repr, self.others))}: whole backbones too, not used")
            lines.append("            To use one of them: --prefix with one of these.")
        if self.filled:
            lines.append(
                f"filled      {len(self.filled)} num_batches_tracked, with 0; no forward pass reads them"
            )
        return "\n".join([*lines, *(f"note        {note}" for note in self.notes)])

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


# What people's code calls the module that a backbone is in, and why; for explaining, never for finding.
PREFIXES = {
    **WRAPPERS,
    "base_network": "VCOP's proxy network",
    "encoder_q": "MoCo's query encoder, which was trained by gradients",
    "encoder_k": "MoCo's key encoder, an averaged copy",
    "student": "trained by gradients",
    "teacher": "an averaged copy of the student",
}


def listed(names: Iterable[str], *, first: int = 5) -> str:
    """The first few, then how many more; safe to show on a terminal or a page.

    >>> listed(["a", "b", "c"], first=2)
    'a, b and 1 more'
    """
    names = list(names)
    shown = ", ".join(map(printable, names[:first]))
    return f"{shown} and {len(names) - first} more" if len(names) > first else shown


def printable(text: str) -> str:
    """Foreign text of bounded length, with every character escaped that cannot be printed."""
    return names.printable(text if len(text) <= 160 else f"{text[:160]}...")

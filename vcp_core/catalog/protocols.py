"""Protocols (PROTOCOL 6): every number that fixes how the benchmarks run, named, known by a hash."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vcp_core.catalog.errors import ProtocolError, UnknownName
from vcp_core.catalog.options import PAPERS_OPTIONS, chosen_options
from vcp_core.catalog.registry import Registry
from vcp_core.catalog.training import (
    BOUNDS,
    FINETUNING,
    GAP,
    GRID_CLIPS,
    REMOTE_GAP,
    Augment,
    Optimizer,
    Precision,
    Schedule,
)
from vcp_core.catalog.validation import expected, objection, quoted
from vcp_core.catalog.versions import FRAMES_VERSION

PositiveInt = Annotated[int, Field(ge=1)]
Strengths = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # Numbers that were added after standard-v1 was published. At its default such a number changes nothing
    # that was measured before, so it is not hashed there: published hashes, and their boards, stay.
    LATER: ClassVar[tuple[str, ...]] = ()

    def hashed(self) -> dict[str, Any]:
        """The numbers that the hash is over."""
        found: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in self.LATER or value != field.default:
                found[name] = value.hashed() if isinstance(value, _Numbers) else value
        return found


class GridNumbers(_Numbers):
    """Clips of recognition and retrieval."""

    num_clips: PositiveInt = GRID_CLIPS


class ClozeNumbers(_Numbers):
    """Cloze tuples and the options that fill their blanks; gaps in frames."""

    LATER = ("options",)

    gap: Annotated[int, Field(ge=0)] = GAP
    remote_gap: Annotated[int, Field(ge=0)] = REMOTE_GAP
    num_tuples: PositiveInt = 1
    stages: Literal["last", "all"] = "all"
    options: tuple[str, ...] = PAPERS_OPTIONS

    @field_validator("options")
    @classmethod
    def _known_and_in_order(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return chosen_options(options)
        except UnknownName as error:
            raise ValueError(str(error)) from error


class ProbeNumbers(_Numbers):
    """Logistic regression: candidates for the L2 strength, and when L-BFGS has converged."""

    l2: Strengths = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    holdout_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    max_iterations: PositiveInt = 1000
    tolerance: Annotated[float, Field(gt=0)] = 1e-5


class KnnNumbers(_Numbers):
    """k-nearest-neighbour recognition."""

    k: PositiveInt = 20
    temperature: Annotated[float, Field(gt=0)] = 0.07


RetrievalFeature = Literal["pooled", "max-pooled"]


class RetrievalNumbers(_Numbers):
    """Depths at which a hit counts, and by which features of a clip videos are ranked.

    "pooled" is the average of the last stage, as everywhere else; "max-pooled" is the papers': the last stage
    max-pooled by (1, 2, 2) and flattened. The headline stands on the pooled one, so it is always there.
    """

    LATER = ("features",)

    ks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 5, 10, 20, 50)
    features: tuple[RetrievalFeature, ...] = ("pooled",)

    @property
    def max_pooled(self) -> bool:
        """Whether the papers' feature is wanted."""
        return "max-pooled" in self.features

    @field_validator("ks")
    @classmethod
    def _ascending(cls, ks: tuple[int, ...]) -> tuple[int, ...]:
        if list(ks) != sorted(set(ks)):
            raise ValueError(f"must ascend, got {list(ks)}")
        return ks

    @field_validator("features")
    @classmethod
    def _pooled_and_each_once(cls, features: tuple[RetrievalFeature, ...]) -> tuple[RetrievalFeature, ...]:
        if "pooled" not in features or len(set(features)) < len(features):
            raise ValueError(f"must hold 'pooled', and each feature once, got {list(features)}")
        return tuple(sorted(features, reverse=True))  # their order means nothing, so it may not change a hash


class IntervalNumbers(_Numbers):
    """Intervals.

    `num_resamples` is no longer read: intervals are computed without resampling. It stays, because it is part
    of every protocol's hash.
    """

    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    num_resamples: Annotated[int, Field(ge=100)] = 1000


class ControlNumbers(_Numbers):
    """Random-weights controls: their seeds, and clips for their batch-norm statistics; the pixel baseline.

    Whether pixels are measured beside a checkpoint changes no number of its own.
    """

    LATER = ("pixels",)

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    calibration_clips: PositiveInt = 256
    pixels: bool = True


def _training_number(name: str) -> Any:
    """A field of `FinetuneNumbers`: its default and its bounds stand in `vcp_core.catalog.training`."""
    bounds: dict[str, Any] = BOUNDS.get(name, {})
    return Field(getattr(FINETUNING, name), **bounds)


class FinetuneNumbers(_Numbers):
    """Recognition by finetuning (PROTOCOL 4): how weights are trained, and how the best epoch is chosen."""

    epochs: int = _training_number("epochs")
    batch: int = _training_number("batch")
    lr: float = _training_number("lr")
    optimizer: Optimizer = _training_number("optimizer")
    momentum: float = _training_number("momentum")
    weight_decay: float = _training_number("weight_decay")
    schedule: Schedule = _training_number("schedule")
    warmup_epochs: int = _training_number("warmup_epochs")
    holdout_videos: int = _training_number("holdout_videos")
    holdout_most: float = _training_number("holdout_most")
    validate_every: int = _training_number("validate_every")
    patience: int = _training_number("patience")
    augment: Augment = _training_number("augment")
    seed: int = _training_number("seed")


class Protocol(_Numbers):
    """The resolved set of numbers.

    Attributes:
        name: What users type; not part of the hash.
        seed: Of tuples.
        precision: In which the network runs.
        frames: Version of colour conversion and resize. A protocol of another one can be read, and not run.
        finetune: Of `vcpbench finetune`; None where recognition is on frozen features alone.
    """

    LATER = ("finetune",)

    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Precision = "fp32"
    frames: str = FRAMES_VERSION
    grid: GridNumbers = GridNumbers()
    cloze: ClozeNumbers = ClozeNumbers()
    probe: ProbeNumbers = ProbeNumbers()
    knn: KnnNumbers = KnnNumbers()
    retrieval: RetrievalNumbers = RetrievalNumbers()
    interval: IntervalNumbers = IntervalNumbers()
    control: ControlNumbers = ControlNumbers()
    finetune: FinetuneNumbers | None = None

    def check_frames(self) -> None:
        """Make sure that this version of vcpbench can run it.

        Raises:
            ProtocolError: If its frames are those of another version.
        """
        if self.frames != FRAMES_VERSION:
            raise ProtocolError(
                f"The protocol {self.name} was made for frames of version {self.frames!r}, and this vcpbench "
                f"makes {FRAMES_VERSION!r}. Its results can be read; new ones need another protocol."
            )

    @property
    def canonical_json(self) -> str:
        """Every number that is hashed but the name, in one spelling."""
        numbers = self.hashed()
        del numbers["name"]
        return json.dumps(numbers, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON; only results of one hash share a board."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()


PROTOCOLS = Registry(
    "protocol",
    Protocol(name="standard-v1"),
    Protocol(
        name="paper-v1",
        retrieval=RetrievalNumbers(features=("pooled", "max-pooled")),
        finetune=FinetuneNumbers(),
    ),
    Protocol(
        name="quick-v1",
        grid=GridNumbers(num_clips=3),
        cloze=ClozeNumbers(stages="last"),
        probe=ProbeNumbers(l2=(1e-3, 1e-2, 1e-1)),
        control=ControlNumbers(seeds=(0,)),
    ),
)


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A protocol by its name, or from a TOML file of the same numbers.

    A file may start from another protocol by `base = "quick-v1"`; what it does not say stays as there
    (without a base: as in standard-v1).

    Raises:
        UnknownName: If it is neither a known name nor a file.
        ProtocolError: If the file cannot be read, or holds a number that does not make sense.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        return PROTOCOLS[str(name_or_path)]
    try:
        numbers = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProtocolError(f"cannot be read ({error.strerror}).", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not TOML ({error}).", path=path) from error
    try:
        return protocol_from({"name": path.stem, **numbers})
    except ProtocolError as error:
        raise error.about(path) from error


def protocol_from(numbers: Mapping[str, Any]) -> Protocol:
    """A protocol from plain values: a name, optionally a base, and what differs from it (from standard-v1).

    Raises:
        UnknownName: If there is no such base.
        ProtocolError: If a number does not make sense, or the frames are of another version.
    """
    changes = dict(numbers)
    base = PROTOCOLS[str(changes.pop("base", "standard-v1"))].model_dump(exclude={"name"})
    try:
        found = Protocol.model_validate(_overlay(base, changes))
    except ValidationError as error:
        raise ProtocolError(_readable(error)) from error
    found.check_frames()
    return found


def _overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = base.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _readable(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            problems.append(f"{where} is not a number of a protocol")
        elif problem["type"] == "missing":
            problems.append(f"{where} is missing")
        else:
            said = objection(problem) or f"it must be {expected(problem)}"
            problems.append(f"{where} = {quoted(problem['input'])}: {said}")
    return "; ".join(problems) + ". See docs/protocols.md."

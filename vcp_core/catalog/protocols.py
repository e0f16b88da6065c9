"""Protocols: every number that fixes how the benchmarks run, with a name and a hash (PROTOCOL 6)."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vcp_core.catalog.ceilings import exceeded
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
from vcp_core.catalog.validation import Number, Truth, Whole, expected, objection, quoted, whole
from vcp_core.catalog.versions import FRAMES_VERSION

Count = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Strengths = Annotated[tuple[Annotated[Number, Field(gt=0)], ...], Field(min_length=1)]


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # Names of the numbers that were added after standard-v1 was published. At its default, such a number
    # changes no score that was measured before. So the default is not hashed, and published hashes and
    # leaderboards stay as they are.
    LATER: ClassVar[tuple[str, ...]] = ()

    _whole = field_validator("*", mode="before")(whole)

    def hashed(self) -> dict[str, Any]:
        """Collect the numbers that go into the hash."""
        found: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in self.LATER or value != field.default:
                found[name] = value.hashed() if isinstance(value, _Numbers) else value
        return found


class GridNumbers(_Numbers):
    """The clips of recognition and retrieval."""

    num_clips: Positive = GRID_CLIPS


class ClozeNumbers(_Numbers):
    """Cloze tuples and the options that fill their blanks. Gaps are in frames."""

    LATER = ("options",)

    gap: Count = GAP
    remote_gap: Count = REMOTE_GAP
    num_tuples: Positive = 1
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
    """Logistic regression: the candidates for the L2 strength, and when L-BFGS has converged."""

    l2: Strengths = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    holdout_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.2
    max_iterations: Positive = 1000
    tolerance: Annotated[Number, Field(gt=0)] = 1e-5


class KnnNumbers(_Numbers):
    """k-nearest-neighbour recognition."""

    k: Positive = 20
    temperature: Annotated[Number, Field(gt=0)] = 0.07


RetrievalFeature = Literal["pooled", "max-pooled"]


class RetrievalNumbers(_Numbers):
    """The depths at which a hit counts (`ks`), and the features of a clip by which videos are ranked.

    "pooled" is the average of the last stage, as in the other benchmarks. "max-pooled" is the feature of the
    papers: the last stage max-pooled by (1, 2, 2) and flattened. "pooled" must be among the features, because
    the headline metrics use it.
    """

    LATER = ("features",)

    ks: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 5, 10, 20, 50)
    features: tuple[RetrievalFeature, ...] = ("pooled",)

    @property
    def max_pooled(self) -> bool:
        """Whether videos are ranked by the papers' feature, too."""
        return "max-pooled" in self.features

    @field_validator("ks")
    @classmethod
    def _ascending(cls, ks: tuple[int, ...]) -> tuple[int, ...]:
        if list(ks) != sorted(set(ks)):
            raise ValueError(f"must ascend, got {quoted(list(ks))}")
        return ks

    @field_validator("features")
    @classmethod
    def _pooled_and_each_once(cls, features: tuple[RetrievalFeature, ...]) -> tuple[RetrievalFeature, ...]:
        if "pooled" not in features or len(set(features)) < len(features):
            raise ValueError(f"must hold 'pooled', and each feature once, got {quoted(list(features))}")
        return tuple(sorted(features, reverse=True))  # the order means nothing, so the hash must not see it


class IntervalNumbers(_Numbers):
    """The intervals of scores.

    `num_resamples` is no longer read, because intervals are computed without resampling. It stays, because it
    is part of every protocol's hash.
    """

    level: Annotated[Number, Field(gt=0, lt=1)] = 0.95
    num_resamples: Annotated[Whole, Field(ge=100)] = 1000


class ControlNumbers(_Numbers):
    """The controls: random weights (seeds, and clips for batch-norm statistics), and the pixel baseline.

    `pixels` decides whether the pixel baseline is measured, too. It changes no score of a checkpoint.
    """

    LATER = ("pixels",)

    seeds: Annotated[tuple[Count, ...], Field(min_length=1)] = (0, 1, 2)
    calibration_clips: Positive = 256
    pixels: Truth = True


def _training_number(name: str) -> Any:
    """Make a field of `FinetuneNumbers` with the default and the bounds of `vcp_core.catalog.training`."""
    bounds: dict[str, Any] = BOUNDS.get(name, {})
    return Field(getattr(FINETUNING, name), **bounds)


class FinetuneNumbers(_Numbers):
    """Recognition by finetuning (PROTOCOL 4): how weights are trained, and how the best epoch is chosen."""

    epochs: Whole = _training_number("epochs")
    batch: Whole = _training_number("batch")
    lr: Number = _training_number("lr")
    optimizer: Optimizer = _training_number("optimizer")
    momentum: Number = _training_number("momentum")
    weight_decay: Number = _training_number("weight_decay")
    schedule: Schedule = _training_number("schedule")
    warmup_epochs: Whole = _training_number("warmup_epochs")
    holdout_videos: Whole = _training_number("holdout_videos")
    holdout_most: Number = _training_number("holdout_most")
    validate_every: Whole = _training_number("validate_every")
    patience: Whole = _training_number("patience")
    augment: Augment = _training_number("augment")
    seed: Whole = _training_number("seed")


class Protocol(_Numbers):
    """All numbers that fix how the benchmarks run.

    Attributes:
        name: The name that users type; not part of the hash.
        seed: The seed of cloze tuples.
        precision: The precision in which the network runs.
        frames: Version of the colour conversion and the resize. A protocol of another version can be read but
            cannot run.
        finetune: The numbers of `vcpbench finetune`; None if the protocol has no finetuning.

    >>> load_protocol("quick-v1").grid.num_clips
    3
    """

    LATER = ("finetune",)

    name: str
    seed: Count = 0
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

    def check(self) -> None:
        """Check that this version of vcpbench can run the protocol.

        A stored protocol can be read without this check, so that its results can be read.

        Raises:
            ProtocolError: If the protocol is for frames of another version, or a number is above its ceiling
                (`vcp_core.catalog.ceilings`).
        """
        if self.frames != FRAMES_VERSION:
            raise ProtocolError(
                f"The protocol {self.name} is for frames of version {self.frames!r}, and this vcpbench makes "
                f"frames of version {FRAMES_VERSION!r}. You can read its results, but use another protocol "
                "for new ones."
            )
        if excesses := [str(one) for one in exceeded(self.model_dump())]:
            raise ProtocolError("; ".join(excesses) + ". See docs/protocols.md.")

    @property
    def canonical_json(self) -> str:
        """The JSON text that is hashed: the numbers without the name, with sorted keys and no blanks."""
        numbers = self.hashed()
        del numbers["name"]
        return json.dumps(numbers, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON. Only results of one hash share a leaderboard."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()


PROTOCOLS = Registry(
    "protocol",
    Protocol(name="standard-v1"),
    Protocol(name="standard-bf16-v1", precision="bf16"),
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
    """Load a protocol by its name, or from a TOML file of the same numbers.

    A file can name a base, as in `base = "quick-v1"`. Numbers that the file leaves out are the base's. If the
    file names none, the base is standard-v1.

    Raises:
        UnknownName: If there is neither a protocol nor a file of that name.
        ProtocolError: If the file cannot be read, or a number in it is not valid.

    >>> load_protocol("standard-v1").retrieval.ks
    (1, 5, 10, 20, 50)
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        return PROTOCOLS[str(name_or_path)]
    try:
        numbers = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProtocolError(f"cannot be read ({error.strerror}).", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"is not valid TOML ({error}).", path=path) from error
    try:
        return protocol_from({"name": path.stem, **numbers})
    except ProtocolError as error:
        raise error.about(path) from error


def protocol_from(numbers: Mapping[str, Any]) -> Protocol:
    """Make a protocol from plain values: a name, the name of a base, and the numbers that differ from it.

    The base may be left out. It is standard-v1 then.

    Raises:
        UnknownName: If there is no such base.
        ProtocolError: If a number is not valid or above its ceiling, or the frames are of another version.

    >>> protocol_from({"name": "mine", "base": "quick-v1", "knn": {"k": 5}}).knn.k
    5
    """
    changes = dict(numbers)
    base = PROTOCOLS[str(changes.pop("base", "standard-v1"))].model_dump(exclude={"name"})
    try:
        found = Protocol.model_validate(_overlay(base, changes))
    except ValidationError as error:
        raise ProtocolError(_readable(error)) from error
    found.check()
    return found


def _overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = base.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _readable(error: ValidationError) -> str:
    problems = []
    found = error.errors()
    inside = {
        problem["loc"][:-1] for problem in found
    }  # of a list whose item is wrong, its length is not told
    for problem in found:
        if problem["loc"] in inside:
            continue
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            problems.append(f"a protocol has no number {where}")
        elif problem["type"] == "missing":
            problems.append(f"{where} is missing")
        else:
            said = objection(problem) or f"it must be {expected(problem)}"
            problems.append(f"{where} = {quoted(problem['input'])}: {said}")
    return "; ".join(problems) + ". See docs/protocols.md."

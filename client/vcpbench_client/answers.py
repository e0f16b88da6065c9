"""The server's answers as frozen dataclasses.

Members that this version does not know are ignored: a newer server may add some.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vcpbench_client.errors import BadAnswer

T = TypeVar("T")
ENDED = ("done", "failed", "cancelled")
LEAST_UNITS = 6  # nothing is called better or worse on fewer groups or videos


@dataclass(frozen=True, kw_only=True)
class Network:
    """Which network of a file was used, where it holds several or something is known of the only one.

    Attributes:
        used: The prefix that names it.
        others: The prefix of each other whole network, which are not used.
        why: Why this one, or what is known of it.
    """

    used: str
    others: tuple[str, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        """A sentence for people.

        >>> print(Network(used="student.", others=("teacher.",), why="as --prefix asked"))
        network 'student.' of the file: as --prefix asked. Also there, and not used: 'teacher.'.
        """
        why = f": {self.why}" if self.why else ""
        also = f" Also there, and not used: {', '.join(map(repr, self.others))}." if self.others else ""
        return f"network {self.used!r} of the file{why}.{also}"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why something failed, for programs.

    Attributes:
        code: Which kind of error: "DatasetError", "CheckpointMismatch", ...
        path: The file or folder that it is about, as far as the reader may see it.
        fields: Other facts, by kind of error.
    """

    code: str
    path: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint: a network's weights at one step of training.

    Attributes:
        state: "declared", "ingesting", "ready" or "rejected".
        reason: Why it was rejected.
        cause: The same, for programs.
        received_bytes: How much of it is safely on the server.
        backbone: As declared; once ready, as found.
        report: How the server found the backbone in the file.
        private: Whether only its team and administrators see its model.
    """

    id: str
    model: str
    team: str
    private: bool = False
    state: str
    created_at: datetime
    size_bytes: int | None = None
    sha256: str | None = None
    received_bytes: int = 0
    backbone: str | None = None
    run: str | None = None
    step: int | None = None
    pretrained_on: str | None = None
    prefix: str | None = None
    variant: str | None = None
    input_spec: str | None = None
    network: Network | None = None
    reason: str | None = None
    cause: Cause | None = None
    report: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether the server has read it: it is ready or rejected."""
        return self.state in ("ready", "rejected")


@dataclass(frozen=True, kw_only=True)
class Newest:
    """A model's newest checkpoint."""

    id: str
    state: str
    created_at: datetime
    run: str | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A name that a team's checkpoints come under.

    Attributes:
        tags: Its tags, in alphabetical order.
        former_names: Names that it had before. They still lead to it.
        private: Whether only its team and administrators see it.
    """

    name: str
    team: str
    private: bool = False
    num_checkpoints: int
    num_evaluations: int
    newest: Newest | None = None
    tags: tuple[str, ...] = ()
    former_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckpointRef:
    """The checkpoint that was evaluated. Random weights have a seed and no model."""

    id: str
    created_at: datetime
    model: str | None = None
    team: str | None = None
    private: bool = False
    backbone: str | None = None
    sha256: str | None = None
    run: str | None = None
    step: int | None = None
    prefix: str | None = None
    variant: str | None = None
    input_spec: str | None = None
    scheme: str | None = None
    network: Network | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetRef:
    """The dataset of an evaluation."""

    name: str
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProtocolRef:
    """The protocol of an evaluation."""

    name: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an evaluation is; `remaining_s` is the server's estimate.

    Attributes:
        fraction: Of all its work, scoring included; None from a server that does not tell.
        stage: What is done now, in words.
        clips_done: Clips forwarded for it. A job that was under way when it was asked for counts whole.
        clips_total: Clips to forward in all, as far as is known.
        scoring_done: Steps of its scoring that are done.
        scoring_total: Steps in all, once it is scored.
    """

    clips_done: int
    clips_total: int
    remaining_s: float | None = None
    fraction: float | None = None
    stage: str | None = None
    scoring_done: int = 0
    scoring_total: int | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number with its 95 % interval; `control` is random weights', `lift` the rest.

    Attributes:
        unit: "percent", "points" or "number"; of lifts and other differences of percents, points.
        better: "higher", "lower" or "neither".
    """

    metric: str
    value: float
    low: float
    high: float
    unit: str = "percent"
    better: str = "higher"
    chance: float | None = None
    control: float | None = None
    lift: float | None = None
    lift_low: float | None = None
    lift_high: float | None = None
    pixels: float | None = None
    above_pixels_low: float | None = None
    above_pixels_high: float | None = None
    num_videos: int
    num_units: int
    units: str
    headline: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One checkpoint on one dataset under one protocol.

    Attributes:
        state: "waiting", "planning", "running", "scoring", "done", "failed" or "cancelled".
        reason: Why it failed.
        cause: The same, for programs.
        log_tail: What the failing job printed last; for administrators.
        waiting_for: Why nothing happens, if nothing does.
        diagnosis: What the scores say, in words.
        unavailable: Benchmarks that this dataset cannot carry, and why.
        engine: The versions of the code that makes its scores, and the benchmarks that it runs.
        older: Whether another engine than the server's made it. Then it is on another board.
        scheme_version: The version of the key scheme's facts that it was made under.
        outdated: Whether these facts have changed since. Ask for it again.
    """

    id: str
    state: str
    checkpoint: CheckpointRef
    dataset: DatasetRef
    protocol: ProtocolRef
    engine: str | None = None
    older: bool = False
    scheme_version: int = 1
    outdated: bool = False
    reason: str | None = None
    cause: Cause | None = None
    log_tail: str | None = None
    waiting_for: str | None = None
    progress: Progress | None = None
    scores: tuple[Score, ...] = ()
    diagnosis: tuple[str, ...] = ()
    unavailable: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of two evaluations: the second's less the first's, paired by video.

    Attributes:
        p_value: Probability of a difference at least as large, in either direction, if both are equally good.
        detectable: A difference of so many points would be found in 80 % of cases.
        test: "mcnemar", "newcombe", "student", or "same" for the same weights.
        num_videos: Number of videos that both answered; only these are compared.
        num_units: Number of groups or videos that the interval is computed over.
        units: "group" or "video".
        unit: As of a score.
        better: As of a score.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float | None = None
    detectable: float | None = None
    test: str | None = None
    num_videos: int | None = None
    num_units: int | None = None
    units: str | None = None
    unit: str = "percent"
    better: str = "higher"
    headline: bool = False


def cannot_tell(of: Score | Difference) -> str:
    """Say that the groups or videos are too few for a verdict."""
    units = "groups of test videos" if of.units == "group" else "test videos"
    if of.num_units == 1:
        units = "group of test videos" if of.units == "group" else "test video"
    return f"cannot tell: {of.num_units} {units}"


@dataclass(frozen=True, kw_only=True)
class ComparisonProgress:
    """How far a comparison is.

    Attributes:
        fraction: Of the benchmarks.
        stage: What is done now, in words.
    """

    fraction: float
    stage: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two evaluations on the videos that both answered.

    Attributes:
        state: "waiting", "running", "done" or "failed".
        reason: Why it failed.
        waiting_for: Why nothing happens, if nothing does.
        progress: None from a server that compares at once.
        differences: Empty until it is done.
        notes: Benchmarks that stand on fewer videos than one of the two, or on none.
    """

    state: str = "done"
    reason: str | None = None
    waiting_for: str | None = None
    progress: ComparisonProgress | None = None
    first: Evaluation
    second: Evaluation
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED

    @property
    def title(self) -> str:
        """What is compared, in words."""
        return f"evaluations {self.first.id} and {self.second.id}"

    @property
    def ids(self) -> dict[str, Any]:
        """The ids of both evaluations."""
        return {"first": self.first.id, "second": self.second.id}


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One finished evaluation on a board.

    Attributes:
        rank: Its place by the metric that the board is sorted by; 1 is the best, whichever way.
        tied: Whether others share it, because their scores lie within the interval of its first row.
        outdated: Whether the facts of the checkpoint's key scheme have changed since.
    """

    evaluation: str
    model: str
    team: str
    checkpoint: str
    rank: int | None = None
    tied: bool = False
    backbone: str | None = None
    run: str | None = None
    step: int | None = None
    sha256: str | None = None
    finished_at: datetime | None = None
    outdated: bool = False
    scores: dict[str, Score]


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """Random weights under the board's conditions, or, without a seed, the pixel baseline."""

    evaluation: str
    backbone: str | None = None
    seed: int | None = None
    scores: dict[str, Score]

    @property
    def title(self) -> str:
        """What it is, in words."""
        return "8 x 8 pixels" if self.seed is None else f"random weights, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Board:
    """Finished evaluations of one dataset, one protocol and one engine; `total` counts other pages, too."""

    dataset: DatasetRef
    protocol: ProtocolRef
    engine: str | None = None
    older: bool = False
    sort: str
    total: int
    rows: tuple[BoardRow, ...]
    controls: tuple[ControlRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Videos that the workers can read: "available", "indexing", "ready" or "failed" with a reason.

    Attributes:
        shows_media: Whether people may see previews of its videos.
    """

    name: str
    state: str
    id: str | None = None
    reason: str | None = None
    cause: Cause | None = None
    fingerprint: str | None = None
    summary: dict[str, Any] | None = None
    shows_media: bool = True
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Every number that fixes how the benchmarks run; the hash is what counts.

    Attributes:
        older: Whether another version made it, and the server cannot run it; its results can be read.
    """

    name: str
    hash: str
    numbers: dict[str, Any]
    older: bool = False


@dataclass(frozen=True, kw_only=True)
class Reevaluation:
    """The outcome of asking for a board's evaluations again.

    Attributes:
        asked: Ids of new evaluations.
        there: Ids of those that are done or under way already.
        left_out: By the old evaluation's id, why it cannot be made anew.
    """

    dataset: str
    protocol: str
    asked: tuple[str, ...]
    there: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The bearer of a token.

    Attributes:
        name: Name of the token.
        team: The team that the bearer reads and writes for.
        admin: Whether the bearer may do everything for every team.
        role: "reader", "submitter" or "admin"; None if an older server does not say.
        owner: The person or machine that answers for the token.
        expires_at: When the token expires; None if it does not.
    """

    name: str
    team: str
    admin: bool
    role: str | None = None
    owner: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Jobs of one queue, and the workers that take them."""

    name: str
    waiting: int
    running: int
    workers: int


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker that was seen in the last 30 s.

    Attributes:
        name: Host and process id.
        queues: The queues that it takes jobs from.
        device: Where networks run.
        lacking_walls: Walls around foreign files that its machine lacks, with the reason of each.
        busy: Whether it does a job.
        seen_at: When it last reported.
    """

    name: str
    queues: tuple[str, ...]
    device: str
    lacking_walls: dict[str, str] = field(default_factory=dict)
    busy: bool
    draining: bool = False
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A queue or a kind of job of which workers claim nothing."""

    what: str
    why: str
    by: str
    since: datetime

    def __str__(self) -> str:
        """A sentence for people."""
        since = f"{self.since.astimezone():%Y-%m-%d %H:%M}"
        return f"{self.what} is paused by {self.by} since {since}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The server's workers with their jobs, the queues, and what an administrator paused."""

    queues: tuple[Queue, ...]
    workers: tuple[Worker, ...]
    pauses: tuple[Pause, ...] = ()


def read(kind: type[T], value: Any) -> T:
    """A value of JSON as this type.

    Raises:
        BadAnswer: If it is not one.
    """
    return cast(T, _read(kind, value, kind.__name__))


def plain(value: Any) -> Any:
    """Turn an answer back into JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


_hints = functools.lru_cache(maxsize=None)(get_type_hints)


def _read(kind: Any, value: Any, at: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, Union):  # only `X | None` occurs
        return None if value is None else _read(arguments[0], value, at)
    if origin is tuple:
        return tuple(_read(arguments[0], one, at) for one in _a(list, value, at))
    if origin is dict:
        members = _a(dict, value, at).items()
        return {name: _read(arguments[1], one, f"{at}.{name}") for name, one in members}
    if dataclasses.is_dataclass(kind):
        return _read_members(kind, _a(dict, value, at), at)
    if kind is datetime:
        try:
            return datetime.fromisoformat(_a(str, value, at))
        except ValueError:
            raise BadAnswer(f"{at}: {value!r} is no time.") from None
    return float(_a((int, float), value, at)) if kind is float else _a(kind, value, at)


def _read_members(kind: Any, value: dict[str, Any], at: str) -> Any:
    hints = _hints(kind)
    known = {name: _read(hints[name], value[name], f"{at}.{name}") for name in hints if name in value}
    try:
        return kind(**known)
    except TypeError as error:
        raise BadAnswer(f"{at}: {error}. Is the server of another version?") from None


def _a(kind: Any, value: Any, at: str) -> Any:
    if isinstance(value, kind):
        return value
    raise BadAnswer(f"{at} is {value!r:.80}, which this version does not understand.")

"""Cloze (PROTOCOL 3 and 4): which of the protocol's options was applied to the withheld clip?

Legend: N options shown (K per tuple), D features, K options: five in the published protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.benchmarks.metrics import Metric, mean_of, mean_over, weighted_mean
from vcp_core.benchmarks.parts import Part
from vcp_core.benchmarks.sizes import Probe
from vcp_core.catalog.options import KINDS, OPTIONS, kinds_of
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Split, Video
from vcp_core.features.bank import FeatureBank
from vcp_core.features.shards import Clip
from vcp_core.probes.logistic import fit_with_holdout, num_fits
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.types import Fit, Predictions, Table, confusion, rounded, sureness_column
from vcp_core.video.clips import Draws, TupleShape, draw_tuple

HEADS = ("relational", "concat")  # the first is the headline; the second is the papers'
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One option of one tuple: three clips, the second of which fills the blank."""

    video: Video
    number: int
    option: str
    variant: str
    before: Clip
    shown: Clip
    after: Clip


def tuple_shape(protocol: Protocol, spec: BackboneSpec) -> TupleShape:
    """The lengths, in frames, of this protocol's tuples with this backbone's clips.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> [tuple_shape(PROTOCOLS["standard-v1"], BACKBONES[name]).min_frames for name in ("r3d", "slow_r50")]
    [96, 260]
    """
    return TupleShape(
        clip_frames=spec.clip_span, gap=protocol.cloze.gap, remote_gap=protocol.cloze.remote_gap
    )


def questions(video: Video, protocol: Protocol, spec: BackboneSpec) -> list[Question]:
    """All options of every tuple of a video. A video that is too short gives an empty list.

    >>> from dataclasses import replace
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=120)
    >>> [one.option for one in questions(video, PROTOCOLS["quick-v1"], BACKBONES["r3d"])]
    ['original', 'rotation', 'permutation', 'remote', 'adjacent']
    >>> questions(replace(video, num_frames=90), PROTOCOLS["quick-v1"], BACKBONES["r3d"])
    []
    """
    shape, options = tuple_shape(protocol, spec), protocol.cloze.options
    asked = []
    for number in range(protocol.cloze.num_tuples):
        drawn = draw_tuple(video.num_frames, shape, Draws(protocol.seed, video.id, number), options)
        if drawn is None:
            return []
        before, withheld, after = drawn.starts
        for option, variant in drawn.variants.items():
            # A remote option is an unchanged clip, so other uses of the same start share its forward pass.
            shown = (
                Clip(video.id, drawn.remote_start)
                if option == "remote"
                else Clip(video.id, withheld, option, variant)
            )
            asked.append(
                Question(
                    video=video,
                    number=number,
                    option=option,
                    variant=variant,
                    before=Clip(video.id, before),
                    shown=shown,
                    after=Clip(video.id, after),
                )
            )
    return asked


def clips(video: Video, protocol: Protocol, spec: BackboneSpec) -> set[Clip]:
    """The clips that this benchmark needs of a video.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=120)
    >>> len(clips(video, PROTOCOLS["quick-v1"], BACKBONES["r3d"]))  # five options and both neighbours
    7
    """
    return {clip for q in questions(video, protocol, spec) for clip in (q.before, q.shown, q.after)}


def availability(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> str | None:
    """The reason why this dataset cannot carry the benchmark; None if it can.

    >>> from pathlib import Path
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> video = Video(id="a.mp4", label="a", split="test", group=None, sha256="0" * 64, num_frames=90)
    >>> short = Dataset(name="short", split_name="1", root=Path("/data"), videos=(video,))
    >>> availability(short, PROTOCOLS["quick-v1"], BACKBONES["r3d"])
    'not available: 0 of 1 test videos have 96 frames'
    """
    least = tuple_shape(protocol, spec).min_frames
    for split, side in (("test", dataset.side("test")), ("training", dataset.side("train"))):
        enough = sum(video.num_frames >= least for video in side)
        if enough == 0:
            return f"not available: 0 of {len(side)} {split} videos have {least} frames"
    return None


def relational_head(before_ND: Floats, shown_ND: Floats, after_ND: Floats) -> Floats:
    """[before; shown; after; |shown - before|; |shown - after|; |after - before|], (N, 6 D).

    A linear head on the concatenation adds up one term per clip, so it cannot test whether the option fits
    its neighbours. With the differences it can (PROTOCOL 4, ours).

    >>> before_ND, shown_ND, after_ND = (np.full((1, 1), value, np.float32) for value in (1, 4, 6))
    >>> relational_head(before_ND, shown_ND, after_ND).tolist()
    [[1.0, 4.0, 6.0, 3.0, 2.0, 5.0]]
    """
    return np.concatenate(
        [
            before_ND,
            shown_ND,
            after_ND,
            np.abs(shown_ND - before_ND),
            np.abs(shown_ND - after_ND),
            np.abs(after_ND - before_ND),
        ],
        axis=1,
    )


def concat_head(before_ND: Floats, shown_ND: Floats, after_ND: Floats) -> Floats:
    """[before; shown; after], (N, 3 D): the papers' head.

    >>> concat_head(*(np.full((1, 1), value, np.float32) for value in (1, 4, 6))).tolist()
    [[1.0, 4.0, 6.0]]
    """
    return np.concatenate([before_ND, shown_ND, after_ND], axis=1)


_INPUTS: dict[str, tuple[Callable[[Floats, Floats, Floats], Floats], int]] = {
    "relational": (relational_head, 6),
    "concat": (concat_head, 3),
}


class HeadRows:
    """The rows that a head reads, one for each question, made from the features of clips on demand.

    Kept rows would take more memory: six times the columns, and the questions of a tuple share clips.

    Args:
        clips_MD: Features of distinct clips.
        numbers_N3: For each question, the numbers of its clips before, in and after the blank.
        head: "relational" or "concat".

    >>> clips_MD = np.array([[1.0], [4.0], [6.0]], np.float32)
    >>> HeadRows(clips_MD, np.array([[0, 1, 2], [0, 2, 2]]), "concat")[np.array([1])].tolist()
    [[1.0, 6.0, 6.0]]
    """

    def __init__(self, clips_MD: Floats, numbers_N3: npt.NDArray[np.integer], head: str) -> None:
        self._clips_MD, self._numbers_N3 = clips_MD, numbers_N3
        self._inputs, self._parts = _INPUTS[head]

    @property
    def shape(self) -> tuple[int, int]:
        """(N, numbers that the head reads)."""
        return len(self._numbers_N3), self._parts * self._clips_MD.shape[1]

    def __getitem__(self, numbers: npt.NDArray[np.integer]) -> Floats:
        """The rows of these questions."""
        before_N, shown_N, after_N = self._numbers_N3[numbers].T
        return self._inputs(self._clips_MD[before_N], self._clips_MD[shown_N], self._clips_MD[after_N])


def parts(dataset: Dataset, protocol: Protocol, spec: BackboneSpec) -> tuple[Part, ...]:
    """A probe for each head after each stage."""
    least, options = tuple_shape(protocol, spec).min_frames, len(protocol.cloze.options)
    num_asked = sum(video.num_frames >= least for video in dataset.side("train")) * protocol.cloze.num_tuples
    dims = dict(zip(spec.stages, spec.stage_dims, strict=True))

    def size(head: str, stage: str) -> Probe:
        return Probe(
            rows=num_asked * options,
            columns=_INPUTS[head][1] * dims[stage],
            classes=options,
            fits=num_fits(protocol.probe.l2),
            # A tuple has a clip for each option, one before the blank and one after it.
            held=num_asked * (options + 2) * dims[stage],
        )

    return tuple(
        Part(benchmark="cloze", name=name, size=size(*one)) for name, one in _heads(protocol, spec).items()
    )


def _heads(protocol: Protocol, spec: BackboneSpec) -> dict[str, tuple[str, str]]:
    """Head and stage of every part, by the part's name."""
    stages = spec.stages if protocol.cloze.stages == "all" else spec.stages[-1:]
    return {
        head if stage == spec.stages[-1] else f"{head}@{stage}": (head, stage)
        for stage in stages
        for head in HEADS
    }


def predict(
    bank: FeatureBank,
    dataset: Dataset,
    protocol: Protocol,
    spec: BackboneSpec,
    part: str,
    *,
    on_units: OnUnits = ignore,
) -> Predictions:
    """Fit a head on the training split's tuples and answer the test split's."""
    head, stage = _heads(protocol, spec)[part]
    train, test = (_side(dataset, split, protocol, spec) for split in ("train", "test"))
    train_clips, test_clips = _ClipsOf(train), _ClipsOf(test)
    options = protocol.cloze.options
    fitted = fit_with_holdout(
        HeadRows(bank.rows(train_clips.clips, stage), train_clips.numbers_N3, head),
        np.array([options.index(q.option) for q in train]),
        [q.video.group or q.video.id for q in train],
        num_classes=len(options),
        candidates=protocol.probe.l2,
        holdout_fraction=protocol.probe.holdout_fraction,
        max_iterations=protocol.probe.max_iterations,
        tolerance=protocol.probe.tolerance,
        on_units=on_units,
    )
    # Read after the fit, which needs the memory.
    shown = HeadRows(bank.rows(test_clips.clips, stage), test_clips.numbers_N3, head)
    scores_NK = fitted.probe.log_probabilities(shown)
    guesses_N = scores_NK.argmax(axis=1)
    return Predictions(
        benchmark="cloze",
        answers=options,
        columns={
            "video": [q.video.id for q in test],
            "group": [q.video.group for q in test],
            "tuple": [q.number for q in test],
            "option": [q.option for q in test],
            "variant": [q.variant for q in test],
            part: [options[guess] for guess in guesses_N],
            # Of the last stage alone. The numbers of all stages would make the answers larger.
            **({sureness_column(part): rounded(np.exp(scores_NK.max(axis=1)))} if part == head else {}),
        },
        num_left_out=len(dataset.side("test")) - len({q.video.id for q in test}),
        fits=(Fit(name=part, **fitted.report()),),
        facts={"min_frames": tuple_shape(protocol, spec).min_frames},
    )


def _side(dataset: Dataset, split: Split, protocol: Protocol, spec: BackboneSpec) -> list[Question]:
    return [q for video in dataset.side(split) for q in questions(video, protocol, spec)]


class _ClipsOf:
    """The distinct clips of some questions, and the numbers of each question's three clips among them."""

    def __init__(self, asked: Sequence[Question]) -> None:
        numbers: dict[Clip, int] = {}
        self.numbers_N3 = np.array(
            [
                [numbers.setdefault(clip, len(numbers)) for clip in (q.before, q.shown, q.after)]
                for q in asked
            ],
            np.int64,
        )
        self.clips = list(numbers)


def _prefix(column: str) -> str:
    return "cloze." if column == HEADS[0] else f"cloze.{column}."


def metrics(predictions: Predictions) -> list[Metric]:
    """Accuracy, recall and precision per option, spatial and temporal, for every head and stage.

    The headline's head also has a recall for every kind of variant, such as "cloze.recall.rotation.90".

    >>> fit = Fit(
    ...     name="relational", l2=0.1, holdout_losses={}, converged=True, num_iterations=9, gradient_norm=0.0
    ... )
    >>> options = ("original", "remote")
    >>> columns = {"option": list(options), "variant": ["", "after:20"], "relational": ["remote"] * 2}
    >>> answered = Predictions(benchmark="cloze", answers=options, columns=columns, fits=(fit,))
    >>> values = {metric.name: metric.value(2) for metric in metrics(answered)}
    >>> values["cloze.accuracy"], values["cloze.recall.remote"], values["cloze.precision.remote"]
    (50.0, 100.0, 50.0)
    """
    truth, options = np.array(predictions.column("option")), predictions.answers
    chance = 1 / len(options)
    found = []
    for fit in predictions.fits:
        guessed = np.array(predictions.column(fit.name))
        right, prefix, main = guessed == truth, _prefix(fit.name), fit.name == HEADS[0]
        recalls = {option: mean_over(right, truth == option) for option in options}
        found.append(
            Metric(name=f"{prefix}accuracy", statistic=weighted_mean(right), chance=chance, headline=main)
        )
        for ability in ("spatial", "temporal"):
            of_ability = [recalls[option] for option in options if OPTIONS[option].ability == ability]
            if of_ability:
                both = mean_of(*of_ability)
                found.append(Metric(name=f"{prefix}{ability}", statistic=both, chance=chance, headline=main))
        for option in options:
            found.append(Metric(name=f"{prefix}recall.{option}", statistic=recalls[option], chance=chance))
            answers_N = guessed == option
            precision = mean_over(right, answers_N)
            found.append(Metric(name=f"{prefix}precision.{option}", statistic=precision, chance=chance))
        if main:
            found.extend(_by_kind(predictions, right))
    return found


def _by_kind(predictions: Predictions, right_N: npt.NDArray[np.bool_]) -> Iterator[Metric]:
    """The recall of every kind of variant that occurs among the questions."""
    options, variants = predictions.column("option"), predictions.column("variant")
    kinds_N = [kinds_of(*one) for one in zip(options, variants, strict=True)]
    for option, kinds in KINDS.items():
        for kind in kinds:
            asked = zip(options, kinds_N, strict=True)
            counts_N = np.array([name == option and kind in found for name, found in asked])
            if counts_N.any():
                yield Metric(
                    name=f"cloze.recall.{option}.{kind}",
                    statistic=mean_over(right_N, counts_N),
                    chance=1 / len(predictions.answers),
                )


def tables(predictions: Predictions) -> list[Table]:
    """A K x K confusion per head (last stage).

    >>> columns = {"option": ["original", "remote"], "relational": ["remote"] * 2, "concat": ["original"] * 2}
    >>> answered = Predictions(benchmark="cloze", answers=("original", "remote"), columns=columns)
    >>> [table.values for table in tables(answered)]
    [((0.0, 1.0), (0.0, 1.0)), ((1.0, 0.0), (1.0, 0.0))]
    """
    truth = predictions.column("option")
    return [
        confusion(truth, predictions.column(head), predictions.answers, f"{_prefix(head)}confusion")
        for head in HEADS
    ]

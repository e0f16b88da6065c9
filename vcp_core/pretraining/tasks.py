"""The two training tasks: cloze questions (PROTOCOL 7) and recognition (PROTOCOL 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np

from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.catalog.training import Augment
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.pretraining.augmentation import UNCHANGED, Augmentation, draw_augmentation
from vcp_core.pretraining.config import PretrainConfig, TrainingConfig
from vcp_core.pretraining.examples import Crop, Example, all_options, draw_clip, draw_crop, draw_question
from vcp_core.probes.holdout import holdout
from vcp_core.video.clips import Draws, TupleShape, grid_starts
from vcp_core.video.frames import Geometry

HELD_OUT_CLIPS = 3  # grid clips of a held-out video in finetuning


@dataclass(frozen=True, kw_only=True)
class Division:
    """The division of the training side into training videos and held-out videos.

    Attributes:
        train: Videos to train on.
        held_out: Videos that serve only to choose the best epoch.
        notes: Remarks for readers of the run: videos left out, groups that could not be held out.
    """

    train: tuple[Video, ...]
    held_out: tuple[Video, ...]
    notes: tuple[str, ...] = ()


class Task(Interface):
    """The interface of a training task."""

    name: str
    answers: tuple[str, ...]
    num_clips: int
    rearranges: bool
    division: Division

    def draw(self, video: Video, epoch: int) -> list[Example]:
        """The examples of a training video in `epoch`."""

    def held_out(self) -> list[Example]:
        """The examples of the held-out videos, the same in every epoch."""


class ClozeTask:
    """The cloze task: which option fills the blank?

    Args:
        dataset: The dataset. Only its training side is read.
        spec: The catalog's entry of the network.
        config: Gaps, seed, and the number of held-out videos.

    Raises:
        TrainingError: If too few videos are as long as a tuple.
    """

    name = "pretrain"
    num_clips = 3
    rearranges = True

    def __init__(self, dataset: Dataset, spec: BackboneSpec, config: PretrainConfig) -> None:
        self._spec, self._seed, self._questions = spec, config.seed, config.questions
        self.answers = config.options
        self._augment = config.augment
        self._shape = TupleShape(clip_frames=spec.clip_span, gap=config.gap, remote_gap=config.remote_gap)
        side = dataset.side("train")
        usable = [video for video in side if video.num_frames >= self._shape.span]
        notes = []
        if len(usable) < len(side):
            notes.append(
                f"{len(side) - len(usable)} of {len(side)} training videos have fewer than "
                f"{self._shape.span} frames and were left out"
            )
        short = sum(video.num_frames < self._shape.min_frames for video in usable)
        if short:
            notes.append(f"{short} are too short for 'remote' and draw from the other options")
        self.division = divide(usable, dataset.classes, config, notes)

    def draw(self, video: Video, epoch: int) -> list[Example]:
        """Draw a tuple and a crop, with one random option or with all."""
        draws = Draws(self._seed, "pretrain", epoch, video.id)
        crop = _random_crop(self._spec, draws)
        if self._questions == "all":
            examples = all_options(video, self._shape, crop, draws, self.answers)
        else:
            examples = [draw_question(video, self._shape, crop, draws, self.answers)]
        augmentation = _random_augmentation(self._augment, self._seed, epoch, video)
        return [example._replace(augmentation=augmentation) for example in examples]

    def held_out(self) -> list[Example]:
        """One tuple of every held-out video with all options that its length allows, centre crop."""
        return [
            example
            for video in self.division.held_out
            for example in all_options(
                video,
                self._shape,
                centre_crop(self._spec),
                Draws(self._seed, "held out", video.id),
                self.answers,
            )
        ]


class RecognitionTask:
    """The recognition task: which action does a clip show?

    Args:
        dataset: The dataset.
        spec: The catalog's entry of the network.
        config: Seed, and the number of held-out videos.

    Raises:
        TrainingError: If there are too few videos.
    """

    name = "finetune"
    num_clips = 1
    rearranges = False

    def __init__(self, dataset: Dataset, spec: BackboneSpec, config: TrainingConfig) -> None:
        self._spec, self._seed, self._augment = spec, config.seed, config.augment
        self.answers = dataset.classes
        self.division = divide(dataset.side("train"), dataset.classes, config)

    def draw(self, video: Video, epoch: int) -> list[Example]:
        """Draw a clip and a crop."""
        draws = Draws(self._seed, "finetune", epoch, video.id)
        answer = self.answers.index(video.label)
        example = draw_clip(video, self._spec.clip_span, _random_crop(self._spec, draws), answer, draws)
        return [example._replace(augmentation=_random_augmentation(self._augment, self._seed, epoch, video))]

    def held_out(self) -> list[Example]:
        """Grid clips of every held-out video, centre crop."""
        return self.grid(self.division.held_out, HELD_OUT_CLIPS)

    def grid(self, videos: Sequence[Video], num_clips: int) -> list[Example]:
        """`num_clips` grid clips of every video, one after the other."""
        return [
            Example(
                video=video,
                starts=(start,),
                crop=centre_crop(self._spec),
                answer=self.answers.index(video.label),
            )
            for video in videos
            for start in grid_starts(video.num_frames, num_clips, self._spec.clip_span)
        ]


def divide(
    videos: Sequence[Video], classes: Sequence[str], config: TrainingConfig, notes: Sequence[str] = ()
) -> Division:
    """Hold out about `config.holdout_videos` videos, at most the fraction `config.holdout_most`.

    Whole groups are held out. The choice is not random, so it does not depend on the seed.

    Raises:
        TrainingError: If fewer videos than a batch are left, or none can be held out.

    >>> videos = [
    ...     Video(id=f"{i}", label="ab"[i % 2], split="train", group=f"g{i // 4}", sha256="0", num_frames=96)
    ...     for i in range(40)
    ... ]
    >>> division = divide(videos, ["a", "b"], TrainingConfig(holdout_videos=8, holdout_most=0.2, batch=8))
    >>> len(division.train), len(division.held_out)
    (32, 8)
    >>> {video.group for video in division.train} & {video.group for video in division.held_out}
    set()
    """
    if not videos:
        raise TrainingError("No training video is long enough. Take longer videos, or a shorter gap.")
    # `holdout_most` bounds what a small dataset loses: of 144 videos, 800 would be all.
    fraction = min(config.holdout_videos / len(videos), config.holdout_most)
    labels_N = np.array([list(classes).index(video.label) for video in videos])
    held_N, note = holdout([video.group or video.id for video in videos], labels_N, fraction)
    train = tuple(video for video, held in zip(videos, held_N, strict=True) if not held)
    held_out = tuple(video for video, held in zip(videos, held_N, strict=True) if held)
    if len(train) < config.batch or not held_out:
        raise TrainingError(
            f"{len(videos)} usable training videos leave {len(train)} to train on and {len(held_out)} held "
            f"out; a batch is {config.batch}. Take more videos, or a smaller batch."
        )
    said = [*notes, *([note.replace("to choose the L2 strength", "to hold some out")] if note else [])]
    return Division(train=train, held_out=held_out, notes=tuple(said))


def centre_crop(spec: BackboneSpec) -> Crop:
    """The centre crop, which evaluation uses.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> centre_crop(BACKBONES["r3d"])
    Crop(top=8, left=30)
    """
    return Crop(*Geometry(resize=spec.resize, crop=spec.clip_shape[2:]).offset)


def _random_crop(spec: BackboneSpec, draws: Draws) -> Crop:
    return draw_crop(draws, spec.resize, spec.clip_shape[2:])


def _random_augmentation(augment: Augment, seed: int, epoch: int, video: Video) -> Augmentation:
    return draw_augmentation(Draws(seed, "look", epoch, video.id)) if augment == "jitter" else UNCHANGED

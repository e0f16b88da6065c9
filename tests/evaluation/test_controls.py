"""Random weights: which clips calibrate them, and that the number is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.datasets_on_disk import make_dataset
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.calibration import CALIBRATION_BATCH, calibration_shard
from vcp_core.evaluation.controls import random_weights

SPEC = BACKBONES["r3d_tiny"]
QUICK, STANDARD = PROTOCOLS["quick-v1"], PROTOCOLS["standard-v1"]


def videos_of(lengths: list[int]) -> Dataset:
    videos = [
        Video(id=f"{i:05d}", label="a", split="train", group=None, sha256="", num_frames=num_frames)
        for i, num_frames in enumerate(lengths)
    ]
    return Dataset(name="made-up", split_name="1", root=Path("/nowhere"), videos=tuple(videos))


@pytest.mark.parametrize("protocol", [QUICK, STANDARD], ids=["quick", "standard"])
@pytest.mark.parametrize("num_videos", [3, 18, 40, 144, 300, 9537])
def test_as_many_clips_as_the_protocol_says_calibrate_random_weights(
    num_videos: int, protocol: Protocol
) -> None:
    dataset = videos_of([120] * num_videos)
    shard = calibration_shard(dataset, protocol, SPEC)
    assert shard.num_clips == protocol.control.calibration_clips == 256
    counts = {len(clips) for _, clips in shard.videos}
    assert max(counts) - min(counts) <= 1, "some videos count more than others"
    assert len(shard.videos) == min(num_videos, 256)
    for video, clips in shard.videos:
        assert len(set(clips)) == len(clips)
        assert all(0 <= clip.start <= video.num_frames - SPEC.clip_frames for clip in clips)
    assert shard == calibration_shard(dataset, protocol, SPEC)


def test_starts_are_drawn_from_the_whole_video_and_are_those_of_the_first_day() -> None:
    shard = calibration_shard(videos_of([120] * 40), QUICK, SPEC)
    starts = [clip.start for _, clips in shard.videos for clip in clips]
    assert min(starts) < 10
    assert max(starts) > 95
    video, clips = shard.videos[0]
    assert (video.id, [clip.start for clip in clips]) == ("00022", [2, 13, 35, 46, 56, 58, 93])


def test_short_videos_give_what_they_have_and_long_ones_the_rest() -> None:
    shard = calibration_shard(videos_of([10, 12, 17, 400]), QUICK, SPEC)
    assert {video.num_frames: len(clips) for video, clips in shard.videos} == {
        10: 1,
        12: 1,
        17: 2,
        400: 252,
    }


@pytest.mark.parametrize(("lengths", "num_clips"), [([16] * 40, 32), ([16] * 5, 5), ([16] * 16, 16)])
def test_where_there_are_too_few_starts_whole_batches_are_taken(lengths: list[int], num_clips: int) -> None:
    assert calibration_shard(videos_of(lengths), QUICK, SPEC).num_clips == num_clips
    assert num_clips % CALIBRATION_BATCH == 0 or num_clips < CALIBRATION_BATCH


def test_every_clip_that_is_counted_is_forwarded(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, lengths=(40,))
    protocol = QUICK.model_copy(
        update={"control": QUICK.control.model_copy(update={"calibration_clips": 40})}
    )
    told: list[int] = []
    network = random_weights("r3d_tiny", 0, dataset, protocol, on_clips=told.append)
    assert sum(told) == calibration_shard(dataset, protocol, SPEC).num_clips == 32
    assert int(network.state_dict()["bn1.num_batches_tracked"]) == 2
    assert torch.isfinite(network.state_dict()["bn1.running_var"]).all()

"""Previews show what the network gets, within the error of their codecs and within their bounds."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.datasets_on_disk import make_dataset
from vcp_core.benchmarks.cloze import questions
from vcp_core.catalog import previews
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import InputError, UndecodableVideo
from vcp_core.catalog.inputs import with_input
from vcp_core.catalog.options import OPTIONS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset
from vcp_core.features.extraction import iter_batches
from vcp_core.features.reading import Counters, Reading
from vcp_core.features.shards import Clip, Shard
from vcp_core.previews import encoding
from vcp_core.previews.making import (
    question_files,
    question_previews,
    shown_frames,
    spec_like,
    video_files,
    videos_of,
)

Frames = npt.NDArray[np.uint8]
QUICK = PROTOCOLS["quick-v1"]
LEAST_PSNR = 29.0  # dB
SMALL = with_input(BACKBONES["r3d"], "resize=64x86,crop=56")


def shown(content: bytes) -> Frames:
    """The frames of a picture or a video, as a browser would show them."""
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def psnr(one: Frames, other: Frames) -> float:
    """How alike they are, in dB, averaged over 2 x 2 pixels: the chroma of the codecs is as coarse."""
    assert one.shape == other.shape
    error = np.mean((_halved(one) - _halved(other)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def _halved(frames: Frames) -> npt.NDArray[np.float64]:
    *front, height, width, colours = frames.shape
    return frames.reshape(*front, height // 2, 2, width // 2, 2, colours).mean(axis=(-4, -2))


def network_sees(dataset: Dataset, clips: list[Clip], spec: BackboneSpec) -> list[Frames]:
    """What `extract` forwards, as (T, H, W, C)."""
    video = next(video for video in dataset.videos if video.id == clips[0].video_id)
    reading = Reading(threads=1, videos=1, in_turns=True)
    shards = [Shard(number=0, videos=((video, tuple(clips)),))]
    [batch] = iter_batches(
        dataset, shards, spec, batch_clips=len(clips), reading=reading, counters=Counters()
    )
    return [clip_CTHW.permute(1, 2, 3, 0).numpy() for clip_CTHW in batch.pixels_BCTHW]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=(120, 100, 40))


@pytest.mark.parametrize("words", ["", "resize=80x100,crop=64"], ids=["of r3d", "declared"])
def test_a_videos_clip_and_strip_show_the_frames_that_the_network_gets(dataset: Dataset, words: str) -> None:
    spec = with_input(BACKBONES["r3d"], words or None)
    video, crop = dataset.videos[0], spec.clip_shape[2]
    strip, clip = video_files(dataset, video, previews.frame_geometry(spec))
    indices = [*shown_frames(video.num_frames)]
    # A clip of the network from each shown frame on begins with that frame.
    wanted = np.stack(
        [one[0] for one in network_sees(dataset, [Clip(video.id, index) for index in indices], spec)]
    )
    assert psnr(shown(clip.content), wanted) > LEAST_PSNR
    [picture] = shown(strip.content)
    assert picture.shape[:2] == previews.strip_size(crop, previews.VIDEO_TILES)[::-1]
    places = encoding.spread(len(indices), 8)
    for number, place in enumerate(places):
        row, column = divmod(number, 4)
        tile = picture[row * crop : (row + 1) * crop, column * crop : (column + 1) * crop]
        assert psnr(tile, wanted[place]) > LEAST_PSNR
        assert psnr(tile, wanted[places[number - 4]]) < psnr(tile, wanted[place])  # and no other frame


@pytest.mark.parametrize("words", ["resize=64x86,crop=56", "frames=8,stride=2"], ids=["small", "strided"])
def test_a_questions_clips_are_those_that_the_network_gets(dataset: Dataset, words: str) -> None:
    spec = with_input(BACKBONES["r3d"], words)
    video, geometry, crop = dataset.videos[0], previews.clip_geometry(spec), spec.clip_shape[2]
    asked = questions(video, QUICK, spec)
    made = list(question_previews(dataset, video, geometry, QUICK))
    files = dict(question_files(dataset, video, geometry, QUICK))
    assert [(number, option) for number, option, _ in made] == [(one.number, one.option) for one in asked]
    assert {option for _, option, _ in made} == set(QUICK.cloze.options)
    assert len(files) == 2 * len(asked)
    for question, (number, option, frames) in zip(asked, made, strict=True):
        clips = network_sees(dataset, [question.before, question.shown, question.after], spec)
        for place, clip in enumerate(clips):
            left = place * (crop + previews.GAP)
            np.testing.assert_array_equal(frames[:, :, left : left + crop], clip)
        key = previews.key_of(video.id)
        assert psnr(shown(files[previews.file_name(key, "webm", number, option)]), frames) > LEAST_PSNR
        [picture] = shown(files[previews.file_name(key, "webp", number, option)])
        wanted = np.concatenate(frames[encoding.spread(spec.clip_frames, 4)])
        assert psnr(picture, wanted) > LEAST_PSNR
        assert picture.shape[:2] == previews.strip_size(crop, previews.QUESTION_TILES, previews.GAP)[::-1]


def test_a_video_that_is_too_short_has_no_questions(dataset: Dataset) -> None:
    short = next(video for video in dataset.videos if video.num_frames == 40)
    assert list(question_files(dataset, short, previews.clip_geometry(SMALL), QUICK)) == []
    assert len(list(video_files(dataset, short, previews.frame_geometry(SMALL)))) == 2


@pytest.mark.parametrize("num_frames", [1, 2, 3], ids=str)
def test_a_video_of_few_frames_has_a_preview(tmp_path: Path, num_frames: int) -> None:
    dataset = make_dataset(tmp_path, lengths=(num_frames,), num_classes=1, per_class=(0, 1))
    strip, clip = video_files(dataset, dataset.videos[0], previews.frame_geometry(SMALL))
    assert len(shown(clip.content)) == (num_frames + 1) // 2
    assert shown(strip.content).shape == (1, 112, 224, 3)


def test_a_video_that_changed_is_not_shown(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, num_classes=1, per_class=(0, 1))
    with dataset.path(dataset.videos[0]).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UndecodableVideo, match="changed after the dataset was indexed"):
        video_files(dataset, dataset.videos[0], previews.frame_geometry(SMALL))


def test_previews_are_bounded_whatever_they_show() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 112, 112, 3)).astype(np.uint8)
    assert len(encoding.clip(noise)) <= previews.MAX_CLIP_BYTES
    assert len(encoding.strip(noise[:8], (2, 4))) <= previews.MAX_STRIP_BYTES
    for bound in (6_000, 1_500):
        assert len(encoding.clip(noise, max_bytes=bound)) <= bound
        assert len(encoding.strip(noise[:8], (2, 4), max_bytes=bound)) <= bound


def test_the_same_frames_give_the_same_bytes(dataset: Dataset) -> None:
    first, second = (
        list(video_files(dataset, dataset.videos[0], previews.frame_geometry(SMALL))) for _ in range(2)
    )
    assert first == second


def test_every_frame_of_a_clip_is_shown_as_long_as_the_others(dataset: Dataset) -> None:
    _, clip = video_files(dataset, dataset.videos[0], previews.frame_geometry(SMALL))
    with av.open(io.BytesIO(clip.content)) as container:
        assert {stream.type for stream in container.streams} == {"video"}
        assert container.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")
        times = [frame.time for frame in container.decode(video=0)]
    assert np.allclose(np.diff(times), 0.08, atol=0.001)  # 12.5 frames a second; WebM counts milliseconds


def test_every_video_is_in_one_group(dataset: Dataset) -> None:
    for has_questions in (False, True):
        groups = previews.num_groups(len(dataset.videos), has_questions=has_questions)
        found = [
            one.id
            for group in range(groups)
            for one in videos_of(dataset, group, has_questions=has_questions)
        ]
        assert sorted(found) == [video.id for video in dataset.videos]


def test_groups_of_many_videos_are_of_about_one_size() -> None:
    keys = [previews.key_of(f"class{number % 101}/{number}.avi") for number in range(20_000)]
    for has_questions, mean in ((False, 8), (True, 2)):
        groups = previews.num_groups(len(keys), has_questions=has_questions)
        sizes = np.bincount([previews.group_of(key, groups) for key in keys], minlength=groups)
        assert sizes.mean() == mean
        assert sizes.max() < mean + 8 * mean**0.5


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbones_geometry_is_read_back(name: str) -> None:
    spec = BACKBONES[name]
    for geometry in (previews.clip_geometry(spec), previews.frame_geometry(spec)):
        like = spec_like(geometry)
        assert (like.resize, like.clip_shape[2:]) == (spec.resize, spec.clip_shape[2:])
    like = spec_like(previews.clip_geometry(spec))
    assert (like.clip_frames, like.stride) == (spec.clip_frames, spec.stride)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "crop=112",
        "crop=112,resize=128x171",
        "resize=128x171,crop=112,mean=0",
        "resize=128x171, crop=112",
        "resize=99999x171,crop=112",
        "resize=128x171,crop=9999999999999999999",
        "frames=16,resize=128x171,crop=112",
        "resize=64x64,crop=112",
    ],
    ids=["empty", "half", "turned", "more", "blank", "large", "huge", "no stride", "crop too large"],
)
def test_what_is_no_geometry_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        previews.read_geometry(text)


def test_every_option_of_the_catalog_has_a_name_that_an_address_holds() -> None:
    for option in OPTIONS:
        assert previews.file_name("0", "webp", 1, option) == f"0/1/{option}.webp"
        assert option.replace("_", "").replace("-", "").isalnum()

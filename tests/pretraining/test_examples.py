"""What is drawn, and what is done with it: options in batches, crops, frames."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pretraining.kit import small_backbone
from vcp_core.catalog.errors import OperationError, TrainingError, UnknownName
from vcp_core.catalog.options import OPTIONS, PAPERS_OPTIONS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.reading import Counters, read_frames
from vcp_core.pretraining import frames as frames_module
from vcp_core.pretraining import rearrange
from vcp_core.pretraining.augmentation import UNCHANGED, Augmentation, Augmentations
from vcp_core.pretraining.batches import iter_batches
from vcp_core.pretraining.config import PretrainConfig
from vcp_core.pretraining.examples import BLANK, REARRANGEMENTS, Crop, all_options, draw_question
from vcp_core.pretraining.frames import FramesOnDevice, FrameStore
from vcp_core.pretraining.rearrange import Rearrangements
from vcp_core.pretraining.tasks import ClozeTask
from vcp_core.video.clips import Draws, TupleShape
from vcp_core.video.frames import Geometry
from vcp_core.video.operations import apply_option

SHAPE = TupleShape()


def make_video(num_frames: int) -> Video:
    return Video(id="v.mp4", label="a", split="train", group=None, sha256="0", num_frames=num_frames)


def test_options_of_a_batch_equal_operations_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (len(REARRANGEMENTS), 16, 8, 8, 3)
    clips_BTHWC = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    changed_BTHWC = Rearrangements(16, (8, 8), torch.device("cpu"))(clips_BTHWC, torch.arange(shape[0]))
    for one, clip_THWC, changed_THWC in zip(REARRANGEMENTS, clips_BTHWC, changed_BTHWC, strict=True):
        wanted_CTHW = apply_option(clip_THWC.permute(3, 0, 1, 2), *one)
        assert torch.equal(changed_THWC, wanted_CTHW.permute(1, 2, 3, 0))


def test_every_variant_of_the_catalog_that_rearranges_is_trained() -> None:
    assert set(REARRANGEMENTS) == {
        (option.name, variant)
        for option in OPTIONS.values()
        for variant in option.variants
        if option.name != "remote"
    }


def test_an_operation_that_treats_frames_unlike_is_refused_and_not_trained_wrongly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mirror_the_first_frame(clip_CTHW: torch.Tensor, variant: str) -> torch.Tensor:
        changed = clip_CTHW.clone()
        changed[:, 0] = changed[:, 0].flip(-1)
        return changed

    monkeypatch.setattr(
        rearrange, "apply_option", lambda clip, option, variant: mirror_the_first_frame(clip, variant)
    )
    with pytest.raises(OperationError, match="pixels of two frames differently"):
        Rearrangements(16, (8, 8), torch.device("cpu"))


def test_an_option_that_no_catalog_knows_is_no_answer() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rotation'"):
        all_options(make_video(120), SHAPE, Crop(0, 0), Draws(0), ["original", "rotatoin"])
    with pytest.raises(UnknownName, match="Did you mean 'rotation'"):
        PretrainConfig(options=("original", "rotatoin"))
    with pytest.raises(TrainingError, match="--options must hold 'original' and others"):
        PretrainConfig(options=("rotation", "adjacent"))


def test_fewer_options_have_fewer_answers_in_the_catalogs_order() -> None:
    config = PretrainConfig(options=("adjacent", "original"))
    assert config.options == ("original", "adjacent")
    shown = all_options(make_video(120), SHAPE, Crop(0, 0), Draws(0), config.options)
    assert [example.answer for example in shown] == [0, 1]
    assert [REARRANGEMENTS[example.rearrangement][0] for example in shown] == ["original", "adjacent"]


def test_the_papers_options_are_not_written_down_so_that_older_runs_go_on() -> None:
    assert "options" not in PretrainConfig().as_dict()
    assert PretrainConfig(options=("original", "adjacent")).as_dict()["options"] == ("original", "adjacent")


def test_every_option_comes_up_about_as_often_and_as_its_answer_says() -> None:
    drawn = [draw_question(make_video(120), SHAPE, Crop(0, 0), Draws(0, i)) for i in range(2000)]
    counts = Counter(PAPERS_OPTIONS[example.answer] for example in drawn)
    assert set(counts) == set(PAPERS_OPTIONS)
    assert min(counts.values()) > 320
    for example in drawn:
        option = PAPERS_OPTIONS[example.answer]
        assert REARRANGEMENTS[example.rearrangement][0] == ("original" if option == "remote" else option)
        before, blank, after = example.starts
        assert after - before == 48
        assert (blank - before == 24) == (option != "remote")
        assert all(0 <= start <= 120 - 16 for start in example.starts)


@pytest.mark.parametrize("num_frames", [64, 95])
def test_videos_too_short_for_remote_draw_from_the_other_four(num_frames: int) -> None:
    drawn = [draw_question(make_video(num_frames), SHAPE, Crop(0, 0), Draws(0, i)) for i in range(500)]
    counts = Counter(PAPERS_OPTIONS[example.answer] for example in drawn)
    assert set(counts) == set(PAPERS_OPTIONS) - {"remote"}
    assert min(counts.values()) > 90
    assert {example.starts[0] for example in drawn} == set(range(num_frames - 63))
    assert len(all_options(make_video(num_frames), SHAPE, Crop(0, 0), Draws(0))) == 4


def test_a_video_shorter_than_a_tuple_is_no_question() -> None:
    with pytest.raises(ValueError, match="63 frames; a tuple has 64"):
        draw_question(make_video(63), SHAPE, Crop(0, 0), Draws(0))


def test_draws_belong_to_seed_epoch_and_video(dataset: Dataset) -> None:
    spec = small_backbone().spec
    task, again = (ClozeTask(dataset, spec, PretrainConfig(batch=2, seed=1)) for _ in range(2))
    other = ClozeTask(dataset, spec, PretrainConfig(batch=2, seed=2))
    videos = task.division.train

    def shown(by: ClozeTask, epoch: int) -> list[object]:
        return [by.draw(video, epoch) for video in videos]

    assert shown(task, 5) == shown(again, 5)
    assert shown(task, 5) != shown(task, 6)
    assert shown(task, 5) != shown(other, 5)
    assert task.held_out() == again.held_out()
    crops = {example.crop for epoch in range(300) for example in task.draw(videos[0], epoch)}
    assert len({crop.top for crop in crops}) == 36 - 32 + 1
    assert len({crop.left for crop in crops}) == 48 - 32 + 1


def test_batches_are_the_same_with_any_number_of_workers(dataset: Dataset, tmp_path: Path) -> None:
    spec = small_backbone().spec
    task = ClozeTask(dataset, spec, PretrainConfig(batch=2))
    groups = [
        [*itertools.chain(*(task.draw(v, epoch) for v in task.division.train[:3]))] for epoch in range(3)
    ]
    store = FrameStore(dataset, dataset.videos, size=spec.resize, folder=tmp_path, limit_bytes=10**9)
    one, three = (
        list(iter_batches(groups, store, offsets=range(16), size=(32, 32), workers=workers))
        for workers in (1, 3)
    )
    for first, second in zip(one, three, strict=True):
        assert first.examples == second.examples
        assert torch.equal(first.clips_NTHWC, second.clips_NTHWC)
        assert torch.equal(first.clip_indices_BK, second.clip_indices_BK)


def test_five_questions_about_one_tuple_show_seven_clips_and_each_its_own_blank(
    dataset: Dataset, tmp_path: Path
) -> None:
    spec = small_backbone().spec
    task = ClozeTask(dataset, spec, PretrainConfig(batch=2, questions="all"))
    videos = [video for video in task.division.train if video.num_frames >= SHAPE.min_frames][:2]
    groups = [[example for video in videos for example in task.draw(video, 0)]]
    store = FrameStore(dataset, videos, size=spec.resize, folder=tmp_path, limit_bytes=10**9)
    [batch] = iter_batches(groups, store, offsets=range(16), size=(32, 32), workers=1)
    assert batch.answers_B.tolist() == [*range(5), *range(5)]
    assert batch.clips_NTHWC.shape == (2 * 7, 16, 32, 32, 3)
    assert len(set(batch.clip_indices_BK[:, BLANK].tolist())) == 10, (
        "what is done to one blank is done to no other"
    )
    for example, clip_indices in zip(batch.examples, batch.clip_indices_BK.tolist(), strict=True):
        top, left = example.crop
        shown = store.read(example.video, example.starts, range(16))
        for clip, index in zip(shown, clip_indices, strict=True):
            cut = np.ascontiguousarray(clip[:, top : top + 32, left : left + 32])
            assert torch.equal(batch.clips_NTHWC[index], torch.from_numpy(cut))


def test_kept_frames_are_those_of_evaluation_to_the_last_bit(dataset: Dataset, tmp_path: Path) -> None:
    video = dataset.videos[0]
    store = FrameStore(dataset, [video], size=(128, 171), folder=tmp_path, limit_bytes=10**9)
    [clip_THWC] = store.read(video, [40], range(16))
    frames = read_frames(dataset.path(video), video, [40], range(16), Geometry(), Counters())
    cropped_THWC = clip_THWC[:, 8:120, 30:142]
    assert np.array_equal(cropped_THWC, np.stack([frames[40 + t] for t in range(16)]))


def test_frames_that_another_engine_kept_are_not_used(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, size = dataset.videos[0], (36, 48)
    monkeypatch.setattr(frames_module, "FEATURES_VERSION", "2")
    lying_down = np.zeros((video.num_frames, *size, 3), np.uint8)
    np.save(tmp_path / frames_module.kept_name(video, size), lying_down)
    monkeypatch.undo()
    store = FrameStore(dataset, [video], size=size, folder=tmp_path, limit_bytes=10**9)
    assert store.whole(video).any()


def test_only_as_many_videos_are_kept_as_fit_and_the_others_read_the_same(
    dataset: Dataset, tmp_path: Path
) -> None:
    videos = dataset.videos[:3]
    room = (videos[0].num_frames + videos[1].num_frames) * 36 * 48 * 3 + 1000  # bytes of headers
    some = FrameStore(dataset, videos, size=(36, 48), folder=tmp_path / "some", limit_bytes=room)
    none = FrameStore(dataset, videos, size=(36, 48), folder=tmp_path / "none", limit_bytes=0)
    assert (some.num_kept, none.num_kept) == (2, 0)
    for video in videos:
        for clip, same in zip(
            some.read(video, [0, 30], range(16)), none.read(video, [0, 30], range(16)), strict=True
        ):
            assert np.array_equal(clip, same)
    assert len(list((tmp_path / "some").glob("*.npy"))) == 2
    assert not (tmp_path / "none").exists()
    written = tmp_path / "some" / ".abc.part.npy"  # by another process, which is not done
    written.write_bytes(b"half")
    os.utime(written, (0, 0))  # the oldest, which would go first
    FrameStore(dataset, dataset.videos[3:4], size=(36, 48), folder=tmp_path / "some", limit_bytes=room)
    assert written.exists()
    written.unlink()
    assert len(list((tmp_path / "some").glob("*.npy"))) == 1, "frames of earlier runs make room"


def test_threads_open_kept_frames_one_after_the_other(dataset: Dataset, tmp_path: Path) -> None:
    """CPython 3.11 fails where two threads parse headers of arrays at once: see `FrameStore._open`."""
    video = dataset.videos[0]
    store = FrameStore(dataset, [video], size=(4, 4), folder=tmp_path, limit_bytes=10**9)
    store.read(video, [0], [0])

    def read() -> None:
        for _ in range(300):
            store.read(video, [0], [0])
            ring: list[object] = [[] for _ in range(100)]
            ring.append(ring)  # for the garbage collector, whose callback lets another thread go on

    def callback(phase: str, info: dict[str, int]) -> None:
        sum(range(300))

    before, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(callback)
    gc.set_threshold(5)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(read) for _ in range(3)]:
                done.result()
    finally:
        gc.callbacks.remove(callback)
        gc.set_threshold(*before)
        sys.setswitchinterval(interval)


def test_a_kept_video_holds_no_file_open(dataset: Dataset, tmp_path: Path) -> None:
    store = FrameStore(dataset, dataset.videos, size=(36, 48), folder=tmp_path, limit_bytes=10**9)
    before = len(os.listdir("/proc/self/fd"))
    clips = [store.read(video, [0], range(16)) for video in dataset.videos]
    assert len(clips) > 1
    assert len(os.listdir("/proc/self/fd")) == before, (
        "a process may have 1024, and datasets have more videos"
    )


def test_a_video_shorter_than_a_clip_is_looped(dataset: Dataset, tmp_path: Path) -> None:
    video = dataset.videos[0]
    store = FrameStore(dataset, [video], size=(36, 48), folder=tmp_path, limit_bytes=10**9)
    last = video.num_frames - 4
    [clip_THWC] = store.read(video, [last], range(16))
    [begin_THWC] = store.read(video, [0], range(12))
    assert np.array_equal(clip_THWC[4:], begin_THWC)


def test_groups_are_held_out_whole_and_only_from_the_training_side(dataset: Dataset) -> None:
    grouped = dataclasses.replace(
        dataset,
        videos=tuple(dataclasses.replace(video, group=video.id[-5]) for video in dataset.videos),
    )
    division = ClozeTask(grouped, small_backbone().spec, PretrainConfig(batch=2)).division
    trained, held_out = ({video.group for video in side} for side in (division.train, division.held_out))
    assert trained
    assert held_out
    assert not trained & held_out
    assert {video.split for video in (*division.train, *division.held_out)} == {"train"}


def test_clips_cut_out_on_a_device_are_those_of_the_store(dataset: Dataset, tmp_path: Path) -> None:
    spec = small_backbone().spec
    task = ClozeTask(dataset, spec, PretrainConfig(batch=2, questions="all"))
    videos = task.division.train
    store = FrameStore(dataset, videos, size=spec.resize, folder=tmp_path, limit_bytes=10**9)
    device = FramesOnDevice(store, videos[:-1], size=spec.resize, device=torch.device("cpu"))
    groups = [[e for video in some for e in task.draw(video, 0)] for some in (videos[:-1], videos[-2:])]
    options = {"offsets": range(0, 31, 2), "size": (32, 32), "workers": 1}
    pairs = zip(iter_batches(groups, store, **options), iter_batches(groups, device, **options), strict=True)
    for first, second in pairs:
        assert torch.equal(first.clips_NTHWC, second.clips_NTHWC)


def test_augmentations_change_colours_and_sides_of_each_clip_in_its_own_way() -> None:
    clips_NTHWC = torch.randint(0, 256, (3, 2, 4, 5, 3), dtype=torch.uint8)
    swapped = Augmentation(mirrored=True, order=(2, 1, 0), gains=(0.5, 1.0, 1.5), shifts=(10.0, 0.0, -20.0))
    seen = Augmentations.of([UNCHANGED, swapped, Augmentation(mirrored=True)])(clips_NTHWC)
    assert seen.dtype == torch.uint8
    assert torch.equal(seen[0], clips_NTHWC[0])
    assert torch.equal(seen[2], clips_NTHWC[2].flip(2))
    for channel, (source, gain, shift) in enumerate(
        zip(swapped.order, swapped.gains, swapped.shifts, strict=True)
    ):
        original = clips_NTHWC[1, ..., source].flip(2).double()
        expected = ((original - 127.5) * gain + 127.5 + shift).clamp(0, 255).round()
        assert torch.equal(seen[1, ..., channel].double(), expected)


def test_jitter_gives_an_example_one_augmentation_and_moves_nothing_else(dataset: Dataset) -> None:
    spec = small_backbone().spec
    plain, jitter = (
        ClozeTask(dataset, spec, PretrainConfig(batch=2, questions="all", augment=augment))
        for augment in ("crop", "jitter")
    )
    video = plain.division.train[0]
    drawn = [jitter.draw(video, epoch) for epoch in range(8)]
    for epoch, examples in enumerate(drawn):
        assert [example._replace(augmentation=UNCHANGED) for example in examples] == plain.draw(video, epoch)
        assert len({example.augmentation for example in examples}) == 1, (
            "a clip's own augmentation would give its option away"
        )
    assert len({examples[0].augmentation for examples in drawn}) == 8
    assert {examples[0].augmentation.mirrored for examples in drawn} == {True, False}
    assert all(example.augmentation == UNCHANGED for example in jitter.held_out())

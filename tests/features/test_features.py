"""The engine: every distinct clip once, whatever batch or shard it is in."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets_on_disk import make_dataset
from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.backbones import build
from vcp_core.benchmarks import load_benchmark
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.errors import NonFiniteFeatures, StorageError, UndecodableVideo
from vcp_core.catalog.files import sha256_of
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import FeatureBank, ShardFeatures, _Index
from vcp_core.features.extraction import extract, iter_batches
from vcp_core.features.reading import Counters, Reading, geometry_of
from vcp_core.features.shards import Clip, cut_shards
from vcp_core.video.examine import examine

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SPEC = BACKBONES["r3d_tiny"]
QUICK = PROTOCOLS["quick-v1"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=(100, 12, 40, 130))


def wanted(video: Video, protocol: Protocol = QUICK) -> Iterator[Clip]:
    for name in BENCHMARKS:
        yield from load_benchmark(name).clips(video, protocol, SPEC)


def features_of(dataset: Dataset, clips: list[Clip], **options: int) -> dict[Clip, np.ndarray]:
    by_video = {video.id: video for video in dataset.videos}
    shards = cut_shards(
        [by_video[video_id] for video_id in {clip.video_id for clip in clips}],
        lambda video: [clip for clip in clips if clip.video_id == video.id],
        **options,
    )
    found = {}
    for done in extract(build("r3d_tiny", seed=0), dataset, shards, device=CPU):
        for clip, row in zip(done.clips, done.stages["conv5"], strict=True):
            found[clip] = row
    return found


def test_all_benchmarks_together_decode_no_frame_and_forward_no_clip_twice(dataset: Dataset) -> None:
    shards = cut_shards(dataset.videos, wanted)
    network = build("r3d_tiny", seed=0)
    rows_forwarded = []
    counters = Counters()
    clips = [
        clip
        for done in extract(
            network, dataset, shards, device=CPU, counters=counters, on_clips=rows_forwarded.append
        )
        for clip in done.clips
    ]
    asked = [clip for video in dataset.videos for clip in wanted(video)]
    assert len(clips) == len(set(clips)), "a clip was forwarded twice"
    assert set(clips) == set(asked)
    assert len(asked) > len(clips), "benchmarks share no clip here, so this test shows nothing"
    assert counters.forwarded_clips == sum(rows_forwarded) == len(clips)
    assert counters.decoded_frames <= sum(video.num_frames for video in dataset.videos)


def test_no_video_is_in_two_shards_and_shards_stay_small(dataset: Dataset) -> None:
    shards = cut_shards(dataset.videos, wanted, max_clips=12)
    videos = [video.id for shard in shards for video, _ in shard.videos]
    assert len(shards) > 1
    assert len(videos) == len(set(videos)) == len(dataset.videos)
    assert all(shard.num_clips <= 12 for shard in shards)


def test_a_clips_feature_is_the_same_to_the_last_bit_in_any_batch_and_shard(dataset: Dataset) -> None:
    clips = sorted({clip for video in dataset.videos for clip in wanted(video)})
    together = features_of(dataset, clips)
    cut_up = features_of(dataset, clips, max_clips=11)
    alone = features_of(dataset, clips[3:4])
    assert all(np.array_equal(together[clip], cut_up[clip]) for clip in clips)
    assert np.array_equal(alone[clips[3]], together[clips[3]])


def test_features_are_those_of_the_clip_decoded_by_hand(dataset: Dataset) -> None:
    from vcp_core.video.decode import iter_frames
    from vcp_core.video.frames import frame_to_rgb
    from vcp_core.video.operations import apply_option

    video = max(dataset.videos, key=lambda video: video.num_frames)
    frames = np.stack([frame_to_rgb(frame, geometry_of(SPEC)) for frame in iter_frames(dataset.path(video))])
    clip = Clip(video.id, 7, "rotation", "90")
    pixels = torch.from_numpy(frames[7:23]).permute(3, 0, 1, 2)
    expected = build("r3d_tiny", seed=0).features(apply_option(pixels, "rotation", "90")[None])
    found = features_of(dataset, [clip])[clip]
    np.testing.assert_allclose(found, expected[0].detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_video_shorter_than_a_clip_is_looped(dataset: Dataset) -> None:
    video = min(dataset.videos, key=lambda video: video.num_frames)
    assert video.num_frames < 16
    first = Clip(video.id, 0)
    one_round_later = Clip(video.id, video.num_frames)
    found = features_of(dataset, [first, one_round_later])
    assert np.array_equal(found[first], found[one_round_later])


def test_a_video_that_changed_since_it_was_indexed_is_named(dataset: Dataset) -> None:
    video = dataset.videos[0]
    longer = Video(**{**video.__dict__, "num_frames": video.num_frames + 50})
    shards = cut_shards([longer], lambda v: [Clip(v.id, v.num_frames - 16)])
    with pytest.raises(UndecodableVideo, match="changed") as error:
        list(extract(build("r3d_tiny", seed=0), dataset, shards, device=CPU))
    assert video.id in str(error.value)


def test_no_feature_comes_from_other_bytes_than_those_that_were_indexed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, lengths=(40,))
    video = dataset.videos[0]
    write_video(dataset.path(video), video.num_frames, seed=99)  # as many frames, and another picture
    shards = cut_shards([video], lambda v: [Clip(v.id, 0)])
    with pytest.raises(UndecodableVideo, match="changed after the dataset was indexed") as error:
        list(extract(build("r3d_tiny", seed=0), dataset, shards, device=CPU))
    assert video.id in str(error.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_that_gives_nan_is_refused_with_the_stage_and_the_number_of_clips(
    dataset: Dataset, precision: str
) -> None:
    network = build("r3d_tiny", seed=0)
    for parameter in network.conv3.parameters():  # finite, and too much for float32 two layers on
        parameter.data *= 1e30
    shards = cut_shards(dataset.videos[:1], lambda video: [Clip(video.id, 0), Clip(video.id, 3)])
    with pytest.raises(
        NonFiniteFeatures, match="after conv3 for 2 of 2 clips, the first from frame 0"
    ) as error:
        list(extract(network, dataset, shards, device=CPU, precision=precision))
    assert dataset.videos[0].id in str(error.value)


def test_a_bank_gives_rows_in_the_order_they_are_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    expected = {}
    for number in range(3):
        clips = tuple(Clip(f"{number}.avi", start) for start in range(5))
        rows = rng.random((5, 4), dtype=np.float32)
        ShardFeatures(clips=clips, stages={"last": rows}).save(tmp_path / f"{number}.safetensors")
        expected.update(zip(clips, rows, strict=True))
    bank = FeatureBank(tmp_path.iterdir())
    asked = [list(expected)[i] for i in rng.permutation(15)] * 2
    assert len(bank) == 15
    np.testing.assert_array_equal(bank.rows(asked, "last"), np.stack([expected[clip] for clip in asked]))


def test_a_bank_tells_every_clip_from_every_other_and_has_no_row_of_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    variants = [("original", ""), ("rotation", "90"), ("rotation", "180"), ("adjacent", "0-1")]
    clips = [
        Clip(f"v{video}", start, *variant)
        for video in range(40)
        for start in (0, 1, 25, 1 << 24)
        for variant in variants
    ]
    for number, indices in enumerate(np.array_split(rng.permutation(len(clips)), 7)):
        rows = indices[:, None].astype(np.float32)
        ShardFeatures(clips=tuple(clips[i] for i in indices), stages={"last": rows}).save(
            tmp_path / f"{number}.safetensors"
        )
    bank = FeatureBank(tmp_path.iterdir())
    assert bank.rows(clips, "last")[:, 0].tolist() == list(range(len(clips)))
    for strange in (
        Clip("v40", 0),
        Clip("v0", 2),
        Clip("v39", 0, "rotation", "270"),
        Clip("v0", (1 << 24) + 1),
    ):
        with pytest.raises(KeyError):
            bank.rows([clips[3], strange], "last")
    with pytest.raises(KeyError):
        FeatureBank([]).rows(clips[:1], "last")


def test_the_index_of_a_bank_takes_a_tenth_of_what_a_dictionary_of_clips_takes() -> None:
    def shards() -> Iterator[list[Clip]]:
        for number in range(200):
            yield [Clip(f"{number:04d}-{i // 10}.mp4", i % 10) for i in range(500)]

    def bytes_of(make: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            kept = make()
            return tracemalloc.get_traced_memory()[0]
        finally:
            del kept
            tracemalloc.stop()

    compact, plain = (
        bytes_of(lambda: _Index(shards())),
        bytes_of(
            lambda: {clip: (n, row) for n, clips in enumerate(shards()) for row, clip in enumerate(clips)}
        ),
    )
    print(f"{compact / 1e5:.0f} and {plain / 1e5:.0f} bytes a clip")
    assert compact < plain / 8


def test_a_full_disk_is_said_and_leaves_nothing_behind() -> None:
    features = ShardFeatures(clips=(Clip("a", 0),), stages={"last": np.zeros((1, 4), np.float32)})
    with pytest.raises(StorageError, match="cannot be written"):
        features.save(Path("/dev/full/features.safetensors"))


@needs_shared
def test_all_eight_real_files_give_finite_distinct_features() -> None:
    names = [path for path in sorted((SHARED / "videos").iterdir()) if path.suffix != ".md"]
    videos = tuple(
        Video(
            id=p.name,
            label="c",
            split="train",
            group=None,
            sha256=sha256_of(p),
            num_frames=examine(p).num_frames,
        )
        for p in names
    )
    real = Dataset(name="real", split_name="1", root=SHARED / "videos", videos=videos)
    found = features_of(real, [Clip(video.id, 0) for video in videos])
    rows = np.stack(list(found.values()))
    assert rows.shape == (8, SPEC.feature_dim)
    assert np.isfinite(rows).all()
    assert len({row.tobytes() for row in rows}) == 8


def test_a_clip_with_a_stride_has_every_so_many_frames_of_the_longer_one(dataset: Dataset) -> None:
    dense = dataclasses.replace(SPEC, clip_shape=(3, 15, *SPEC.clip_shape[2:]))
    strided = dataclasses.replace(SPEC, clip_shape=(3, 8, *SPEC.clip_shape[2:]), stride=2)
    assert strided.clip_span == dense.clip_span == 15
    # One of the videos has 12 frames, so that its clip is looped.
    shards = cut_shards(dataset.videos, lambda video: [Clip(video.id, 0)])
    batches = (
        next(
            iter_batches(
                dataset,
                shards,
                spec,
                batch_clips=len(dataset.videos),
                reading=Reading(threads=1, videos=1, in_turns=True),
                counters=Counters(),
            )
        )
        for spec in (dense, strided)
    )
    all_BCTHW, some_BCTHW = (batch.pixels_BCTHW for batch in batches)
    assert torch.equal(some_BCTHW, all_BCTHW[:, :, ::2])
    grid = load_benchmark("recognition").clips
    for video in dataset.videos:
        assert grid(video, QUICK, strided) == grid(video, QUICK, dense)

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets import playground
from vcp_core.datasets.checks import check_sides
from vcp_core.datasets.manifest import ListedVideo
from vcp_core.datasets.playground.actions import ACTIONS, draw_path
from vcp_core.datasets.playground.chance import Chance
from vcp_core.datasets.playground.make import RECIPE, make, plan_videos, read_manifest, render
from vcp_core.datasets.playground.scene import draw_appearance
from vcp_core.video.decode import iter_frames
from vcp_core.video.examine import examine
from vcp_core.video.frames import Geometry, frame_to_rgb

pytestmark = pytest.mark.slow


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "groups"),
    [("playground", 14), ("playground-64", 6), ("playground-136", 47), ("playground-344", 50)],
)
def test_the_plan_has_the_catalogued_sizes_and_balanced_classes(name: str, groups: int) -> None:
    ((num_train, num_test),) = DATASETS[name].splits.values()
    each = playground.PER_TEST_GROUP.get(name, 4)
    planned = plan_videos(num_train=num_train, num_test=num_test, per_test_group=each)
    for split, num in (("train", num_train), ("test", num_test)):
        own = [video for video in planned if video.split == split]
        assert Counter(video.action for video in own) == dict.fromkeys(ACTIONS, num // 8)
        sizes = Counter(video.group for video in own).values()
        if split == "train" or each == 4:
            assert set(sizes) == {4}
        else:
            assert len(sizes) == groups
    as_listed = [ListedVideo(id=v.id, label=v.action, split=v.split, group=v.group_name) for v in planned]
    check_sides(as_listed)
    assert all(96 <= video.num_frames <= 160 for video in planned)


def test_a_smaller_playground_is_a_part_of_a_larger_one() -> None:
    assert set(plan_videos(num_train=40, num_test=24)) < set(plan_videos()) < set(plan_videos(num_test=200))
    assert set(plan_videos(num_train=40, num_test=96, per_test_group=2)) < set(plan_videos(num_test=200))


def test_another_seed_is_another_playground() -> None:
    assert plan_videos(seed=1) != plan_videos(seed=0)


@pytest.mark.parametrize("num_train", [0, -8, 12, 152])
def test_unbalanced_or_impossible_sizes_are_refused(num_train: int) -> None:
    with pytest.raises(DatasetError, match=f"not {num_train}"):
        plan_videos(num_train=num_train, num_test=8)


@pytest.mark.parametrize(("per_test_group", "most"), [(2, 100), (1, 50)])
def test_more_test_videos_than_the_groups_have_are_refused(per_test_group: int, most: int) -> None:
    with pytest.raises(DatasetError, match=f"up to {most} videos, not 104"):
        plan_videos(num_test=104, per_test_group=per_test_group)


@pytest.mark.parametrize("number", [0, 3, 8])
def test_a_number_of_videos_that_no_test_group_can_give_is_refused(number: int) -> None:
    with pytest.raises(DatasetError, match=f"1, 2 or 4 videos, not {number}"):
        plan_videos(per_test_group=number)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("playground")
    make(folder, num_train=8, num_test=8)
    return folder


def test_a_made_playground_has_the_frames_and_bytes_that_its_manifest_says(small: Path) -> None:
    videos = read_manifest(small / "playground-16.json")
    assert videos is not None
    assert len(videos) == 16
    for video in videos:
        assert examine(small / video.id).num_frames == video.num_frames
        assert digest(small / video.id) == video.sha256


def test_the_same_seed_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    for video in plan_videos(num_train=8, num_test=8)[:4]:
        render(video, tmp_path / "again.mp4")
        assert digest(tmp_path / "again.mp4") == digest(small / video.id)


def test_an_interrupted_making_goes_on_where_it_stopped(tmp_path: Path, small: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, num_train=8, num_test=8, progress=interrupt)
    assert not list(tmp_path.glob("playground-*.json"))
    assert not list(tmp_path.rglob("*.part*"))
    calls: list[int] = []
    manifest = make(tmp_path, num_train=8, num_test=8, progress=lambda done, total: calls.append(done))
    assert 2 <= calls[0] <= 4
    assert calls[-1] == 16
    assert manifest.read_bytes() == (small / manifest.name).read_bytes()


def test_a_folder_of_another_seed_is_not_mixed_in(small: Path) -> None:
    with pytest.raises(DatasetError, match="Choose another folder"):
        make(small, num_train=8, num_test=8, seed=1)


def test_a_changed_file_is_noticed_and_a_missing_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"12")
    row = {"id": "a.mp4", "label": "a", "split": "train", "group": "g", "sha256": "", "num_frames": 9}
    manifest = tmp_path / "playground-16.json"
    manifest.write_text(json.dumps({"recipe": RECIPE, "seed": 0, "videos": [{**row, "num_bytes": 3}]}))
    with pytest.raises(DatasetError, match="not what was made here"):
        read_manifest(manifest)
    (tmp_path / "a.mp4").unlink()
    assert read_manifest(manifest) is None
    assert read_manifest(manifest, seed=1) is None


def test_loading_by_manifest_decodes_nothing(tmp_path: Path) -> None:
    """The manifest is believed: files of the right size that hold no video load as well."""
    rows = []
    for video in plan_videos(num_train=40, num_test=24):
        (tmp_path / video.id).parent.mkdir(exist_ok=True)
        (tmp_path / video.id).write_bytes(video.id.encode())
        rows.append(
            {
                "id": video.id,
                "label": video.action,
                "split": video.split,
                "group": video.group_name,
                "sha256": hashlib.sha256(video.id.encode()).hexdigest(),
                "num_frames": video.num_frames,
                "num_bytes": len(video.id),
            }
        )
    (tmp_path / "playground-64.json").write_text(json.dumps({"recipe": RECIPE, "seed": 0, "videos": rows}))
    dataset = playground.load("playground-64", folder=tmp_path)
    assert (len(dataset.side("train")), len(dataset.side("test"))) == (40, 24)
    assert dataset.licence == "CC0 1.0"
    assert not dataset.warnings


@pytest.mark.parametrize("action", ACTIONS)
def test_every_path_moves_all_the_time_inside_what_the_centre_crop_shows(action: str) -> None:
    radius = 22
    for number in range(200):
        path = draw_path(action, 96 + number % 65, Chance("test", action, number))
        assert np.abs(path.x_T).max() + radius <= 108  # the crop shows columns 56 to 266 of 320
        assert path.height_T.min() >= 0
        assert 186 - path.height_T.max() - 2 * radius >= 15  # and rows 15 to 225 of 240
        speed = np.hypot(np.diff(path.x_T), np.diff(path.height_T))
        assert 0.9 <= speed.mean() <= 12.5


@pytest.mark.parametrize("action", ACTIONS)
def test_a_path_does_not_return_to_where_it_was(action: str) -> None:
    """The clip that `remote` puts in lies 40 frames away or more: it must look out of place."""
    for number in range(50):
        path = draw_path(action, 128, Chance("test", action, number))
        place = np.stack([path.x_T, path.height_T], axis=-1)
        clips = np.stack([place[start : start + 16] for start in range(0, 112, 4)])
        apart = np.abs(clips[:, None] - clips[None]).max(axis=(2, 3))
        far = np.abs(np.subtract.outer(np.arange(28), np.arange(28))) * 4 >= 40
        assert apart[far].min() > 6  # pixels


def test_a_scene_has_an_up() -> None:
    """Sky and ground differ: a frame turned upside down is another picture."""
    for group in range(10):
        image = draw_appearance(Chance("test", group)).background.astype(float)
        assert np.abs(image[:100].mean((0, 1)) - image[160:].mean((0, 1))).max() > 8


def test_the_body_is_seen_to_move_in_the_frames_that_a_network_gets(small: Path) -> None:
    path = next((small / "zigzag").iterdir())
    decoded = itertools.islice(iter_frames(path), 40)
    frames = [frame_to_rgb(frame, Geometry()).astype(float) for frame in decoded]
    pairs = zip(frames, frames[4:], strict=False)
    changed = [np.abs(after - before).max(axis=-1) > 30 for before, after in pairs]
    assert min(mask.sum() for mask in changed) > 20  # pixels of 112 x 112

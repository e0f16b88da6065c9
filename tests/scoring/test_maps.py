"""Maps: the same numbers each time, neighbours together, and two of them alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.neighbors import NearestNeighbors

from tests import mapped
from vcp_core.datasets.manifest import Dataset
from vcp_core.features.bank import FeatureBank
from vcp_core.scoring import maps
from vcp_core.scoring.maps import SIDE, VideoMap, map_of, positions, turned

pytestmark = pytest.mark.slow
CLASSES, PER_CLASS = 8, 40
MAKE = (
    "from tests.scoring.test_maps import clumps; from vcp_core.scoring.maps import positions; "
    "print(positions(clumps(1)).tolist())"
)


def clumps(seed: int) -> npt.NDArray[np.float32]:
    """Features of a clump for each class; two seeds see the same clumps from another side."""
    centres = np.random.default_rng(0).normal(size=(CLASSES, 16)).repeat(PER_CLASS, axis=0)
    rng = np.random.default_rng(seed)
    seen = centres + 0.4 * rng.normal(size=centres.shape)
    return np.asarray(np.maximum(seen @ rng.normal(size=(16, 48)), 0), np.float32)


def centres(positions_N2: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    means: npt.NDArray[np.floating] = positions_N2.reshape(CLASSES, PER_CLASS, 2).mean(axis=1)
    return means - means.mean(axis=0)


def test_the_same_features_give_the_same_map_whatever_the_number_of_threads() -> None:
    made = positions(clumps(1)).tolist()
    for threads in ("1", "2"):
        variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        again = subprocess.run(
            [sys.executable, "-c", MAKE],
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert again.stdout.strip() == str(made)


def test_videos_that_are_alike_lie_together() -> None:
    placed_N2 = positions(clumps(1))
    nearest = NearestNeighbors(n_neighbors=6).fit(placed_N2).kneighbors(placed_N2, return_distance=False)
    same = nearest[:, 1:] // PER_CLASS == nearest[:, :1] // PER_CLASS
    assert same.mean() > 0.95
    assert (placed_N2.min(), placed_N2.max()) == (0, SIDE)


def test_the_second_map_has_its_classes_where_the_first_has_them() -> None:
    first_N2 = positions(clumps(1)).astype(float)
    begun_N2 = positions(clumps(2), begin_N2=first_N2).astype(float)
    own_N2 = turned(positions(clumps(2)).astype(float), first_N2)
    apart = [np.linalg.norm(centres(one) - centres(first_N2), axis=1).mean() for one in (begun_N2, own_N2)]
    assert apart[0] < 0.5 * apart[1]


@pytest.mark.parametrize("num_videos", [1, 2, 4, 5, 9])
def test_few_videos_have_a_map_too(num_videos: int) -> None:
    placed_N2 = positions(np.eye(num_videos, 3, dtype=np.float32))
    assert placed_N2.shape == (num_videos, 2)
    assert ((placed_N2 >= 0) & (placed_N2 <= SIDE)).all()


def test_a_collapsed_network_has_a_map_too() -> None:
    for value in (0.0, 1.0):
        placed_N2 = positions(np.full((40, 8), value, np.float32))
        assert ((placed_N2 >= 0) & (placed_N2 <= SIDE)).all()


def test_more_videos_than_a_map_holds_are_left_out_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MOST_VIDEOS", 30)
    dataset = mapped.videos(60)
    found = made(dataset, tmp_path)
    assert (len(found.videos), found.num_left_out) == (30, 30)
    assert {found.labels.count(number) for number in range(5)} == {6}


def made(dataset: Dataset, tmp_path: Path, *, answered: bool = True) -> VideoMap:
    path = tmp_path / "features.safetensors"
    mapped.features(dataset, 0).save(path)
    said = {"recognition": mapped.recognised(dataset, 0)} if answered else {}
    return map_of(FeatureBank([path]), dataset, mapped.QUICK, mapped.TINY, said)


def test_a_map_says_what_was_answered_for_each_video(tmp_path: Path) -> None:
    dataset = mapped.videos(30)
    found = made(dataset, tmp_path)
    predictions = mapped.recognised(dataset, 0)
    for place, video in enumerate(found.videos):
        row = predictions.column("video").index(video)
        answer = predictions.column("linear")[row][0]
        assert found.classes[found.labels[place]] == predictions.column("label")[row]
        assert found.answers[place] == found.classes.index(answer)
        assert found.right[place] == (answer == predictions.column("label")[row])
        assert found.groups[place] == predictions.column("group")[row]
    assert found.answered_by == "recognition"
    assert VideoMap.model_validate_json(found.model_dump_json()) == found


def test_without_answers_there_is_a_map_without_answers(tmp_path: Path) -> None:
    found = made(mapped.videos(30), tmp_path, answered=False)
    assert (found.answered_by, set(found.answers), set(found.right)) == (None, {None}, {None})

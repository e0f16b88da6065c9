"""Strips of frames of the videos behind a result."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vcp_core
from tests.datasets_on_disk import make_dataset
from tests.web.read import read
from vcp_core.catalog.errors import InputError, NotAvailable, UnknownName
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.datasets import Dataset
from vcp_core.evaluation.gallery import HEIGHT, strip
from vcp_core.results.answers import answers
from vcp_core.results.types import Predictions, Results
from vcp_core.video.decode import iter_frames

pytestmark = pytest.mark.slow

LIGHT = Protocol.model_validate(
    {**load_protocol("quick-v1").model_dump(), "name": "light", "grid": {"num_clips": 1}}
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("videos"), lengths=(40, 100), per_class=(2, 3))


@pytest.fixture(scope="module")
def results(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Results:
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(vcp_core.build("r3d_tiny", seed=5).state_dict(), path)
    return vcp_core.evaluate(path, dataset, LIGHT, device="cpu", controls=False)


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def test_a_strip_shows_frames_from_the_first_to_the_last(dataset: Dataset) -> None:
    video = dataset.videos[0]
    shown = pixels(strip(dataset, video.id, num_frames=3).jpeg)
    frames = [frame.to_ndarray(format="rgb24") for frame in iter_frames(dataset.path(video))]
    width = shown.shape[1] // 3
    assert shown.shape[0] == HEIGHT
    assert width / HEIGHT == pytest.approx(frames[0].shape[1] / frames[0].shape[0], rel=0.05)
    for place, frame in enumerate((frames[0], frames[round((len(frames) - 1) / 2)], frames[-1])):
        part = shown[:, place * width : (place + 1) * width]
        assert np.abs(part.mean(axis=(0, 1)) - frame.mean(axis=(0, 1))).max() < 6  # JPEG is not exact


def test_a_video_with_fewer_frames_than_the_strip_repeats_some(dataset: Dataset) -> None:
    video = dataset.videos[0]
    assert strip(dataset, video.id, num_frames=2 * video.num_frames).num_frames == 2 * video.num_frames


def test_wrong_and_right_answers_are_all_answers(results: Results, dataset: Dataset) -> None:
    predictions = results.benchmark("recognition").predictions
    assert predictions is not None
    shown = {
        wrong: [one.answer.video for one in vcp_core.gallery(results, dataset, wrong=wrong).rows]
        for wrong in (True, False)
    }
    truth = {one.video: one.right for one in answers(predictions, {})}
    assert shown == {
        wrong: [video for video, right in truth.items() if right is not wrong] for wrong in shown
    }
    assert len(shown[True]) + len(shown[False]) == 6
    share = 100 * len(shown[False]) / 6
    assert share == pytest.approx(results.score("recognition.top1").value)


@pytest.mark.parametrize("benchmark", ["recognition", "retrieval"])
def test_a_notebook_shows_a_picture_for_each_answer_and_escapes_names(
    results: Results, dataset: Dataset, benchmark: str
) -> None:
    found = vcp_core.gallery(results, dataset, benchmark, wrong=False, most=2)
    first = found.rows[0]
    hostile = replace(first, answer=replace(first.answer, label="<script>alert(1)</script>"))
    shown = replace(found, rows=(hostile, *found.rows[1:]))._repr_html_()
    tree = read(shown)
    assert "<script>alert(1)</script>" in tree.text
    assert list(tree.all("script")) == []
    pictures = [image.attributes["src"] for image in tree.all("img")]
    assert len(pictures) == len(found) * (2 if benchmark == "retrieval" else 1)
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert first.answer.video in repr(found)


def all_wrong(results: Results, dataset: Dataset, num_answers: int) -> Results:
    """The same results with other answers of recognition: all wrong, about the test videos in turn."""
    rows = [one for one, _ in zip(itertools.cycle(dataset.side("test")), range(num_answers), strict=False)]
    predictions = Predictions(
        benchmark="recognition",
        answers=dataset.classes,
        columns={
            "video": [one.id for one in rows],
            "group": [None] * num_answers,
            "label": [one.label for one in rows],
            "linear": [[name for name in dataset.classes if name != one.label] for one in rows],
        },
    )
    only = results.benchmark("recognition").model_copy(update={"predictions": predictions})
    return results.model_copy(update={"benchmarks": (only,)})


@pytest.mark.parametrize(
    ("most", "places"), [(1, [0]), (3, [0, 3, 6]), (9, [*range(9)]), (10, [*range(10)])], ids=str
)
def test_a_gallery_of_some_takes_them_from_everywhere(
    results: Results, dataset: Dataset, most: int, places: list[int]
) -> None:
    found = all_wrong(results, dataset, 10)
    every = vcp_core.gallery(found, dataset, num_frames=1)
    some = vcp_core.gallery(found, dataset, most=most, num_frames=1)
    assert len(every) == 10
    assert [one.answer for one in some.rows] == [every.rows[place].answer for place in places]
    assert some.title.endswith(f"; {most} of them:") == (most < 10)


def test_retrieval_shows_the_nearest_training_video(results: Results, dataset: Dataset) -> None:
    labels = {video.id: video.label for video in dataset.videos}
    rows = [
        row
        for wrong in (True, False)
        for row in vcp_core.gallery(results, dataset, "retrieval", wrong=wrong, num_frames=2).rows
    ]
    assert {row.answer.video for row in rows} == {video.id for video in dataset.side("test")}
    for row in rows:
        nearest = row.answer.neighbour
        assert nearest in {video.id for video in dataset.side("train")}
        assert row.answer.right == (labels[nearest] == row.answer.label)
        assert row.strip == strip(dataset, row.answer.video, num_frames=2)
        assert row.neighbour == strip(dataset, nearest, num_frames=2)


def test_other_videos_and_benchmarks_are_refused(results: Results, dataset: Dataset, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", per_class=(2, 1))
    with pytest.raises(InputError, match="stand on other videos than tiny"):
        vcp_core.gallery(results, other)
    with pytest.raises(UnknownName, match="recogntion"):
        vcp_core.gallery(results, dataset, "recogntion")
    with pytest.raises(NotAvailable, match="cloze does not answer the class of a video"):
        vcp_core.gallery(results, dataset, "cloze")
    with pytest.raises(InputError, match="most=0"):
        vcp_core.gallery(results, dataset, most=0)

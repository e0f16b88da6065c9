"""Strips of frames of the videos behind a result."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vcp_core
from tests.datasets_on_disk import make_dataset
from vcp_core.catalog.errors import InputError, NotAvailable, UnknownName
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.datasets import Dataset
from vcp_core.evaluation.gallery import HEIGHT, strip
from vcp_core.results.answers import answers
from vcp_core.results.types import Results
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
    assert "<script>" not in shown
    tree = ET.fromstring(shown.replace("<br>", "<br/>").replace('">', '"/>').replace("/><b>", "><b>"))
    pictures = [image.get("src", "") for image in tree.iter("img")]
    assert len(pictures) == len(found) * (2 if benchmark == "retrieval" else 1)
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert first.answer.video in repr(found)


def test_a_gallery_of_some_takes_them_from_everywhere(results: Results, dataset: Dataset) -> None:
    every = vcp_core.gallery(results, dataset, wrong=False) or vcp_core.gallery(results, dataset)
    some = vcp_core.gallery(results, dataset, wrong=every.title.endswith("wrong"), most=1)
    assert [one.answer for one in some.rows] == [every.rows[0].answer]
    assert "1 of them" in some.title


def test_retrieval_shows_the_nearest_training_video(results: Results, dataset: Dataset) -> None:
    predictions = results.benchmark("retrieval").predictions
    assert predictions is not None
    labels = {video.id: video.label for video in dataset.videos}
    for one in answers(predictions, labels):
        assert one.neighbour in {video.id for video in dataset.side("train")}
        assert one.right == (labels[one.neighbour or ""] == one.label)


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

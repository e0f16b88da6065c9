"""What the pages of docs/adding say works, step by step, in a copy of the tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.adding.book import Failed, Page, copy_of_the_tree
from tests.datasets_on_disk import make_folder
from tests.videos import write_video
from vcp_core.backbones import build

pytestmark = pytest.mark.long


def prepare(tmp_path: Path, page: str) -> Path:
    """A copy of the tree with what the page's commands ask for: videos, a checkpoint."""
    root = copy_of_the_tree(tmp_path / "tree")
    if page == "operation":  # a tuple without gaps takes 64 frames
        make_folder(root / "clips", per_class=(4, 1), num_frames=64)
    elif page == "dataset":
        write_sports6(root / "archive")
    else:
        make_folder(root / "clips", num_frames=20)
    torch.save(build("r3d_tiny", seed=5).state_dict(), root / "model.pt")
    return root


def write_sports6(root: Path) -> None:
    """An archive of the dataset that the page makes up."""
    for side, matches in (("train", (0, 1)), ("test", (2,))):
        names = [f"{label}/m{match}_0.mp4" for label in ("golf", "polo") for match in matches]
        for name in names:
            write_video(root / "videos" / name, 20, seed=ord(name[0]) + ord(name[6]))
        (root / f"sports6_{side}1.txt").write_text("\n".join(names))


def results(root: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / name).read_text(encoding="utf-8"))
    return found


def scores(found: dict[str, Any], benchmark: str) -> dict[str, dict[str, Any]]:
    [one] = [one for one in found["benchmarks"] if one["benchmark"] == benchmark]
    return {score["metric"]: score for score in one["scores"]}


def test_an_operation_is_asked_and_trained_with_its_own_label(tmp_path: Path) -> None:
    root = prepare(tmp_path, "operation")
    Page.read("operation").follow(root)
    cloze = scores(results(root, "mirror.json"), "cloze")
    assert cloze["cloze.accuracy"]["chance"] == pytest.approx(100 / 6)
    assert "cloze.recall.mirror" in cloze
    assert {"cloze.recall.mirror.left-right", "cloze.recall.mirror.upside-down"} & set(cloze)
    [epoch] = [json.loads(line) for line in (root / "runs/mirror/log.jsonl").read_text().splitlines()]
    assert list(epoch["held_out"]["accuracy_of"]) == [
        *("original", "rotation", "permutation", "remote", "adjacent", "mirror")
    ]


def test_a_benchmark_is_scored_beside_the_others(tmp_path: Path) -> None:
    root = prepare(tmp_path, "benchmark")
    Page.read("benchmark").follow(root)
    found = results(root, "centroid.json")
    assert [one["benchmark"] for one in found["benchmarks"]] == ["centroid", "recognition"]
    top1 = scores(found, "centroid")["centroid.top1"]
    assert top1["headline"]
    assert top1["chance"] == 50
    assert top1["low"] <= top1["value"] <= top1["high"]
    assert None not in (top1["control"], top1["lift"], top1["pixels"])
    distance = scores(found, "centroid")["centroid.distance"]
    assert (distance["unit"], distance["better"], distance["chance"]) == ("number", "lower", 1)
    assert 0 < distance["value"] < 10, "a ratio, and no percent of it"
    assert distance["low"] < distance["value"] < distance["high"]
    assert distance["lift"] == pytest.approx(distance["value"] - distance["control"])


def test_a_backbone_with_a_block_of_its_own_is_recognised_and_evaluated(tmp_path: Path) -> None:
    root = prepare(tmp_path, "backbone")
    Page.read("backbone").follow(root)
    assert "| `mixer_tiny` | 18,720 |" in (root / "docs/backbones.md").read_text(encoding="utf-8")
    found = results(root, "mixer.json")
    assert found["provenance"]["backbone"] == "mixer_tiny"
    top1 = scores(found, "recognition")["recognition.top1"]
    assert None not in (top1["control"], top1["lift"], top1["pixels"])


def test_a_dataset_is_known_by_its_name_and_by_its_files(tmp_path: Path) -> None:
    root = prepare(tmp_path, "dataset")
    Page.read("dataset").follow(root)
    dataset = results(root, "sports6.json")["provenance"]["dataset"]
    assert (dataset["name"], dataset["split"], dataset["licence"]) == ("sports6", "1", "CC BY 4.0")
    assert dataset["videos"] == {"train": 4, "test": 2}


STEPS = [
    pytest.param(page, number, id=f"{page}, without {step}".replace("/", "|"))
    for page in ("operation", "benchmark", "backbone", "dataset")
    for number, step in enumerate(Page.read(page).steps)
]


@pytest.mark.parametrize(("page", "number"), STEPS)
def test_no_step_of_a_page_can_be_left_out(page: str, number: int, tmp_path: Path) -> None:
    root = prepare(tmp_path, page)
    with pytest.raises(Failed):
        Page.read(page).follow(root, leave_out=number)

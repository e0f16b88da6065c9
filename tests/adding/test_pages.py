"""What the pages of docs/adding say works, step by step, in a copy of the tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adding.book import Failed, Page, copy_of_the_tree
from tests.datasets_on_disk import make_folder

pytestmark = pytest.mark.long


def prepare(tmp_path: Path, page: str) -> Path:
    """A copy of the tree with what the page's commands ask for: videos, a checkpoint."""
    root = copy_of_the_tree(tmp_path / "tree")
    if page == "operation":
        make_folder(root / "clips", per_class=(4, 1), num_frames=64)
    return root


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


STEPS = [
    pytest.param(page, number, id=f"{page}, without {step}".replace("/", "|"))
    for page in ("operation",)
    for number, step in enumerate(Page.read(page).steps)
]


@pytest.mark.parametrize(("page", "number"), STEPS)
def test_no_step_of_a_page_can_be_left_out(page: str, number: int, tmp_path: Path) -> None:
    root = prepare(tmp_path, page)
    with pytest.raises(Failed):
        Page.read(page).follow(root, leave_out=number)

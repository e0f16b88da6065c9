"""Results as data frames, as HTML and as pictures."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from tests.datasets_on_disk import make_dataset
from vcp_core.catalog.errors import InputError, NotAvailable, UnknownName
from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.catalog.protocols import Protocol, load_protocol
from vcp_core.results import notebook
from vcp_core.results.types import Results

pytestmark = pytest.mark.slow

LIGHT = Protocol.model_validate(
    {**load_protocol("quick-v1").model_dump(), "name": "light", "grid": {"num_clips": 1}}
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Of a small network beside random weights, on six videos."""
    root = tmp_path_factory.mktemp("notebook")
    dataset = make_dataset(root / "videos", lengths=(100,), num_classes=2, per_class=(2, 1))
    torch.save(vcp_core.build("r3d_tiny", seed=5).state_dict(), root / "tiny.pt")
    return vcp_core.evaluate(root / "tiny.pt", dataset, LIGHT, device="cpu", controls=True)


def svg(ax: Any) -> list[str]:
    """The words of a picture, as a browser shows them."""
    matplotlib = pytest.importorskip("matplotlib")
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        ax.figure.savefig(out, format="svg")
    return [
        text for element in ET.fromstring(out.getvalue()).iter() if (text := (element.text or "").strip())
    ]


def test_scores_are_a_frame_by_metric_with_the_fields_of_a_score(results: Results) -> None:
    frame = results.to_pandas()
    assert set(frame.index) == {score.metric for one in results.benchmarks for score in one.scores}
    found = results.score("recognition.top1")
    row = frame.loc["recognition.top1"]
    assert (row["value"], row["low"], row["high"], row["benchmark"]) == (
        found.value,
        found.low,
        found.high,
        "recognition",
    )


def test_predictions_of_a_benchmark_are_a_frame_of_their_own(results: Results) -> None:
    frame = results.to_pandas("recognition")
    predictions = results.benchmark("recognition").predictions
    assert predictions is not None
    assert list(frame["video"]) == predictions.column("video")
    with pytest.raises(UnknownName, match="recogntion"):
        results.to_pandas("recogntion")


def test_a_notebook_shows_headline_scores_and_the_diagnosis_escaped(results: Results) -> None:
    about = results.provenance
    hostile = about.model_copy(update={"dataset": {**about.dataset, "name": "<script>alert(1)</script>"}})
    shown = results.model_copy(update={"provenance": hostile})._repr_html_()
    assert "<script>" not in shown
    tree = ET.fromstring(shown)
    metrics = [row.findtext("td") for row in tree.iter("tr") if row.find("td") is not None]
    headline = [score.metric for one in results.benchmarks for score in one.scores if score.headline]
    assert metrics == headline
    assert [item.text for item in tree.iter("li")]


def test_a_profile_shows_every_option_random_weights_and_chance(results: Results) -> None:
    words = svg(results.plot.profile())
    assert {"this checkpoint", "random weights", "chance", "recall, percent"} <= set(words)
    assert set(OPTION_NAMES) <= set(words)


def test_a_confusion_shows_shares_of_each_true_answer(results: Results) -> None:
    words = svg(results.plot.confusion())
    assert {"answered", "true"} <= set(words)
    with pytest.raises(UnknownName, match=r"Known: .*cloze\.confusion"):
        results.plot.confusion("cloze.confusoin")


def test_a_course_needs_steps_and_one_board(results: Results) -> None:
    words = svg(results.plot.course(results, steps=[200, 100]))
    assert {"training step", "recognition.top1", "100", "200"} <= set(words)
    (top1,) = (one for part in results.benchmarks for one in part.scores if one.metric == "recognition.top1")
    assert {f"its random weights: {top1.control:.1f}", f"its chance: {top1.chance:.1f}"} <= set(words)
    with pytest.raises(InputError, match=r"records no training step\. Name the steps"):
        results.plot.course(results)
    with pytest.raises(InputError, match="1 steps for 2 results"):
        results.plot.course(results, steps=[1])
    other = results.provenance.model_copy(update={"protocol_hash": "another"})
    with pytest.raises(InputError, match="same dataset and protocol"):
        results.plot.course(results.model_copy(update={"provenance": other}), steps=[1, 2])


def test_a_picture_is_drawn_into_given_axes(results: Results, tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    left, right = figure.subplots(ncols=2)
    assert results.plot.profile(left) is left
    assert results.plot.confusion(ax=right) is right
    figure.savefig(tmp_path / "both.png")


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(notebook.importlib, "import_module", lacks)
    with pytest.raises(NotAvailable, match=r"pandas is not installed.*vcpbench\[notebook\]"):
        notebook.optional("pandas")

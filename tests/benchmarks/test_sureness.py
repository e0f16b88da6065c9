"""Predictions say how sure each answer is: by probabilities, or by the similarity of the nearest video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.test_benchmarks import noise, score
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.results.types import Predictions, sureness_column
from vcp_core.scoring.comparison import compare

QUICK = PROTOCOLS["quick-v1"]


def predicted(name: str, folder: Path, seed: int = 0) -> Predictions:
    found = score(name, noise(seed), folder).predictions
    assert found is not None
    return found


@pytest.mark.parametrize("method", ["linear", "knn"])
def test_recognition_keeps_the_probabilities_of_its_best_five_answers(method: str, tmp_path: Path) -> None:
    found = predicted("recognition", tmp_path)
    for names, sure in zip(found.column(method), found.column(sureness_column(method)), strict=True):
        assert len(names) == len(sure)
        assert sure == sorted(sure, reverse=True)
        assert 0 < sum(sure) <= 1 + 1e-3
        assert all(value == round(value, 4) for value in sure)


def test_cloze_keeps_the_probability_of_the_answer_for_the_heads_of_the_last_stage(tmp_path: Path) -> None:
    found = predicted("cloze", tmp_path)
    for head in ("relational", "concat"):
        sure = found.column(sureness_column(head))
        assert len(sure) == len(found.column(head))
        assert all(1 / len(found.answers) - 1e-4 <= value <= 1 for value in sure)
    assert not [name for name in found.columns if "@" in name and name.endswith("probability")]


def test_retrieval_keeps_the_similarity_of_the_nearest_video(tmp_path: Path) -> None:
    sure = np.array(predicted("retrieval", tmp_path).column("similarity"))
    assert (abs(sure) <= 1).all()
    assert len(set(sure)) > 1


def test_answers_that_lack_these_columns_are_compared_with_answers_that_have_them(tmp_path: Path) -> None:
    new, other = predicted("recognition", tmp_path), predicted("recognition", tmp_path, 1)
    kept = {name: values for name, values in other.columns.items() if not name.endswith("probability")}
    old = other.model_copy(update={"columns": kept})
    assert compare({"recognition": old}, {"recognition": new}, QUICK) == compare(
        {"recognition": other}, {"recognition": new}, QUICK
    )

"""A change of the numbers that forgets to raise the version would mix what is kept with what is new."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.test_benchmarks import noise, score
from tests.pages import ROOT
from tests.web import played
from vcp_core.benchmarks import load_benchmark
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.versions import FRAMES_VERSION, SCORING_VERSION, engine
from vcp_core.scoring.comparison import compare
from vcp_core.scoring.scores import score_benchmark

QUICK = PROTOCOLS["quick-v1"]
DIGITS = 6  # last digits depend on the machine
# What each version makes of the same answers. Keep the lines of older versions.
NUMBERS = {
    "1": "98a1bc3cab523886",
    "2": "768c4f7b641381e9",
    "3": "768c4f7b641381e9",  # other probes
}


@pytest.mark.parametrize("name", played.answers(1, 0.8))
def test_the_answers_that_are_scored_here_have_all_columns_and_all_metrics(name: str, tmp_path: Path) -> None:
    real, invented = score(name, noise(), tmp_path).predictions, played.answers(1, 0.8)[name]
    assert real is not None
    missing = set(real.columns) - set(invented.columns)
    assert not missing, f"Add these columns of {name} to its answers in tests/web/played.py: {missing}"
    real_names, names = (
        {metric.name for metric in load_benchmark(name).metrics(one)} for one in (real, invented)
    )
    missing = real_names - names
    assert not missing, f"Let the answers of {name} in tests/web/played.py give these metrics, too: {missing}"


def test_other_numbers_are_another_version() -> None:
    first, second, control = played.answers(1, 0.8), played.answers(2, 0.75), played.control()
    found: list[Any] = [one.model_dump() for one in compare(first, second, QUICK)]
    for name in first:
        pixels = second[name]
        result = score_benchmark(
            name, first[name], {"0": control[name]}, pixels=pixels, unavailable=None, protocol=QUICK
        )
        found += [one.model_dump() for one in result.scores]
    digest = hashlib.sha256(repr([_rounded(one) for one in found]).encode()).hexdigest()[:16]
    raised = SCORING_VERSION if SCORING_VERSION not in NUMBERS else str(int(SCORING_VERSION) + 1)
    assert NUMBERS.get(SCORING_VERSION) == digest, (
        f'The same answers give other numbers than before. Set SCORING_VERSION = "{raised}" in '
        "vcp_core/catalog/versions.py, and add this line to NUMBERS in tests/catalog/test_versions.py:\n"
        f'    "{raised}": "{digest}",  # what is new'
    )


def test_the_page_of_protocols_names_the_engine_of_this_version() -> None:
    page = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    named = re.findall(rf"`({re.escape(FRAMES_VERSION)}/[^`]+)`", page)
    assert named == [engine()], f"Put `{engine()}` in docs/protocols.md, where it names the engine."


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0  # no negative zero
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in sorted(value.items()) if isinstance(one, float)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(one) for one in value]
    return value

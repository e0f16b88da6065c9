"""A change of the numbers that forgets to raise the version would mix what is kept with what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.web import played
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.versions import SCORING_VERSION
from vcp_core.scoring.comparison import compare
from vcp_core.scoring.scores import score_benchmark

QUICK = PROTOCOLS["quick-v1"]
DIGITS = 6  # last digits depend on the machine
# What each version makes of the same answers. Keep the lines of older versions.
NUMBERS = {"1": "98a1bc3cab523886", "2": "768c4f7b641381e9", "3": "768c4f7b641381e9"}  # 3: other probes


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
    assert NUMBERS.get(SCORING_VERSION) == digest, (
        "The same answers give other numbers than before. Raise SCORING_VERSION in "
        f"vcp_core/catalog/versions.py, and put its line here: {digest}"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0  # no negative zero
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in sorted(value.items()) if isinstance(one, float)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(one) for one in value]
    return value

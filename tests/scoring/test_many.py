"""Many evaluations in pairs: the numbers of two alone, and Holm's method over the family that is shown."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scoring.test_comparison import QUICK, recognised
from vcp_core.catalog.errors import NotAvailable
from vcp_core.results.types import Predictions
from vcp_core.scoring.comparison import adjusted, compare
from vcp_core.scoring.stored_comparison import compare_and_note
from vcp_core.scoring.stored_many import BLOCK, MOST, MatrixMaker, compare_pairs, pairs_of
from vcp_core.statistics.several import holm

Answers = dict[str, Predictions]


def networks(number: int, num_videos: int = 60) -> list[Answers]:
    rng = np.random.default_rng(number)
    groups: list[str | None] = [f"g{i % 20}" for i in range(num_videos)]
    return [
        {"recognition": recognised(rng.random(num_videos) < 0.2 + 0.5 * i / number, groups)}
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.0001, 0.01, 0.012, 0.5], [0.0004, 0.03, 0.03, 0.5]),
        ([0.5, 0.0001, 0.012, 0.01], [0.5, 0.0004, 0.03, 0.03]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.7], [0.7]),
        ([], []),
    ],
    ids=["steps", "mixed", "any order", "ties", "one", "none"],
)
def test_holm_gives_the_numbers_of_the_textbook(p_values: list[float], expected: list[float]) -> None:
    """As R's p.adjust(p, "holm") and statsmodels' multipletests(p, method="holm") give them."""
    assert holm(p_values) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=60), st.randoms())
@settings(deadline=None)
def test_holm_keeps_the_order_and_lies_between_the_p_value_and_bonferronis(p_values, shuffle) -> None:  # type: ignore[no-untyped-def]
    found = holm(p_values)
    for p, q in zip(p_values, found, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) or q == pytest.approx(p)
    by_p = [q for _, q in sorted(zip(p_values, found, strict=True))]
    assert by_p == sorted(by_p)
    mixed = list(range(len(p_values)))
    shuffle.shuffle(mixed)
    assert holm([p_values[i] for i in mixed]) == [found[i] for i in mixed]


@pytest.mark.parametrize("number", [2, 3, BLOCK, BLOCK + 1, 20, MOST])
def test_every_pair_is_compared_once_and_the_baseline_is_always_the_first(number: int) -> None:
    for baseline in {0, number // 2, number - 1}:
        pairs = pairs_of(number, baseline)
        assert sorted(map(sorted, pairs)) == [list(one) for one in itertools.combinations(range(number), 2)]
        assert all(first == baseline for first, second in pairs if baseline in (first, second))


def test_the_numbers_of_many_are_those_of_two_alone() -> None:
    found = networks(5)
    maker, contents = MatrixMaker(), {}
    for pair, compared in compare_pairs(found.__getitem__, pairs_of(5, 2), QUICK, names=list("abcde")):
        assert compared == compare_and_note(found[pair[0]], found[pair[1]], QUICK)
        maker.add(pair, compared.differences)
        if pair[0] == 2:
            contents[str(pair[1])] = compared.differences
    matrix = next(one for one in maker.matrices if one.metric == "recognition.top1")
    assert {len(one.pairs) for one in maker.matrices} == {10}
    assert matrix.adjusted() == holm([pair.p_value for pair in matrix.pairs])
    for pair in matrix.pairs:
        back = compare(found[pair.second], found[pair.first], QUICK)[0]
        assert back.metric == matrix.metric
        numbers = (back.difference, back.low, back.high, back.p_value)
        assert pair.swapped[2:6] == pytest.approx(numbers, abs=1e-9)
    with_baseline = adjusted(contents)
    top1 = {
        name: next(d for d in many if d.metric == "recognition.top1") for name, many in with_baseline.items()
    }
    assert {one.num_comparisons for one in top1.values()} == {4}
    assert [one.p_adjusted for one in top1.values()] == holm([one.p_value for one in top1.values()])


def test_pairs_that_are_known_are_not_made_again_and_their_answers_are_not_read() -> None:
    found, read = networks(3), []

    def load(place: int) -> Answers:
        read.append(place)
        return found[place]

    known = {pair: compare_and_note(found[pair[0]], found[pair[1]], QUICK) for pair in [(0, 1), (0, 2)]}
    done: list[int] = []
    again = compare_pairs(load, list(known), QUICK, names=list("abc"), known=known, on_units=done.append)
    assert dict(again) == known
    assert (read, done) == ([], [1, 1])


def test_two_blocks_are_in_memory_at_a_time_and_each_is_read_few_times() -> None:
    number = 4 * BLOCK
    found, read = networks(number, num_videos=6), []

    def load(place: int) -> Answers:
        read.append(place)
        return found[place]

    assert len(list(compare_pairs(load, pairs_of(number, 0), QUICK, names=[""] * number))) == len(
        pairs_of(number, 0)
    )
    assert len(read) <= 3 * number, "a block is read anew for each block beside it"


def test_an_error_names_the_two_that_do_not_fit() -> None:
    found = networks(2)
    columns = {name: values[::-1] for name, values in found[1]["recognition"].columns.items()}
    found[1] = {"recognition": found[1]["recognition"].model_copy(update={"columns": columns})}
    with pytest.raises(NotAvailable, match="evaluations x and y: recognition: the two do not have the same"):
        list(compare_pairs(found.__getitem__, [(0, 1)], QUICK, names=["x", "y"]))

"""Videos are decoded beside a network, or in turns with it, in order and in bounded memory."""

from __future__ import annotations

import threading
import weakref

import pytest

from vcp_core.features.reading import MOST_DECODERS, MOST_VIDEOS, Reading


class Result:
    def __init__(self, item: int) -> None:
        self.item = item


@pytest.mark.parametrize("in_turns", [True, False])
def test_results_come_in_the_order_of_the_items(in_turns: bool) -> None:
    reading = Reading(threads=3, videos=4, in_turns=in_turns)
    with reading.results(lambda item: item * item, range(50)) as results:
        assert list(results) == [item * item for item in range(50)]


def test_nothing_decodes_while_the_network_works_in_turns() -> None:
    computed = []
    with Reading(threads=2, videos=4, in_turns=True).results(computed.append, range(10)) as results:
        for number, _ in enumerate(results):
            assert len(computed) == min(10, (number // 4 + 1) * 4)


def test_the_next_videos_are_decoded_while_the_network_works_beside_it() -> None:
    third = threading.Event()
    with Reading(threads=1, videos=4, in_turns=False).results(
        lambda item: third.set() if item == 2 else None, range(10)
    ) as results:
        next(results)
        assert third.wait(60)


@pytest.mark.parametrize("in_turns", [True, False])
def test_a_used_result_is_freed_before_the_next_is_asked_for(in_turns: bool) -> None:
    with Reading(threads=2, videos=4, in_turns=in_turns).results(Result, range(12)) as results:
        for _ in range(12):
            result = next(results)
            freed = weakref.ref(result)
            del result
            assert freed() is None


@pytest.mark.parametrize("in_turns", [True, False])
def test_an_error_ends_the_reading_and_the_threads(in_turns: bool) -> None:
    def refuse(item: int) -> int:
        if item == 5:
            raise ValueError("item 5")
        return item

    before = threading.active_count()
    with (
        pytest.raises(ValueError, match="item 5"),
        Reading(threads=2, videos=4, in_turns=in_turns).results(refuse, range(1000)) as results,
    ):
        list(results)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("num_cores", "network_threads", "expected"),
    [
        (1, 1, Reading(1, 4, in_turns=True)),
        (2, 2, Reading(2, 8, in_turns=True)),
        (64, 64, Reading(MOST_DECODERS, MOST_VIDEOS, in_turns=True)),
        (2, 1, Reading(1, 3, in_turns=False)),
        (1, 0, Reading(1, 3, in_turns=False)),
        (128, 0, Reading(MOST_DECODERS, MOST_DECODERS + 2, in_turns=False)),
    ],
)
def test_decoding_takes_the_cores_that_the_network_leaves(
    num_cores: int, network_threads: int, expected: Reading
) -> None:
    assert Reading.on(num_cores, network_threads=network_threads) == expected

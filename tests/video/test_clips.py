"""Clips: where they start, and that every draw is uniform, seeded and legal."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vcp_core.catalog.options import EXCHANGES, PAPERS_OPTIONS, PERMUTATIONS, ROTATIONS
from vcp_core.video.clips import Draws, TupleShape, draw_tuple, grid_starts

SHAPE = TupleShape()


@given(st.integers(16, 2000), st.integers(1, 20))
def test_grid_clips_lie_inside_the_video(num_frames: int, num_clips: int) -> None:
    starts = grid_starts(num_frames, num_clips)
    assert len(starts) == num_clips
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert starts[-1] + 16 <= num_frames


def test_grid_clips_are_those_of_the_protocol() -> None:
    centres = np.linspace(8, 300 - 8, 10)
    assert grid_starts(300, 10) == [int(centre - 8) for centre in centres]


@pytest.mark.parametrize("num_frames", [1, 5, 15, 16])
def test_a_short_video_starts_all_its_clips_at_zero(num_frames: int) -> None:
    assert grid_starts(num_frames, 3) == [0, 0, 0]


def test_a_video_needs_96_frames_for_all_five_options() -> None:
    assert SHAPE.min_frames == 96
    assert draw_tuple(95, SHAPE, Draws(0)) is None
    assert draw_tuple(96, SHAPE, Draws(0)) is not None


@given(st.integers(96, 400), st.integers(0, 10_000))
def test_every_drawn_tuple_obeys_the_protocol(num_frames: int, seed: int) -> None:
    drawn = draw_tuple(num_frames, SHAPE, Draws(seed))
    assert drawn is not None
    start, r = drawn.starts[0], drawn.remote_start
    assert drawn.starts == (start, start + 24, start + 48)
    assert start >= 0
    assert start + 64 <= num_frames
    assert r >= 0
    assert r + 16 <= num_frames
    assert r + 32 <= start or r >= start + 80
    side, distance = drawn.variants["remote"].split(":")
    assert int(distance) == (start - r - 16 if side == "before" else r - start - 64)
    assert int(distance) >= 16
    assert tuple(drawn.variants) == PAPERS_OPTIONS


@given(st.integers(0, 60), st.integers(0, 30), st.integers(0, 30))
def test_the_least_length_is_the_least_for_any_gaps(extra: int, gap: int, remote_gap: int) -> None:
    shape = TupleShape(gap=gap, remote_gap=remote_gap)
    assert draw_tuple(shape.min_frames - 1, shape, Draws(extra)) is None
    assert draw_tuple(shape.min_frames + extra, shape, Draws(extra)) is not None


def test_the_same_seed_draws_the_same_tuple_and_another_video_another_one() -> None:
    def draw(*key: object) -> object:
        return draw_tuple(200, SHAPE, Draws(*key))

    assert draw(0, "a.avi", 0) == draw(0, "a.avi", 0)
    assert len({str(draw(0, f"{i}.avi", 0)) for i in range(50)}) > 45
    assert draw(0, "a.avi", 0) != draw(0, "a.avi", 1)


def test_draws_are_what_they_were_when_the_protocol_was_published() -> None:
    drawn = draw_tuple(200, SHAPE, Draws(0, "class/video.avi", 0))
    assert drawn is not None
    assert (drawn.starts[0], drawn.remote_start) == (13, 184)
    assert drawn.variants == {
        "original": "",
        "rotation": "90",
        "permutation": "1032",
        "remote": "after:107",
        "adjacent": "0-1",
    }


def test_variants_and_sides_are_uniform() -> None:
    drawn = [draw_tuple(400, SHAPE, Draws(i)) for i in range(4600)]
    variants = [d.variants for d in drawn if d is not None]
    for option, all_of_them in (
        ("rotation", ROTATIONS),
        ("permutation", PERMUTATIONS),
        ("adjacent", EXCHANGES),
    ):
        counts = Counter(v[option] for v in variants)
        assert set(counts) == set(all_of_them)
        expected = len(variants) / len(all_of_them)
        chi2 = sum((n - expected) ** 2 / expected for n in counts.values())
        assert chi2 < len(all_of_them) + 5 * (2 * len(all_of_them)) ** 0.5  # mean + 5 standard deviations
    sides = Counter(v["remote"].split(":")[0] for v in variants)
    assert abs(sides["before"] - sides["after"]) < 0.1 * len(variants)

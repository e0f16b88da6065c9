"""docs/backbones.md says what the catalog says."""

from __future__ import annotations

import pytest

from bench.backbones import BEGIN, PAGE, multiply_adds, table
from bench.pages import END


@pytest.mark.slow
def test_the_page_has_the_table_that_the_command_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table(), "run: python -m bench.backbones --write"


@pytest.mark.parametrize(
    ("name", "gflop", "head"),
    # torchvision's page of weights; its count has the 400-class head: a linear layer, in S3D a convolution
    # over the 1 x 1 x 1 map that is left. It counts clips of 16 frames.
    [("r3d_18", 40.697, 512), ("mc3_18", 43.343, 512), ("r2plus1d_18", 40.519, 512), ("s3d", 17.979, 1024)],
)
def test_multiply_adds_are_those_that_the_source_counts(name: str, gflop: float, head: int) -> None:
    assert (multiply_adds(name, frames=16) + 400 * head) / 1e9 == pytest.approx(gflop, abs=0.001)


@pytest.mark.parametrize(
    ("name", "gflop"),
    # arXiv:2203.12602, table 6: the column GFLOPs, without the numbers of views.
    [("videomae_s", 57), ("videomae_b", 180), ("videomae_l", 597), ("videomae_h", 1192)],
)
def test_products_of_attention_are_counted_as_videomaes_paper_counts_them(name: str, gflop: int) -> None:
    assert multiply_adds(name) / 1e9 == pytest.approx(gflop, rel=0.01)

"""Boards as LaTeX and Markdown, and as a terminal's table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from vcpbench_client.answers import Board, BoardRow, ControlRow, DatasetRef, ProtocolRef, Score
from vcpbench_client.papers import latex, markdown
from vcpbench_client.tables import board

TOP1, TEMPORAL = "recognition.top1", "cloze.temporal"


def score(metric: str, value: float, half: float = 2.0, better: str = "higher") -> Score:
    facts = {"num_videos": 100, "num_units": 100, "units": "video"}
    return Score(metric=metric, value=value, low=value - half, high=value + half, better=better, **facts)


def row(model: str, *scores: Score, rank: int | None = 1, tied: bool = False) -> BoardRow:
    return BoardRow(
        evaluation="0d9c2c0e-1111-4222-8333-444455556666",
        model=model,
        team="a",
        checkpoint="c",
        rank=rank,
        tied=tied,
        backbone="r3d_18",
        step=100,
        scores={one.metric: one for one in scores},
    )


def on_board(*rows: BoardRow, controls: tuple[ControlRow, ...] = ()) -> Board:
    return Board(
        dataset=DatasetRef(name="ucf101", fingerprint="ab" * 32),
        protocol=ProtocolRef(name="standard-v1", hash="cd" * 32),
        sort=f"-{TOP1}",
        total=len(rows),
        rows=rows,
        controls=controls,
    )


RANDOM = ControlRow(evaluation="e" * 36, backbone="r3d_18", seed=0, scores={TOP1: score(TOP1, 20)})
TWO = on_board(
    row("my_model|a", score(TOP1, 80), score(TEMPORAL, 41)),
    row("other", score(TOP1, 70), score(TEMPORAL, 40), rank=2),
    controls=(RANDOM,),
)


def test_markdown_is_bold_only_where_intervals_lie_apart_and_escapes_names() -> None:
    lines = markdown(TWO).splitlines()
    assert lines[0] == "ucf101 (videos abababab), standard-v1 (protocol cdcdcdcd), sorted by recognition.top1"
    assert lines[2:7] == [
        "| rank | model | step | backbone | cloze.temporal | recognition.top1 |",
        "| --: | --- | --: | --- | --: | --: |",
        r"| 1 | my\_model\|a | 100 | r3d\_18 | 41.0 [39.0, 43.0] | **80.0** [78.0, 82.0] |",
        r"| 2 | other | 100 | r3d\_18 | 40.0 [38.0, 42.0] | 70.0 [68.0, 72.0] |",
        r"|  | random weights, seed 0 |  | r3d\_18 |  | 20.0 [18.0, 22.0] |",
    ]


def test_latex_groups_metrics_by_benchmark_and_sets_controls_apart() -> None:
    assert latex(TWO).splitlines()[2:] == [
        r"\begin{tabular}{rlrlrr}",
        r"\toprule",
        r"&  &  &  & \multicolumn{1}{c}{cloze} & \multicolumn{1}{c}{recognition} \\",
        r"\cmidrule(lr){5-5}\cmidrule(lr){6-6}",
        r"rank & model & step & backbone & temporal & top1 \\",
        r"\midrule",
        r"1 & my\_model|a & 100 & r3d\_18 & 41.0 {\scriptsize [39.0, 43.0]} & "
        r"\textbf{80.0} {\scriptsize [78.0, 82.0]} \\",
        r"2 & other & 100 & r3d\_18 & 40.0 {\scriptsize [38.0, 42.0]} & 70.0 {\scriptsize [68.0, 72.0]} \\",
        r"\midrule",
        r" & random weights, seed 0 &  & r3d\_18 &  & 20.0 {\scriptsize [18.0, 22.0]} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("better", "bold"), [("higher", "80.0"), ("lower", "70.0"), ("neither", None)], ids=lambda v: str(v)
)
def test_the_better_direction_decides_what_is_bold(better: str, bold: str | None) -> None:
    rows = [row(str(value), score(TOP1, value, better=better)) for value in (80, 70)]
    text = markdown(on_board(*rows))
    assert ("**" in text.partition("95 %")[0]) == (bold is not None)
    if bold:
        assert f"**{bold}**" in text


def test_one_row_alone_is_not_bold() -> None:
    assert "**" not in markdown(on_board(row("a", score(TOP1, 80))))


@pytest.mark.parametrize("width", [200, 80, 60])
def test_a_terminals_table_fits_and_names_what_it_leaves_out(width: int) -> None:
    metrics = [f"cloze.option{number}" for number in range(12)]
    wide = on_board(row("a", score(TOP1, 80), *(score(metric, 50) for metric in metrics)))
    table, left_out = board(wide, width=width)
    out = io.StringIO()
    Console(file=out, width=1000).print(table)
    assert max(map(len, map(str.rstrip, out.getvalue().splitlines()))) <= width
    assert left_out == metrics[len(metrics) - len(left_out) :]
    assert (width < 200) == bool(left_out)
    assert "80.0 [78.0, 82.0]" in out.getvalue()
    assert board(wide)[1] == []

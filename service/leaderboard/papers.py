"""The board as a table for a paper: the text that `vcpbench leaderboard --format` prints.

The client writes the tables, so that page and command never differ.
"""

from __future__ import annotations

from vcpbench_client import papers
from vcpbench_client.answers import Board, read

from service.leaderboard import schemas


def markdown(found: schemas.Board) -> str:
    """Write a board as a Markdown table."""
    return papers.markdown(_read(found))


def latex(found: schemas.Board) -> str:
    """Write a board as a LaTeX table."""
    return papers.latex(_read(found))


def _read(found: schemas.Board) -> Board:
    """Read a board as the client reads the JSON of one."""
    return read(Board, found.model_dump(mode="json"))

"""Groups of options: one argument of the command, several words of the command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, TypedDict

import typer
from typer.testing import CliRunner
from vcpbench_client.commands.options import option_groups


class Size(TypedDict):
    """Two options."""

    width: Annotated[int, typer.Option(help="In pixels.")]
    height: Annotated[int | None, typer.Option("--tall")]


def printed(*words: str) -> str:
    app = typer.Typer()

    @app.command()
    @option_groups(SimpleNamespace(width=3))
    def show(name: str, *, before: bool = False, size: Size, after: int = 1) -> None:
        print(name, before, size, after)

    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    return found.output


def test_every_option_of_a_group_is_a_word_of_the_command_line() -> None:
    assert printed("x", "--width", "7", "--tall", "9") == "x False {'width': 7, 'height': 9} 1\n"


def test_an_option_of_a_group_has_its_default_from_the_command_or_is_none() -> None:
    assert printed("x", "--before") == "x True {'width': 3, 'height': None} 1\n"


def test_a_groups_options_stand_where_the_group_does() -> None:
    lines = printed("--help")
    assert sorted(("--width", "--before", "--tall", "--after"), key=lines.index) == [
        "--before",
        "--width",
        "--tall",
        "--after",
    ]
    assert "In pixels." in lines

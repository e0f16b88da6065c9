"""The notebook of docs/ runs, and the site shows it with its outputs."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from docsite import notebooks
from docsite.pages import ROOT

MOST_BYTES = 400_000  # of the file, outputs included
CODE = [cell for cell in notebooks.read()["cells"] if cell["cell_type"] == "code"]


def forms(cell: dict[str, Any]) -> list[list[str]]:
    """What a cell shows: the types of its outputs."""
    return [sorted(output.get("data", {"text/plain": ""})) for output in cell["outputs"]]


def html(cell: dict[str, Any]) -> str:
    return "".join(line for output in cell["outputs"] for line in output["data"].get("text/html", ()))


@pytest.mark.long
@pytest.mark.product
def test_the_notebook_runs_and_shows_a_table_a_profile_and_a_gallery() -> None:
    made = [cell for cell in notebooks.run(notebooks.read())["cells"] if cell["cell_type"] == "code"]
    assert [forms(cell) for cell in made] == [forms(cell) for cell in CODE]
    shown = "".join(map(html, made))
    for metric in ("recognition.top1", "retrieval.top1", "cloze.accuracy"):
        assert f"<th>{metric}</th>" in shown  # of the data frame
    assert shown.count("data:image/jpeg;base64,") == "".join(map(html, CODE)).count("data:image/jpeg;base64,")
    assert any("image/png" in form for cell in made for form in forms(cell))


def test_every_cell_of_the_notebook_has_its_outputs_and_they_are_small() -> None:
    assert [cell for cell in CODE if not cell["outputs"]] == []
    assert notebooks.NOTEBOOK.stat().st_size < MOST_BYTES
    shown = "".join(map(html, CODE))
    assert "data:image/jpeg;base64," in shown
    assert str(ROOT) not in notebooks.NOTEBOOK.read_text(encoding="utf-8")


def test_cells_are_plain_python_but_for_ipythons_lines() -> None:
    for cell in CODE:
        ast.parse("".join(line for line in cell["source"] if not line.startswith("%")))


def notebook(*sources: str) -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "metadata": {}, "source": [source], "execution_count": None, "outputs": []}
        for source in sources
    ]
    return {"cells": cells}


def test_cells_share_names_and_show_the_value_of_their_last_line() -> None:
    made = notebooks.run(notebook("%matplotlib inline\nx = 2\nprint('said')", "x += 1", "x"))["cells"]
    assert made[0]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["said\n"]}]
    assert made[1]["outputs"] == []
    assert made[2]["outputs"][0]["data"] == {"text/plain": ["3"]}
    assert [cell["execution_count"] for cell in made] == [1, 2, 3]


def test_an_error_in_a_cell_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        notebooks.run(notebook("1 / 0"))


def test_a_page_has_prose_code_and_outputs() -> None:
    source = notebook("print('said')", "4")
    source = notebooks.run(source)
    source["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": ["# Head\n", "Words."]})
    assert notebooks.markdown(source) == (
        "# Head\nWords.\n\n```python\nprint('said')\n```\n\n```text\nsaid\n```\n\n"
        "```python\n4\n```\n\n```text\n4\n```\n"
    )

"""Notebooks of docs/: run without Jupyter, and turned into pages of the site.

`python -m docsite.notebooks` runs docs/notebook.ipynb and writes its outputs into the file. It needs no
Jupyter: cells are plain Python, and the value of a cell's last line is shown as Jupyter shows it.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path, PurePosixPath
from typing import Any

from docsite.pages import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"
DOTS_PER_INCH = 100
MOST_PLAIN = 2_000  # characters; the text of whole results has 100,000, and the page shows the table instead


def read(path: Path = NOTEBOOK) -> dict[str, Any]:
    """Read a notebook: nbformat 4, as Jupyter writes it."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(notebook: dict[str, Any], path: Path = NOTEBOOK) -> None:
    """Write a notebook as Jupyter does: indented by one space, and with a line's end at the end."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run all code cells in their order, in one namespace, and return the notebook with their outputs."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        count += 1
        outputs = _outputs_of("".join(cell["source"]), names, count)
        cells.append({**cell, "execution_count": count, "outputs": outputs})
    return {**notebook, "cells": cells}


def _outputs_of(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    # Lines such as `%matplotlib inline` are IPython's, and no Python.
    plain = "\n".join("" if line.startswith("%") else line for line in source.splitlines())
    tree = ast.parse(plain, filename=f"cell {count}")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said, value = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        exec(compile(tree, f"cell {count}", "exec"), names)  # noqa: S102 - the tree's own notebook
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)  # noqa: S307
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(said.getvalue())})
    if value is not None:
        result = {"output_type": "execute_result", "execution_count": count, "metadata": {}}
        outputs.append({**result, "data": _shown(value)})
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    """Forms of a value, by type. A figure of matplotlib is a picture, as after `%matplotlib inline`."""
    plain = repr(value)
    plain = plain if len(plain) <= MOST_PLAIN else f"<{type(value).__name__}>"
    data: dict[str, Any] = {"text/plain": _lines(plain)}
    if hasattr(value, "_repr_html_") and (text := value._repr_html_()):
        data["text/html"] = _lines(text)
    elif hasattr(value, "savefig"):
        picture = io.BytesIO()
        value.savefig(picture, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        data["image/png"] = base64.b64encode(picture.getvalue()).decode() + "\n"
        data["text/plain"] = ["<Figure>"]
    return data


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def markdown(notebook: dict[str, Any]) -> str:
    """Write a notebook as a page: prose, code and outputs in their order. Pictures are in the page itself."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"{source}\n")
            continue
        parts.append(_fenced("python", source))
        parts += [_output(output) for output in cell["outputs"]]
    return "\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _fenced("text", "".join(output["text"]))
    data = output["data"]
    if "text/html" in data:
        inside = "".join(data["text/html"])
    elif "image/png" in data:
        picture = "".join(data["image/png"]).strip()
        inside = f'<img src="data:image/png;base64,{picture}" alt="The picture that the code above draws">'
    else:
        return _fenced("text", "".join(data["text/plain"]))
    return _fenced("{raw} html", f'<div class="output">{inside}</div>')


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def is_notebook(page: str) -> bool:
    """Whether a page of the navigation is a notebook.

    >>> is_notebook("docs/notebook.ipynb"), is_notebook("docs/index.md")
    (True, False)
    """
    return PurePosixPath(page).suffix == ".ipynb"


if __name__ == "__main__":
    write(run(read()))

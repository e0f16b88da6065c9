"""Training logs: curves over training steps, as a CSV file.

The first line names the columns. One is `step`, and every other one is a curve:

    step,loss,held_out_loss
    100,1.609,
    200,1.52,1.55

A cell may be empty, where a curve has no value at that step. Everything else must be a finite number.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.validation import quoted

STEP = "step"
MAX_ROWS = 20_000  # 20 points for each pixel of the widest chart
MAX_CURVES = 20
MAX_BYTES = 1 << 20  # 20,000 rows of `step,loss` take about 400 kB
LARGEST = 1e100  # so that charts can add numbers and divide by them. The smallest is 1e-100, or else 0
LONGEST_NAME = 60  # characters of a curve's name
_MOST_STEP = (1 << 53) - 1  # every reader of JSON keeps such a number exactly
_WAY_ON = "Write a header such as step,loss and a line for each step."

Cells = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """Curves over training steps.

    Attributes:
        steps: The steps, ascending.
        curves: By name, a value for each step; None where there is none.
    """

    steps: tuple[int, ...]
    curves: Mapping[str, Cells]


def parse(content: bytes) -> TrainingLog:
    r"""Read a log.

    >>> parse(b"step,loss\n10,1.5\n20,\n").curves
    {'loss': (1.5, None)}
    >>> parse(b"step,loss\n10,1.5\n20,high\n")
    Traceback (most recent call last):
    ...
    vcp_core.catalog.errors.InputError: Line 3 of the log: loss is 'high'. Write a number, or leave ...

    Raises:
        InputError: If it is no such log, or too large. The message names the line.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"The log has more than {MAX_BYTES} bytes. Leave out steps or columns.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Line {1 + content.count(10, 0, error.start)} of the log is no UTF-8 text."
        ) from None
    if "\0" in text:
        raise _wrong(1 + text.count("\n", 0, text.index("\0")), " holds a NUL character.")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    steps: list[int] = []
    values: list[Cells] = []
    try:
        header = [name.strip() for name in next(rows, [])]
        at = _check(header)
        names = header[:at] + header[at + 1 :]
        for cells in rows:
            if not cells:
                continue  # an empty line, such as the last one
            if len(cells) != len(header):
                said = f" has {len(cells)} cells, and the header has {len(header)}."
                raise _wrong(rows.line_num, said)
            if len(steps) == MAX_ROWS:
                raise _wrong(rows.line_num, f": a log has at most {MAX_ROWS} rows. Leave out steps.")
            steps.append(_step(cells[at], rows.line_num, steps[-1] if steps else None))
            others = cells[:at] + cells[at + 1 :]
            values.append(
                tuple(_value(cell, name, rows.line_num) for name, cell in zip(names, others, strict=True))
            )
    except csv.Error as error:
        raise _wrong(rows.line_num, f" is no CSV: {error}.") from None
    if not steps:
        raise InputError(f"The log has no rows. {_WAY_ON}")
    curves = dict(zip(names, zip(*values, strict=True), strict=True))
    empty = [name for name, cells in curves.items() if all(cell is None for cell in cells)]
    if empty:
        raise InputError(f"Column {quoted(empty[0])} of the log has no values. Leave the column out.")
    return TrainingLog(steps=tuple(steps), curves=curves)


def write(rows: Iterable[Mapping[str, float]]) -> str:
    r"""Write a log. A column that only some rows have is empty in the others.

    >>> write([{"step": 10, "loss": 1.5}, {"step": 20, "loss": 1.25, "held_out_loss": 1.5}])
    'step,loss,held_out_loss\n10,1.5,\n20,1.25,1.5\n'
    """
    found = list(rows)
    names = [STEP, *(name for name in dict.fromkeys(name for row in found for name in row) if name != STEP)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _check(header: Sequence[str]) -> int:
    """Return where the column `step` is."""
    if STEP not in header:
        raise _wrong(1, f" names no column {STEP!r}. {_WAY_ON}")
    if len(header) < 2:
        raise _wrong(1, f" names no column beside {STEP!r}. {_WAY_ON}")
    if len(header) - 1 > MAX_CURVES:
        raise _wrong(1, f" names {len(header) - 1} curves, and {MAX_CURVES} are allowed. Leave some out.")
    for name in header:
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise _wrong(
                1, f" has a column {quoted(name)}. A name has 1 to {LONGEST_NAME} printable characters."
            )
        if header.count(name) > 1:
            raise _wrong(1, f" names column {quoted(name)} twice.")
    return header.index(STEP)


def _step(cell: str, line: int, before: int | None) -> int:
    text = cell.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > _MOST_STEP:
        raise _wrong(line, f": step is {quoted(cell)}. Write a whole number from 0 on.")
    if before is not None and int(text) <= before:
        raise _wrong(
            line, f": step {int(text)} comes after step {before}. Steps must ascend, each only once."
        )
    return int(text)


def _value(cell: str, name: str, line: int) -> float | None:
    text = cell.strip()
    if not text:
        return None
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(line, f": {name} is {quoted(cell)}. Write a number, or leave the cell empty.")
    if abs(value) > LARGEST:
        raise _wrong(
            line, f": {name} is {quoted(cell)}. A log takes numbers from -{LARGEST:g} to {LARGEST:g}."
        )
    return value if abs(value) > 1 / LARGEST else 0.0


def _wrong(line: int, said: str) -> InputError:
    return InputError(f"Line {line} of the log{said}")

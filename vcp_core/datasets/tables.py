"""Tables of videos: columns path and label, optionally group and split; commas, semicolons or tabs."""

from __future__ import annotations

import csv
import functools
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from vcp_core.catalog.errors import DatasetError, Private
from vcp_core.catalog.names import OnDisk, one_form
from vcp_core.datasets.sides import SPELLINGS, Side, side_of
from vcp_core.datasets.text import read_text

NAMES = ("groups.csv", "videos.csv", "dataset.csv")  # found without an option; case does not matter
COLUMNS = ("path", "label")
DELIMITERS = (",", ";", "\t", "|")  # Excel writes semicolons in countries with decimal commas


@dataclass(frozen=True, kw_only=True)
class Row:
    """A labelled video.

    Attributes:
        id: Its path relative to the root, with forward slashes.
        label: Name of its class; a number stays text.
        group: What it shares with other videos, if anything.
        side: Its side, if given.
        line: Where the table says so; 0 where no table does.
    """

    id: str
    label: str
    group: str | None
    side: Side | None
    line: int = 0


def find_table(root: Path) -> Path | None:
    """Find the table in a folder; None if there is none.

    Raises:
        DatasetError: If there are several tables, or the folder cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     none = find_table(Path(folder))
    ...     Path(folder, "Videos.CSV").touch()
    ...     none, find_table(Path(folder)).name
    (None, 'Videos.CSV')
    """
    try:
        named = [path for path in root.iterdir() if path.name.lower() in NAMES]
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise DatasetError(f"the folder cannot be read ({reason}).", path=root) from None
    tables = sorted(path for path in named if os.path.isfile(path))
    if len(tables) > 1:
        raise DatasetError(
            root,
            f" holds {' and '.join(table.name for table in tables)}. Say which one to use: --csv FILE.",
        )
    return tables[0] if tables else None


def read_table(path: Path, root: Path) -> list[Row]:
    r"""Read the rows of a table, in its order.

    Args:
        path: The file, from any editor (`read_text`). Case does not matter in the header. Unknown columns are
            ignored.
        root: The folder that paths in the table are relative to. Absolute paths into this folder are allowed.

    Raises:
        DatasetError: If a column or a value is missing, a line has too many values, a path leaves the root,
            is there twice or is no file, or a split names no side. The message names the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.mp4").touch()
    ...     table = Path(folder, "videos.csv")
    ...     _ = table.write_text("Path;Label;Split\na.mp4;wave;validation\n")
    ...     read_table(table, Path(folder))
    [Row(id='a.mp4', label='wave', group=None, side='val', line=2)]
    """
    rows: dict[str, Row] = {}
    below = _finder(root)
    for line, values in _records(path):
        where = f"{path.name}, line {line}"
        row = _row(values, line, where, below)
        if row.id in rows:
            raise DatasetError(f"{where}: {row.id} is already on line {rows[row.id].line}.")
        if not os.path.isfile(root / row.id):
            raise DatasetError(f"{where}: there is no file {row.id} in ", root, ".")
        rows[row.id] = row
    if not rows:
        raise DatasetError(f"{path.name}: no videos are listed.")
    return list(rows.values())


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the values by column of every line that is not blank."""
    text = read_text(path, what="table")
    first, _, rest = text.partition("\n")
    num_skipped = 0
    if first.lower().startswith("sep="):  # Excel reads and writes this line in front of the header
        text, num_skipped = rest, 1
    delimiter = _delimiter(text)
    # `strict`: without it, a quotation mark that is never closed would swallow all rows behind it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(reader, []), f"{path.name}, line {1 + num_skipped}")
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            line = reader.line_num + num_skipped
            while len(fields) > len(columns) and not fields[-1].strip():
                fields.pop()
            if len(fields) != len(columns):
                raise DatasetError(
                    f"{path.name}, line {line}: {len(fields)} values for {len(columns)} columns."
                )
            yield line, dict(zip(columns, map(str.strip, fields), strict=True))
    except csv.Error as error:
        raise DatasetError(f"{path.name}, line {reader.line_num + num_skipped}: {error}.") from None


def _delimiter(text: str) -> str:
    """Find the delimiter that splits the header into the needed columns; a comma if none does."""
    header = text.partition("\n")[0]
    for delimiter in DELIMITERS:
        names = next(csv.reader([header], delimiter=delimiter), [])
        if {name.strip().lower() for name in names} >= set(COLUMNS):
            return delimiter
    return ","


def _columns(header: list[str], where: str) -> list[str]:
    """Check the header, and give the names of its columns in lower case, without empty ones at the end."""
    columns = [name.strip().lower() for name in header]
    while columns and not columns[-1]:
        columns.pop()
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        has = ", ".join(columns) or "nothing"
        raise DatasetError(f"{where}: there is no column {' or '.join(missing)}. The header has {has}.")
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise DatasetError(f"{where}: the column {twice[0]} is there twice.")
    return columns


def _row(values: dict[str, str], line: int, where: str, below: Callable[[str], str | None]) -> Row:
    for column in COLUMNS:
        if not values.get(column):
            raise DatasetError(f"{where}: the {column} is empty.")
    video = below(values["path"])
    if video is None:
        path = Private(values["path"], "a path")
        raise DatasetError(f"{where}: ", path, " lies outside the dataset's folder.")
    split = values.get("split")
    if split is not None and side_of(split) is None:
        words = ", ".join(SPELLINGS)
        raise DatasetError(f"{where}: the split is {split!r}; it must be one of {words}.")
    return Row(
        id=video,
        label=one_form(values["label"]),
        group=one_form(values.get("group", "")) or None,
        side=side_of(split) if split else None,
        line=line,
    )


def _finder(root: Path) -> Callable[[str], str | None]:
    """Make a function that turns a path in a table into the path below the root, or None if outside it."""
    disk = OnDisk(root)

    @functools.cache
    def is_root(folder: PurePosixPath) -> bool:
        try:
            return os.path.samefile(folder, root)
        except OSError:
            return False

    def below(text: str) -> str | None:
        path = PurePosixPath(text.replace("\\", "/"))
        # A path that climbs could leave the root, and one file would have several ids.
        if ".." in path.parts:
            return None
        if PureWindowsPath(text).drive:
            return _of_windows(PurePosixPath(path), root)
        if not path.is_absolute():
            return disk.find(str(path))
        # Compare folders by what they are and not by name, so that a link to the root counts as the root.
        home = next((folder for folder in path.parents if is_root(folder)), None)
        return disk.find(str(path.relative_to(home))) if home else None

    return below


def _of_windows(path: PurePosixPath, root: Path) -> str | None:
    """Find the file of a Windows path below the root, by the folder in the path that has the root's name."""
    parts, name = path.parts, root.resolve().name
    paths = [PurePosixPath(*parts[i + 1 :]) for i, part in enumerate(parts[:-1]) if part == name]
    return next((str(path) for path in paths if os.path.isfile(root / path)), None)

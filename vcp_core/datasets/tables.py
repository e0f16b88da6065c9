"""CSV tables of videos: columns path and label, optionally group and split."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vcp_core.catalog.errors import DatasetError
from vcp_core.datasets.manifest import Split

NAMES = ("groups.csv", "videos.csv", "dataset.csv")  # picked up by themselves
COLUMNS = ("path", "label")
SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A labelled video.

    Attributes:
        id: Its path relative to the root, with forward slashes.
        label: Name of its class; a number stays text.
        group: What it shares with other videos, if anything.
        split: Its side, if given.
        line: Where the table says so; 0 where no table does.
    """

    id: str
    label: str
    group: str | None
    split: Split | None
    line: int = 0


def find_table(root: Path) -> Path | None:
    """The table that lies in a folder.

    Raises:
        DatasetError: If there are several.
    """
    tables = [root / name for name in NAMES if (root / name).is_file()]
    if len(tables) > 1:
        raise DatasetError(
            f"{root} holds {' and '.join(table.name for table in tables)}. Say which one to use."
        )
    return tables[0] if tables else None


def read_table(path: Path, root: Path) -> list[Row]:
    """Rows of a table, in its order.

    Args:
        path: The CSV file, in UTF-8; header names in any case, other columns are ignored.
        root: What the paths in it are relative to.

    Raises:
        DatasetError: Naming the line, if a column or value is missing or there are too many, a path leaves
            the root, is given twice or is no file, or a split is neither train nor test.
    """
    rows: dict[str, Row] = {}
    for line, values in _records(path):
        where = f"{path.name}, line {line}"
        row = _row(values, line, where)
        if row.id in rows:
            raise DatasetError(f"{where}: {row.id} is already on line {rows[row.id].line}.")
        if not (root / row.id).is_file():
            raise DatasetError(f"{where}: there is no file {row.id} in {root}.")
        rows[row.id] = row
    if not rows:
        raise DatasetError(f"{path.name}: no videos are listed.")
    return list(rows.values())


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values by column, without blank lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                has = ", ".join(columns) or "nothing"
                raise DatasetError(
                    f"{path.name}, line 1: no column {' or '.join(missing)}; the header has {has}."
                )
            for fields in reader:
                if any(fields) and len(fields) != len(columns):
                    where = f"{path.name}, line {reader.line_num}"
                    raise DatasetError(f"{where}: {len(fields)} values for {len(columns)} columns.")
                if any(fields):
                    yield reader.line_num, dict(zip(columns, map(str.strip, fields), strict=True))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({(error.strerror or '').lower()}).") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path.name}: not UTF-8 text. Save it as CSV (UTF-8).") from None
    except csv.Error as error:
        raise DatasetError(f"{path.name}, line {reader.line_num}: {error}.") from None


def _row(values: dict[str, str], line: int, where: str) -> Row:
    for column in COLUMNS:
        if not values.get(column):
            raise DatasetError(f"{where}: the {column} is empty.")
    video = PurePosixPath(values["path"].replace("\\", "/"))
    if video.is_absolute() or ".." in video.parts:
        raise DatasetError(f"{where}: {values['path']} lies outside of the dataset's folder.")
    split = values.get("split")
    if split is not None and split.lower() not in SPLITS:
        raise DatasetError(f"{where}: the split is {split!r}; it must be train or test.")
    return Row(
        id=str(video),
        label=values["label"],
        group=values.get("group") or None,
        split=SPLITS[split.lower()] if split else None,
        line=line,
    )

"""Read text files from any editor: lists and tables that people wrote, exported or downloaded."""

from __future__ import annotations

import codecs
from pathlib import Path

from vcp_core.catalog.errors import DatasetError

# UTF-32's byte order mark begins with UTF-16's, so it is tried first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path, *, what: str) -> str:
    r"""Read a text file from any editor, with "\n" at the ends of lines.

    UTF-8 and UTF-16 are read, with and without a byte order mark. Old code pages (Latin-1, Windows-1252) are
    refused, because the bytes do not say which code page it is. A wrong guess would give wrong names.

    Args:
        path: The file.
        what: The word for the file in messages ("list", "table").

    Raises:
        DatasetError: If the file cannot be read, or a line of it is not text.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = Path(file.name).write_text("path,label\r\na.mp4,wave\r\n", encoding="utf-16")
    ...     read_text(Path(file.name), what="table")
    'path,label\na.mp4,wave\n'
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise DatasetError(f"the {what} cannot be read ({reason}).", path=path) from None
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", _without_mark(data))
    )
    data = data[len(mark) :]  # the decoders of these names would keep the mark as a character
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _num_lines(data[: error.start].decode(encoding, "ignore"))
        bad = f"byte 0x{data[error.start]:02x}"
        raise DatasetError(
            f"{path.name}, line {line}: not UTF-8 text ({bad}). Save the {what} as UTF-8."
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = _num_lines(text[: text.index("\0")])
        raise DatasetError(
            f"{path.name}, line {line} has a NUL byte, so this is not text. Save the {what} as UTF-8."
        )
    return text


def _without_mark(data: bytes) -> str:
    """Recognise UTF-16 without a mark by the zero bytes of Latin letters and digits; else UTF-8."""
    zeros = data[0::2].count(0), data[1::2].count(0)
    num_units = len(data) // 2
    if num_units and len(data) % 2 == 0:
        if zeros[1] > num_units / 2 > 10 * zeros[0]:
            return "utf-16-le"
        if zeros[0] > num_units / 2 > 10 * zeros[1]:
            return "utf-16-be"
    return "utf-8"


def _num_lines(text: str) -> int:
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1

"""Names of files as they can be printed, kept and compared."""

from __future__ import annotations

import functools
import os
import unicodedata
from pathlib import Path

# Marks that turn the direction of the text around them: a name with one can be shown as another name.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators


def is_utf8(name: str) -> bool:
    r"""Whether a name from the file system is text; the system's other bytes are lone surrogates in Python.

    >>> is_utf8("café.mp4"), is_utf8("caf\udce9.mp4")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with every character escaped that a terminal, JSON or PostgreSQL cannot take.

    Args:
        text: A name from the file system, or words around one.
        keep: Characters to leave as they are, such as the ends of lines.

    >>> print(printable("caf\udce9\n.mp4"))
    caf\xe9\n.mp4
    """
    return "".join(character if character in keep else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{os.fsencode(character)[0]:02x}"
    if unicodedata.category(character) in _UNPRINTABLE or character in _DIRECTIONS:
        return character.encode("unicode_escape").decode()
    return character


def counted(count: int, what: str) -> str:
    """A number and a noun that goes with it.

    >>> counted(1, "file"), counted(20, "file")
    ('1 file', '20 files')
    """
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def one_form(name: str) -> str:
    r"""The name in Unicode's composed form (NFC), by which names that look alike are equal.

    >>> one_form("cafe\u0301") == "caf\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


class OnDisk:
    """Finds files by names whose Unicode form may differ from the one on disk.

    A Mac's archive holds decomposed names (NFD), and a list that was typed elsewhere holds composed ones.

    Args:
        root: The folder that names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._children = functools.cache(self._read)

    def find(self, name: str) -> str:
        """The name that the file has on disk; the given name where there is no such file."""
        if name.isascii() or os.path.exists(self._root / name):
            return name
        found = Path()
        for part in Path(name).parts:
            found /= self._children(found).get(one_form(part), part)
        return found.as_posix() if os.path.exists(self._root / found) else name

    def _read(self, folder: Path) -> dict[str, str]:
        try:
            return {one_form(name): name for name in os.listdir(self._root / folder)}
        except OSError:
            return {}

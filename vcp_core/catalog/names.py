"""Make names of files fit to print, to store and to compare."""

from __future__ import annotations

import functools
import os
import unicodedata
from pathlib import Path

# Marks that change the direction of text. A name with such a mark can look like another name.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators


def is_utf8(name: str) -> bool:
    r"""Tell whether a name from the file system is UTF-8. Python gives other bytes as lone surrogates.

    >>> is_utf8("café.mp4"), is_utf8("caf\udce9.mp4")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape every character that a terminal, JSON or PostgreSQL cannot take.

    Args:
        text: A name from the file system, or a text that holds one.
        keep: Characters to leave as they are, such as newlines.

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
    """Write a number and its noun, in the plural if need be.

    >>> counted(1, "file"), counted(20, "file")
    ('1 file', '20 files')
    """
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def one_form(name: str) -> str:
    r"""Bring a name into Unicode's composed form (NFC), in which names that look alike are equal.

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
        """Give the name that the file has on disk, or the given name if there is no such file."""
        # Most names are ASCII or in the right form: they cost one look, and no listing of folders.
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

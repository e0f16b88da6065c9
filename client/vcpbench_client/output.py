"""Standard output and error that never fail a command: a lost reader and a small code page are no errors."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from typing import IO, Any

NOBODY_READS = (errno.EPIPE, errno.EIO)  # the pipe's reader is gone; the terminal is
BEYOND_ASCII = re.compile("[^\x00-\x7f]")


class Heedless(io.FileIO):
    """A descriptor that is pointed at nothing once it cannot be written to.

    A reader that is gone is no error. Python, Rich and Typer would each end the process, with exit codes of
    their own: 120, and 1, which a gate's users read as "worse than allowed". Any other error is raised once.
    """

    def write(self, content: Any, /) -> int:
        """Write, or let it go."""
        try:
            return super().write(content)
        except OSError as error:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            if error.errno not in NOBODY_READS:
                raise
        return super().write(content)


def outlive_readers() -> None:
    r"""Make standard output and error safe to write to.

    From now on, they may lose their reader; closed ones count as such. A character that their code page does
    not have is written as Python escapes it (`\u25b2`), instead of raising `UnicodeEncodeError`.
    """
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


def writable_json(text: str, encoding: str | None) -> str:
    r"""The same JSON in characters that an encoding has: others become JSON's own escapes.

    >>> print(writable_json('"Zürich ▲"', "latin-1"))
    "Z\u00fcrich \u25b2"
    >>> writable_json('"Zürich"', "utf-8")
    '"Zürich"'
    """
    try:
        text.encode(encoding or "ascii")
        return text
    except UnicodeEncodeError:
        return BEYOND_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """JSON's escape of a character; one beyond U+FFFF is a pair of UTF-16 surrogates."""
    pair = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pair[at : at + 2].hex()}" for at in range(0, len(pair), 2))


def _outliving(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if os.name == "nt":  # a Windows console is no file descriptor
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    raw = Heedless(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )

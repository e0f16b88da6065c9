"""Standard output and error that nobody reads any more: what is written is lost, and the work goes on."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, Any

NOBODY_READS = (errno.EPIPE, errno.EIO)  # the pipe's reader is gone; the terminal is


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
    """From now on, standard output and error may lose their reader; closed ones count as such."""
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


def _outliving(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if os.name == "nt" or not isinstance(stream, io.TextIOWrapper):
        return stream  # a Windows console is no file descriptor
    stream.flush()
    raw = Heedless(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )

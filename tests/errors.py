"""An error of every class, about files in a folder that no regular expression gets right."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

from vcp_core.catalog import errors
from vcp_core.catalog.errors import Private, SeveralNetworks, UnknownName, VcpbenchError, VideoError

# A full stop before a blank, blanks, both quotes, a colon, a brace, and a byte that is not UTF-8.
SECRET = os.fsdecode(b'Dr. Who\'s "zebra", {quagga}: okapi\xe9. Tapir')
FOLDER = Path("/mnt/lab7") / SECRET
SIGNS = ("lab7", "Dr. Who", "zebra", "quagga", "okapi", "Tapir")  # any of them tells where the file lies


def of(kind: type[VcpbenchError]) -> VcpbenchError:
    """An error of this class, as its own code would raise it."""
    if issubclass(kind, UnknownName):
        return kind("backbone", "r3d18", ["c3d", "r3d_18"])
    if issubclass(kind, VideoError):
        return kind("no frame of it can be decoded; leave it out", path=FOLDER / "x.avi")
    if issubclass(kind, SeveralNetworks):
        return kind("2 whole networks.", choices=["a.", "b."], path=FOLDER / "x.pt")
    parts = ("it lists ", FOLDER / "set" / "y.avi", ", and said: ", Private(f"open({FOLDER}) failed"), ".")
    return kind(*parts, path=FOLDER / "videos.csv", line=3)


EVERY = {
    name: of(kind)
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, VcpbenchError)
}

"""Zip archives of `torch.save`, as torch wrote them or as another program packed them again.

Browsers unpack archives, and people pack them again: the Finder adds `__MACOSX`, others leave out the outer
folder, compress entries, or write backslashes. The numbers in such an archive are whole. Torch's reader takes
the first entry's folder for the archive's name, so it finds nothing; here the entries are copied as it wants.
"""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from vcp_core.catalog.errors import CheckpointError, NotACheckpoint, StorageError

OBJECT = "data.pkl"  # caffe2/serialize/inline_container.cc: the pickle itself
VERSION = "version"  # the same: a record that must be there; 3 since torch 1.6
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)  # by Python
READ_BY_TORCH = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BLOCK_BYTES = 1 << 20


def folder_of(names: Iterable[str]) -> str | None:
    """The folder of a torch archive within a zip archive: "archive/", "" for none; None without weights.

    Raises:
        NotACheckpoint: If there are several.

    >>> folder_of(["__MACOSX/x/._data.pkl", "x/data.pkl", "x/data/0"])
    'x/'
    """
    folders = {
        name[: -len(OBJECT)]
        for name in map(_plain, names)
        if name.split("/")[-1] == OBJECT and _is_theirs(name)
    }
    if len(folders) > 1:
        raise NotACheckpoint(
            f"a zip archive of {len(folders)} checkpoints, each a folder in it. Unpack it, pack one of the "
            "folders alone with `zip -0 -r weights.pt FOLDER`, and pass that file."
        )
    return next(iter(folders), None)


def is_as_torch_wrote_it(archive: zipfile.ZipFile) -> bool:
    """Whether torch's reader finds everything in it."""
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    first = entries[0].filename.partition("/")
    folder = f"{first[0]}/" if first[1] else ""
    return (
        bool(folder)
        and {folder + OBJECT, folder + VERSION} <= names
        and all(entry.compress_type in READ_BY_TORCH for entry in entries)
    )


def packed_as_torch_does(path: Path, most_bytes: int, scratch: Path | None) -> IO[bytes]:
    """A copy of the archive that torch's reader understands, in a temporary file that nothing else can see.

    Args:
        path: The archive.
        most_bytes: How much it may unpack to.
        scratch: The folder of the copy; the system's own for temporary files if None.

    Raises:
        CheckpointError: If it unpacks to more.
        StorageError: If the folder has no room for it.
        zipfile.BadZipFile, EOFError, zlib.error: If an entry cannot be read, or does not
            have the checksum that it was saved with.
    """
    with zipfile.ZipFile(path) as archive:
        folder = folder_of(archive.namelist()) or ""
        wanted = {
            _plain(entry.filename)[len(folder) :]: entry
            for entry in archive.infolist()
            if _plain(entry.filename).startswith(folder)
            and _is_theirs(_plain(entry.filename))
            and not entry.is_dir()
        }
        if sum(entry.file_size for entry in wanted.values()) > most_bytes:
            raise CheckpointError("it unpacks to more than a checkpoint of its size should.")
        try:
            with contextlib.ExitStack() as undo:
                copy = undo.enter_context(tempfile.TemporaryFile(dir=scratch))
                with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as packed:
                    packed.writestr(f"archive/{VERSION}", b"3\n")
                    for name, entry in wanted.items():
                        if name != VERSION:
                            _copy(archive, entry, packed, f"archive/{name}")
                undo.pop_all()  # it is whole: the caller closes it
        except OSError as error:
            where = scratch or Path(tempfile.gettempdir())
            raise StorageError(where, f" cannot take an unpacked copy: {error.strerror}.") from error
    copy.seek(0)
    return copy


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, packed: zipfile.ZipFile, name: str) -> None:
    with archive.open(entry) as source, packed.open(name, "w", force_zip64=True) as target:
        while block := source.read(BLOCK_BYTES):
            target.write(block)


def broken_entry(path: Path) -> str | None:
    """The first entry that does not have its checksum; torch does not look at them.

    Raises:
        zipfile.BadZipFile, EOFError, zlib.error: If one cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _plain(name: str) -> str:
    return name.replace("\\", "/")


def _is_theirs(name: str) -> bool:
    """Whether it belongs to the checkpoint, and not to the Finder."""
    parts = name.split("/")
    return parts[0] != "__MACOSX" and not parts[-1].startswith("._") and parts[-1] != ".DS_Store"

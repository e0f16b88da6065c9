"""Zip archives of `torch.save`, as torch wrote them or as another program packed them again.

Browsers unpack archives, and people pack them again. The Finder then adds `__MACOSX`. Other programs leave
out the outer folder, compress entries, or write backslashes. The weights in such an archive are whole. But
torch's reader takes the first entry's folder for the archive's name, and finds nothing. So the entries are
copied into an archive of the form that torch expects.
"""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import IO

from vcp_core.catalog.errors import CheckpointError, NotACheckpoint, StorageError

OBJECT = "data.pkl"  # the pickle itself; caffe2/serialize/inline_container.cc
VERSION = "version"  # a record that must be there; same source; 3 since torch 1.6
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)  # in Python
READ_BY_TORCH = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BLOCK_BYTES = 1 << 20
# The pickle of a compressed archive may unpack to 8 MiB, or to 4 times its size. Each of its bytes can be an
# instruction, and the reader runs about a million in a second. 50,000 tensors take some 7 MB.
UNPACKED_OBJECT = 8 << 20, 4


def folder_of(names: Iterable[str]) -> str | None:
    """Find the folder of a torch archive within a zip archive, such as "archive/".

    Returns:
        The folder; "" if the torch archive lies at the top; None if there is none.

    Raises:
        NotACheckpoint: If there are several torch archives.

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
            f"a zip archive of {len(folders)} checkpoints, each in a folder of its own. Unpack it, pack one "
            "folder with `zip -0 -r weights.pt FOLDER`, and pass weights.pt."
        )
    return next(iter(folders), None)


def is_as_torch_wrote_it(archive: zipfile.ZipFile) -> bool:
    """Tell whether torch's reader can read the archive as it is.

    >>> import io
    >>> archive = zipfile.ZipFile(io.BytesIO(), "w")
    >>> for name in ("r3d/data.pkl", "r3d/version"):
    ...     archive.writestr(name, "")
    >>> is_as_torch_wrote_it(archive)
    True
    >>> archive = zipfile.ZipFile(io.BytesIO(), "w")
    >>> archive.writestr("data.pkl", "")  # without a folder around it
    >>> is_as_torch_wrote_it(archive)
    False
    """
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    first = entries[0].filename.partition("/")
    folder = f"{first[0]}/" if first[1] else ""
    return (
        bool(folder)
        and {folder + OBJECT, folder + VERSION} <= names
        and all(entry.compress_type in READ_BY_TORCH for entry in entries)
    )


def packed_as_torch_does(
    path: Path, most_bytes: int, scratch: Path | None, *, wants: Callable[[str], bool] = lambda name: True
) -> IO[bytes]:
    """Copy the archive into the form that torch's reader expects, in an unnamed temporary file.

    Args:
        path: The archive.
        most_bytes: The most bytes that the archive may unpack to.
        scratch: The folder of the copy; None is the system's folder for temporary files.
        wants: Tells of an entry, by its name without the outer folder, whether it is copied.

    Raises:
        CheckpointError: If the archive unpacks to more bytes.
        StorageError: If the folder has no room for the copy.
        zipfile.BadZipFile, EOFError, zlib.error: If an entry cannot be read, or its checksum is wrong.

    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with zipfile.ZipFile(file, "w") as archive:
    ...         for name in ("__MACOSX/._r3d", "r3d/data.pkl", "r3d/data/0"):
    ...             archive.writestr(name, "")
    ...     with packed_as_torch_does(Path(file.name), 1000, None) as copy:
    ...         zipfile.ZipFile(copy).namelist()
    ['archive/version', 'archive/data.pkl', 'archive/data/0']
    """
    with zipfile.ZipFile(path) as archive:
        folder = folder_of(archive.namelist()) or ""
        wanted = {
            _plain(entry.filename)[len(folder) :]: entry
            for entry in archive.infolist()
            if _plain(entry.filename).startswith(folder)
            and _is_theirs(_plain(entry.filename))
            and not entry.is_dir()
            and wants(_plain(entry.filename)[len(folder) :])
        }
        _expect_bounded(wanted.values(), most_bytes)
        try:
            with contextlib.ExitStack() as undo:
                copy = undo.enter_context(tempfile.TemporaryFile(dir=scratch))
                with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as packed:
                    packed.writestr(f"archive/{VERSION}", b"3\n")
                    for name, entry in wanted.items():
                        if name != VERSION:  # written above, also for archives that lack it
                            _copy(archive, entry, packed, f"archive/{name}")
                undo.pop_all()  # the copy is whole, so it stays open; the caller closes it
        except OSError as error:
            where = scratch or Path(tempfile.gettempdir())
            raise StorageError(where, f" cannot take an unpacked copy: {error.strerror}.") from error
    copy.seek(0)
    return copy


def expect_bounded(path: Path, most_bytes: int) -> None:
    """Refuse an archive that unpacks to more bytes than this, or whose pickle unpacks to too many.

    Raises:
        CheckpointError: If it does. Nothing was unpacked.
    """
    with zipfile.ZipFile(path) as archive:
        _expect_bounded(archive.infolist(), most_bytes)


def _expect_bounded(entries: Collection[zipfile.ZipInfo], most_bytes: int) -> None:
    least, times = UNPACKED_OBJECT
    pickles = (entry for entry in entries if _plain(entry.filename).split("/")[-1] == OBJECT)
    if sum(entry.file_size for entry in entries) > most_bytes or any(
        entry.file_size > max(least, times * entry.compress_size) for entry in pickles
    ):
        raise CheckpointError("it unpacks to far more bytes than a checkpoint of its size has.")


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, packed: zipfile.ZipFile, name: str) -> None:
    # `zipfile` cannot know the size of a stream, and refuses 2 GiB and more without `force_zip64`.
    with archive.open(entry) as source, packed.open(name, "w", force_zip64=True) as target:
        while block := source.read(BLOCK_BYTES):
            target.write(block)


def broken_entry(path: Path) -> str | None:
    """Name the first entry whose checksum is wrong; None if all are right. Torch does not check them.

    Raises:
        zipfile.BadZipFile, EOFError, zlib.error: If an entry cannot be read.

    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with zipfile.ZipFile(file, "w") as archive:
    ...         archive.writestr("r3d/data/0", "weights")
    ...     path = Path(file.name)
    ...     _ = path.write_bytes(path.read_bytes().replace(b"weights", b"weighty"))
    ...     broken_entry(path)
    'r3d/data/0'
    """
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _plain(name: str) -> str:
    return name.replace("\\", "/")


def _is_theirs(name: str) -> bool:
    """Tell whether an entry belongs to the checkpoint, and not to a Mac's Finder."""
    parts = name.split("/")
    return parts[0] != "__MACOSX" and not parts[-1].startswith("._") and parts[-1] != ".DS_Store"

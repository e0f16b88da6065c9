"""Zip archives as torch.export.save writes them, read strictly.

A zip archive says everything twice: in a header before each entry, and in the central directory at its end.
Readers differ in which of the two they believe, so an archive that contradicts itself can show one file to a
check and another one to a program. This reader takes an archive only if both agree on every entry, if the
entries follow each other without gaps, and if nothing is compressed. Source: APPNOTE.TXT 6.3.10, PKWARE.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vcp_core.catalog.errors import DamagedCheckpoint, GraphTooLarge
from vcp_core.catalog.names import printable

MAX_ENTRIES = 50_000  # one for each weight; the largest video networks have a few thousand
MAX_DIRECTORY = 16 << 20  # bytes of the central directory
BLOCK_BYTES = 1 << 20

_LOCAL = struct.Struct("<4s5H3I2H")  # APPNOTE 4.3.7
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_END_64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR_64 = struct.Struct("<4sIQI")  # 4.3.15
_STORED = 0
_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11  # flags: sizes stand behind the bytes, too; names are UTF-8
_IN_EXTRA = 0xFFFFFFFF, 0xFFFF  # these values say that a zip64 field holds the number
_ZIP64 = 1  # the number of that field


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file in the archive.

    Attributes:
        name: Its name, with the archive's outer folder.
        header: Where its local header begins, in bytes from the start of the archive.
        size: Its size in bytes.
        crc: CRC-32 of its bytes.
        flags: General purpose flags.
        begin: Where its bytes begin.
    """

    name: str
    header: int
    size: int
    crc: int
    flags: int
    begin: int = 0


class Archive:
    r"""A zip archive whose entries lie in one outer folder.

    Args:
        file: The open file. It must stay open while the archive is used.

    Attributes:
        entries: The entries by name, without the outer folder.

    Raises:
        DamagedCheckpoint: If the archive is cut off, contradicts itself, or is not of this form.
        GraphTooLarge: If it has too many entries.

    >>> import io, zipfile
    >>> held = io.BytesIO()
    >>> with zipfile.ZipFile(held, "w") as made:
    ...     made.writestr("net/byteorder", "little")
    >>> Archive(held).read("byteorder", most_bytes=10)
    b'little'
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        count, size, begin = self._find_directory()
        found = list(self._directory(count, size, begin))
        self._expect_without_gaps(found, begin)
        folders = {entry.name.partition("/")[0] for entry in found}
        if len(folders) != 1 or any("/" not in entry.name for entry in found):
            raise _wrong(f"its entries lie in {len(folders)} outer folders, and not in one")
        inside = [(entry.name.partition("/")[2], entry) for entry in found]
        self.entries = {name: self._checked(entry) for name, entry in inside}
        if len(self.entries) < len(found):
            raise _wrong("two of its entries have one name")

    def read(self, name: str, *, most_bytes: int) -> bytes:
        """Read the bytes of an entry, and check them against its checksum.

        Args:
            name: The entry's name, without the outer folder.
            most_bytes: The most bytes that it may have.

        Raises:
            KeyError: If there is no such entry.
            DamagedCheckpoint: If the checksum is wrong.
            GraphTooLarge: If it is larger.
        """
        entry = self.entries[name]
        if entry.size > most_bytes:
            raise GraphTooLarge(
                f"{printable(name)} in it has {entry.size:,} bytes, and at most {most_bytes:,} are read. "
                "Export the backbone alone, without its head and without data in its code.",
                entry=name,
                size=entry.size,
                most=most_bytes,
            )
        data = self._bytes(entry.begin, entry.size)
        if zlib.crc32(data) != entry.crc:
            raise DamagedCheckpoint(
                f"entry {printable(name)} does not have the checksum it was saved with: corrupt. "
                "Copy the file again.",
                entry=name,
            )
        return data

    def _bytes(self, begin: int, size: int) -> bytes:
        self._file.seek(begin)
        data = self._file.read(size)
        if len(data) != size:
            raise _wrong("a part of it lies behind its end")
        return data

    def _find_directory(self) -> tuple[int, int, int]:
        """Read the records at the archive's end: number of entries, size and begin of the directory."""
        length = self._file.seek(0, 2)
        at = length - _END.size
        if at < 0:
            raise _wrong("it is cut off")
        end = _END.unpack(self._bytes(at, _END.size))
        if end[0] != b"PK\x05\x06" or end[7]:
            raise _wrong("its end is missing, or bytes follow it")
        disks, (count_here, count, size, begin) = end[1:3], end[3:7]
        locator_at = at - _LOCATOR_64.size
        locator = self._bytes(locator_at, _LOCATOR_64.size) if locator_at >= 0 else b""
        if locator.startswith(b"PK\x06\x07"):
            _, _, at, _ = _LOCATOR_64.unpack(locator)
            if at != locator_at - _END_64.size:
                raise _wrong("the two records of its end are apart")
            wide = _END_64.unpack(self._bytes(at, _END_64.size))
            narrow = (count_here, count, size, begin)
            for short, long in zip(narrow, wide[6:], strict=True):
                if wide[0] != b"PK\x06\x06" or short not in (long, *_IN_EXTRA):
                    raise _wrong("the two records of its end contradict each other")
            disks, (count_here, count, size, begin) = wide[4:6], wide[6:]
        if any(disks) or count_here != count or begin + size != at:
            raise _wrong("its directory does not end where the archive's end begins")
        if count > MAX_ENTRIES or size > MAX_DIRECTORY:
            raise GraphTooLarge(
                f"a zip archive of {count:,} entries, and at most {MAX_ENTRIES:,} are read. Export the "
                "backbone alone.",
                entries=count,
                most=MAX_ENTRIES,
            )
        return count, size, begin

    def _directory(self, count: int, size: int, begin: int) -> Iterator[Entry]:
        data, at = self._bytes(begin, size), 0
        for _ in range(count):
            if at + _CENTRAL.size > size:
                raise _wrong("its directory is shorter than it says")
            head = _CENTRAL.unpack_from(data, at)
            flags, method, crc, packed, plain = head[3], head[4], *head[7:10]
            name_bytes, extra_bytes, comment_bytes, disk, header = *head[10:14], head[16]
            at += _CENTRAL.size
            name = _name(data[at : at + name_bytes])
            extra = data[at + name_bytes : at + name_bytes + extra_bytes]
            at += name_bytes + extra_bytes
            if head[0] != b"PK\x01\x02" or comment_bytes or disk or at > size:
                raise _wrong("an entry of its directory makes no sense", name)
            if method != _STORED:
                raise _wrong("an entry is compressed, which torch.export.save never does", name)
            if flags & ~(_DESCRIPTOR | _UTF8):
                raise _wrong("an entry is encrypted or has unknown flags", name)
            plain, packed, header = _widened((plain, packed, header), extra, name)
            if plain != packed:
                raise _wrong("an entry has two sizes", name)
            yield Entry(name=name, header=header, size=plain, crc=crc, flags=flags)
        if at != size:
            raise _wrong("its directory is longer than it says")

    def _checked(self, entry: Entry) -> Entry:
        """Check an entry's local header, and find where its bytes begin."""
        begin, _ = self._extent(entry)
        return Entry(
            name=entry.name,
            header=entry.header,
            size=entry.size,
            crc=entry.crc,
            flags=entry.flags,
            begin=begin,
        )

    def _extent(self, entry: Entry) -> tuple[int, int]:
        """Where an entry's bytes begin, and where the next entry must begin.

        Raises:
            DamagedCheckpoint: If the local header says something else than the directory.
        """
        head = _LOCAL.unpack(self._bytes(entry.header, _LOCAL.size))
        names_at = entry.header + _LOCAL.size
        name, extra = self._bytes(names_at, head[9]), self._bytes(names_at + head[9], head[10])
        flags, method, crc, packed, plain = head[2], head[3], *head[6:9]
        if (head[0], _name(name), flags, method) != (b"PK\x03\x04", entry.name, entry.flags, _STORED):
            raise _wrong("an entry's own header contradicts the directory", entry.name)
        plain, packed = _widened((plain, packed), extra, entry.name)
        begin = names_at + head[9] + head[10]
        end = begin + entry.size
        told = (crc, packed, plain)
        if told == (entry.crc, entry.size, entry.size) and not flags & _DESCRIPTOR:
            return begin, end
        if not flags & _DESCRIPTOR or told not in ((0, 0, 0), (entry.crc, entry.size, entry.size)):
            raise _wrong("an entry's own header contradicts the directory", entry.name)
        # The descriptor has sizes of 4 bytes, or of 8 in a zip64 archive. APPNOTE 4.3.9.
        for form in ("<4s3I", "<4sI2Q"):
            if entry.size < 1 << 32 or "Q" in form:
                expected = struct.pack(form, b"PK\x07\x08", entry.crc, entry.size, entry.size)
                self._file.seek(end)
                if self._file.read(len(expected)) == expected:
                    return begin, end + len(expected)
        raise _wrong("the record behind an entry contradicts the directory", entry.name)

    def _expect_without_gaps(self, entries: list[Entry], directory: int) -> None:
        """Refuse entries that overlap, and bytes that belong to no entry."""
        at = 0
        for entry in sorted(entries, key=lambda entry: entry.header):
            if entry.header != at:
                wrong = "an entry overlaps another one" if entry.header < at else "bytes lie before an entry"
                raise _wrong(wrong, entry.name)
            _, at = self._extent(entry)
        if at != directory:
            raise _wrong("its entries do not end where its directory begins")


def _widened(values: tuple[int, ...], extra: bytes, name: str) -> tuple[int, ...]:
    """Replace each value that says so by the number in the zip64 field."""
    wide = b""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = extra[at + 4 : at + 4 + size]
        at += 4 + size
    found = []
    for value in values:
        if value == _IN_EXTRA[0]:
            if len(wide) < 8:
                raise _wrong("an entry's size is missing", name)
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        found.append(value)
    return tuple(found)


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _wrong("the name of an entry is not UTF-8") from None
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise _wrong("the name of an entry leads outside", name)
    return name


def _wrong(what: str, name: str = "") -> DamagedCheckpoint:
    which = f" ({printable(name[:100])})" if name else ""
    return DamagedCheckpoint(
        f"not a zip archive as torch.export.save writes it: {what}{which}. It was changed or damaged, so "
        "export it again, or copy it again."
    )

"""Scan a folder: take the videos, and count all other files by the reason why they are not taken."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vcp_core.catalog.names import counted, is_utf8, printable
from vcp_core.datasets.manifest import NotTaken
from vcp_core.datasets.suffixes import COMPANIONS, suffix_of

NUM_EXAMPLES = 3  # examples that are kept for each reason
OF_A_SYSTEM = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
_NO_VIDEOS = frozenset({"README", "LICENSE", "LICENCE", "COPYING", "CHANGELOG", "MD5SUMS", "SHA256SUMS"})

Key = tuple[int, int]  # device and inode: they identify a folder under all its names


@dataclass(frozen=True)
class Reason:
    """The reason why a file or folder is not taken.

    Attributes:
        words: The reason in words. Files with the same words are counted together.
        advice: What a user can do if the file should be taken. Without advice there is no warning.
    """

    words: str
    advice: str = ""


NOT_UTF8 = Reason("the name is not UTF-8", "Rename them.")
BROKEN = Reason("a broken link", "Mend the links.")
CYCLE = Reason("a link to a folder above it")
TWICE = Reason("a link to a folder that is read already")
NO_FILE = Reason("not a regular file")
UNREADABLE = Reason("cannot be read (permission denied)", "Ask for the right to read them.")
NO_ENTRY = Reason("cannot be read (an error of the file system)", "Check the disk or the network share.")
APPLE_DOUBLE = Reason("an AppleDouble file of a Mac (._name)")
HIDDEN = Reason("hidden (the name begins with a dot)")
SYSTEM = Reason("a folder that the operating system made")
NO_SUFFIX = Reason("the name has no suffix", "Give videos a suffix, such as .mp4.")
README = Reason("a text beside the videos, such as README")
LOOSE = Reason("a video beside the class folders", "It has no class: move it into a class folder.")
NO_CLASS = Reason("a class folder without videos")
UNUSED_SIDE = Reason("on the validation side, which is not used where there is a test side")
BESIDE_SIDES = Reason(
    "beside the folders of the sides", "Move them below a side, or list the videos in a videos.csv."
)
NO_CLASS_ON_SIDE = Reason(
    "on a side that has no class folders", "Without a class a video cannot be evaluated: list it in a table."
)

UNLISTED_FOLDER = Reason("a folder that leads to no listed video")

REASONS = (
    *(NOT_UTF8, BROKEN, CYCLE, TWICE, NO_FILE, UNREADABLE, NO_ENTRY, APPLE_DOUBLE, HIDDEN, SYSTEM),
    *(NO_SUFFIX, README, LOOSE, NO_CLASS, UNUSED_SIDE, BESIDE_SIDES, NO_CLASS_ON_SIDE, UNLISTED_FOLDER),
)


def of_suffix(suffix: str) -> Reason:
    """Make the reason for a file whose suffix is not a video's.

    >>> of_suffix(".xyz").advice, of_suffix(".json").advice
    ('If they are videos, add --suffix .xyz.', '')
    """
    advice = "" if suffix in COMPANIONS else f"If they are videos, add --suffix {suffix}."
    return Reason(f"the suffix {suffix} is not a video's", advice)


def not_listed(by: str) -> Reason:
    """Make the reason for a video that a table or an official list does not name.

    >>> not_listed("groups.csv").words
    'not listed in groups.csv'
    """
    return Reason(f"not listed in {by}")


class Tally:
    """Counts the files that are not taken, by reason.

    Args:
        root: The dataset's folder. Examples are paths below it.
        read: The table of the videos. It is used, so it is not counted.
    """

    def __init__(self, root: Path, *, read: Path | None = None) -> None:
        self.root = root
        self._read = read
        self._counts: Counter[Reason] = Counter()
        self._examples: defaultdict[Reason, list[str]] = defaultdict(list)

    def add(self, reason: Reason, path: Path) -> None:
        """Count one file or folder."""
        if path == self._read:
            return
        self._counts[reason] += 1
        if len(self._examples[reason]) < NUM_EXAMPLES:
            self._examples[reason].append(printable(path.relative_to(self.root).as_posix()))

    def extend(self, other: Tally) -> None:
        """Add the counts of another tally of the same folder."""
        for reason, count in other._counts.items():
            self._counts[reason] += count
            self._examples[reason] = (self._examples[reason] + other._examples[reason])[:NUM_EXAMPLES]

    def result(self) -> tuple[NotTaken, ...]:
        """List the counts by reason, the largest first."""
        return tuple(
            NotTaken(reason=reason.words, count=count, examples=tuple(self._examples[reason]))
            for reason, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0].words))
        )

    def warnings(self) -> list[str]:
        """Write a sentence for each reason that has advice."""
        return [
            f"Not taken: {counted(count, 'file')}, for example {self._examples[reason][0]} "
            f"({reason.words}). {reason.advice}"
            for reason, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0].words))
            if reason.advice
        ]

    def __str__(self) -> str:
        """The largest counts in a few words, for a message; "" if nothing was counted."""
        most = self._counts.most_common(3)
        return ", ".join(f"{counted(count, 'file')} ({reason.words})" for reason, count in most)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The direct contents of a folder.

    Attributes:
        folders: Real folders, then links to folders, each sorted by name.
        videos: Names of files with a video's suffix, sorted.
        passed: Paths that are not taken, each with the reason.
    """

    folders: list[Path] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    passed: list[tuple[Reason, Path]] = field(default_factory=list)


def look(folder: Path, suffixes: frozenset[str]) -> Look:
    """Sort the direct contents of a folder. Links are followed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "wave").mkdir()
    ...     for name in ("a.mp4", "notes.txt", ".DS_Store"):
    ...         Path(folder, name).touch()
    ...     found = look(Path(folder), frozenset({".mp4"}))
    >>> [path.name for path in found.folders], found.videos, [reason.words for reason, _ in found.passed]
    (['wave'], ['a.mp4'], ['hidden (the name begins with a dot)', "the suffix .txt is not a video's"])
    """
    found = Look()
    linked: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.passed.append((_trouble(error), folder))
        return found
    for entry in ordered:
        kind = _kind(entry, suffixes)
        if kind == "video":
            found.videos.append(entry.name)
        elif isinstance(kind, Reason):
            found.passed.append((kind, folder / entry.name))
        else:
            (linked if entry.is_symlink() else found.folders).append(folder / entry.name)
    found.folders.extend(linked)
    return found


def walk(top: Path, suffixes: frozenset[str], tally: Tally, *, above: Iterable[Path] = ()) -> Iterator[str]:
    """Yield the path of every video below a folder, and count all other files. Links are followed.

    Paths are relative to the tally's root, with forward slashes.

    A folder below `top` that can be reached in two ways is read once. Without this rule one video would have
    two ids. If two classes link to one folder, it is read for both, and `assemble` warns of it.

    Args:
        top: The folder.
        suffixes: Suffixes of videos, in lower case.
        tally: Counts the files that are not taken.
        above: Folders that `top` lies in. A link to one of them is a cycle.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "wave", "day 1").mkdir(parents=True)
    ...     Path(folder, "wave", "day 1", "a.mp4").touch()
    ...     Path(folder, "wave", "again").symlink_to(Path(folder, "wave"))
    ...     tally = Tally(Path(folder))
    ...     list(walk(Path(folder, "wave"), frozenset({".mp4"}), tally)), str(tally)
    (['wave/day 1/a.mp4'], '1 file (a link to a folder above it)')
    """
    outer = frozenset(filter(None, map(_key, above)))
    read: set[Key] = set()
    folders: list[tuple[Path, frozenset[Key]]] = [(top, outer)]
    linked: list[tuple[Path, frozenset[Key]]] = []  # read last: the name of a folder is its real place
    while folders or linked:
        folder, chain = folders.pop() if folders else linked.pop(0)
        key = _key(folder)
        if key is None or key in chain or key in read:
            tally.add(UNREADABLE if key is None else CYCLE if key in chain else TWICE, folder)
            continue
        read.add(key)
        found = look(folder, suffixes)
        for reason, path in found.passed:
            tally.add(reason, path)
        prefix = folder.relative_to(tally.root).as_posix()
        for name in found.videos:
            if is_utf8(prefix) and is_utf8(name):
                yield f"{prefix}/{name}"
            else:
                tally.add(NOT_UTF8, folder / name)
        inner = [(child, chain | {key}) for child in found.folders]
        # A stack: reversed, so that folders are read in the order of their names.
        folders.extend(reversed([one for one in inner if not one[0].is_symlink()]))
        linked.extend(one for one in inner if one[0].is_symlink())


def count_unlisted(
    root: Path, listed: Iterable[str], *, by: str, suffixes: frozenset[str], table: Path | None = None
) -> Tally:
    """Count the files that lie beside the videos of a table or of official lists.

    Only folders that lead to a listed video are read, because the root may hold much more than the dataset.

    Args:
        root: The dataset's folder.
        listed: Ids of the listed videos.
        by: The name of the table or lists, for the reason ("groups.csv").
        suffixes: Suffixes of videos, in lower case.
        table: The table, if it lies in the folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.mp4", "b.mp4"):
    ...         Path(folder, name).touch()
    ...     tally = count_unlisted(Path(folder), ["a.mp4"], by="groups.csv", suffixes=frozenset({".mp4"}))
    >>> tally.result()
    (NotTaken(reason='not listed in groups.csv', count=1, examples=('b.mp4',)),)
    """
    tally, known = Tally(root, read=table), set(listed)
    nearest = {root / folder for folder in {os.path.dirname(video_id) for video_id in known}}
    leading = {folder for one in nearest for folder in (one, *one.parents) if folder.is_relative_to(root)}
    for folder in sorted(leading):
        if not os.path.isdir(folder):
            continue
        found = look(folder, suffixes)
        prefix = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
        for reason, path in found.passed:
            if prefix + path.name not in known:  # a table lists its videos whatever their suffix
                tally.add(reason, path)
        for path in found.folders:
            if path not in leading:
                tally.add(UNLISTED_FOLDER, path)
        for name in found.videos:
            if prefix + name not in known:
                tally.add(not_listed(by), folder / name)
    return tally


def _kind(entry: os.DirEntry[str], suffixes: frozenset[str]) -> Reason | str:
    """Give "folder", "video", or the reason why an entry is not taken."""
    if entry.name.startswith("."):
        return APPLE_DOUBLE if entry.name.startswith("._") else HIDDEN
    try:
        mode = entry.stat().st_mode if entry.is_symlink() else _mode(entry)
    except OSError as error:
        return _trouble(error)
    if stat.S_ISDIR(mode):
        return SYSTEM if entry.name in OF_A_SYSTEM else "folder"
    if not stat.S_ISREG(mode):
        return NO_FILE
    suffix = suffix_of(entry.name)
    if suffix in suffixes:
        return "video"
    if not suffix:
        return README if entry.name.upper() in _NO_VIDEOS else NO_SUFFIX
    return of_suffix(suffix)


def _mode(entry: os.DirEntry[str]) -> int:
    """Read the kind of an entry that is no link; mostly the folder stores it, which saves a system call."""
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


def _key(folder: Path) -> Key | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _trouble(error: OSError) -> Reason:
    if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
        return BROKEN
    return UNREADABLE if error.errno in (errno.EACCES, errno.EPERM) else NO_ENTRY

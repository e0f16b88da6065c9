"""Find the class folders of a dataset and their sides. An unknown layout is refused."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.names import counted, one_form, printable
from vcp_core.datasets.checks import some
from vcp_core.datasets.drawings import LIST_FOLDERS, of_lists, refusal
from vcp_core.datasets.scanning import (
    BESIDE_SIDES,
    LOOSE,
    NO_CLASS,
    NO_CLASS_ON_SIDE,
    UNREADABLE,
    Look,
    Tally,
    look,
    walk,
)
from vcp_core.datasets.sides import Side, side_of, test_side

# Names of parts into which a dataset was cut, for storage or cross-validation. They are no classes.
_PART = re.compile(r"(?:fold|part|split|chunk|shard|batch|disc|disk|volume|vol|subset)[\s._-]*\d+", re.I)
_WORDS = re.compile(r"[^\W\d_]+")
_BLANKS = re.compile(r"[\s_-]+")


@dataclass(frozen=True)
class Found:
    """A video of a folder: its path below the folder, its class, and its side by the folder it is in."""

    id: str
    label: str
    side: Side | None


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The result of a scan.

    Attributes:
        videos: The videos, in no order.
        tally: Counts of the files that were not taken.
        warnings: Warnings for every reader of a result.
    """

    videos: list[Found]
    tally: Tally
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class _ClassFolders:
    """Class folders, each with its side."""

    folders: list[tuple[Side | None, Path]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def scan(root: Path, suffixes: frozenset[str]) -> Scan:
    """Find the videos of class/video, or of train/class/video and test/class/video.

    Files in folders below a class folder belong to the class.

    Raises:
        DatasetError: If the folder cannot be read, its layout is not known, or two of its names look alike.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("wave/a.mp4", "clap/b.mp4", "clap/notes.txt"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     found = scan(Path(folder), frozenset({".mp4"}))
    >>> sorted((video.id, video.label) for video in found.videos), str(found.tally)
    ([('clap/b.mp4', 'clap'), ('wave/a.mp4', 'wave')], "1 file (the suffix .txt is not a video's)")
    """
    tally = Tally(root)
    class_folders = _class_folders(root, suffixes, tally)
    videos: list[Found] = []
    vanished: dict[str, str] = {}
    for side, folder in class_folders.folders:
        own = Tally(root)
        files = list(walk(folder, suffixes, own, above=(root, folder.parent)))
        videos += [Found(one, one_form(folder.name), side) for one in files]
        tally.extend(own)
        if not files:
            tally.add(NO_CLASS, folder)
            vanished[printable(folder.relative_to(root).as_posix())] = str(own) or "empty"
    classes = {video.label for video in videos}
    if len(classes) < 2:
        raise _too_few(root, suffixes, classes, tally)
    refuse_lookalikes([video.id for video in videos])
    warnings = [*class_folders.warnings, *_of_vanished(vanished), *tally.warnings(), *_of_lists(root)]
    return Scan(videos=videos, tally=tally, warnings=[*warnings, *_of_forms(class_folders)])


def refuse_lookalikes(ids: list[str]) -> None:
    r"""Refuse two files whose names look the same on a screen.

    Raises:
        DatasetError: If the names of two files have the same Unicode form.

    >>> refuse_lookalikes(["caf\u00e9.mp4", "tea.mp4"])
    >>> try:
    ...     refuse_lookalikes(["caf\u00e9.mp4", "cafe\u0301.mp4"])
    ... except DatasetError as error:
    ...     print(str(error).partition(": ")[2])
    'caf\xe9.mp4' and 'cafe\u0301.mp4' (1 such pair). Rename one of each.
    """
    forms: defaultdict[str, list[str]] = defaultdict(list)
    for one in ids:
        if not one.isascii():  # ASCII has one Unicode form only
            forms[one_form(one)].append(one)
    alike = [same for same in forms.values() if len(same) > 1]
    if alike:
        raise DatasetError(
            f"Two files have names that look alike and differ in their Unicode form only: "
            f"{' and '.join(map(ascii, alike[0]))} ({counted(len(alike), 'such pair')}). Rename one of each."
        )


def warn_of_spellings(labels: set[str]) -> list[str]:
    """Warn if two classes seem to be one in two spellings, such as `hand_stand` and `Hand Stand`.

    >>> print(warn_of_spellings({"hand_stand", "Hand Stand", "wave"})[0].partition(".")[0])
    Names of classes differ only by capital letters, or by blanks, - and _: Hand Stand and hand_stand
    """
    folded: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        folded[_BLANKS.sub(" ", unicodedata.normalize("NFKC", label).casefold()).strip()].append(label)
    pairs = [" and ".join(sorted(same)) for same in folded.values() if len(same) > 1]
    if not pairs:
        return []
    return [
        f"Names of classes differ only by capital letters, or by blanks, - and _: {some(pairs)}. "
        "They are counted as different classes. If they are one, give them one name."
    ]


def _class_folders(root: Path, suffixes: frozenset[str], tally: Tally) -> _ClassFolders:
    top = look(root, suffixes)
    if (UNREADABLE, root) in top.passed:
        raise DatasetError("the folder cannot be read (permission denied).", path=root)
    inside = {folder: look(folder, suffixes) for folder in top.folders}
    _count_beside(root, top, tally)
    sides: defaultdict[Side, list[Path]] = defaultdict(list)
    for folder, found in inside.items():
        side = side_of(folder.name)
        if side and found.folders:
            sides[side].append(folder)
    if sides:
        return _plan_of_sides(root, suffixes, inside, sides, tally)
    _refuse_unknown(root, suffixes, inside)
    return _ClassFolders(folders=[(None, folder) for folder in inside], warnings=_of_classes(inside))


def _count_beside(folder: Path, found: Look, tally: Tally) -> None:
    """Count the files that lie beside class folders."""
    for name in found.videos:
        tally.add(LOOSE, folder / name)
    for reason, path in found.passed:
        tally.add(reason, path)


def _plan_of_sides(
    root: Path,
    suffixes: frozenset[str],
    inside: dict[Path, Look],
    sides: dict[Side, list[Path]],
    tally: Tally,
) -> _ClassFolders:
    tested = test_side(sides)
    if "train" not in sides or tested not in sides:
        raise _one_side(root, suffixes, inside, sides)
    for side in ("train", tested):
        if len(sides[side]) > 1:
            names = " and ".join(folder.name for folder in sides[side])
            what = f"{names} are both the {side} side. Join them, or move one away."
            raise refusal(root, what, suffixes)
    class_folders = _ClassFolders()
    for side, own in sides.items():
        for folder in own:
            _count_beside(folder, inside[folder], tally)
            class_folders.folders.extend((side, child) for child in inside[folder].folders)
    own = [folder for folders in sides.values() for folder in folders]
    for folder in (folder for folder in inside if folder not in own):
        reason = NO_CLASS_ON_SIDE if side_of(folder.name) else BESIDE_SIDES
        for video in walk(folder, suffixes, tally, above=(root,)):
            tally.add(reason, root / video)
    return class_folders


def _one_side(
    root: Path, suffixes: frozenset[str], inside: dict[Path, Look], sides: dict[Side, list[Path]]
) -> DatasetError:
    """Make the error for a dataset whose class folders are on one side only."""
    own = [folder for folders in sides.values() for folder in folders]
    others = [folder.name for folder in inside if folder not in own]
    what = f"Class folders lie in {' and '.join(folder.name for folder in own)}, and there is "
    what += "no test or val" if "train" in sides else "no train"
    what += f" folder with class folders, but {some(others)}." if others else " folder."
    advice = (
        f"To have its videos divided by a hash, give the folder {own[0]} itself." if len(own) == 1 else ""
    )
    return refusal(root, what, suffixes, advice=advice)


def _refuse_unknown(root: Path, suffixes: frozenset[str], inside: dict[Path, Look]) -> None:
    """Refuse folders that are no classes.

    Raises:
        DatasetError: If the layout is unknown. The message draws the folder.
    """
    direct = [folder for folder, found in inside.items() if found.videos]
    flat = [folder for folder in direct if side_of(folder.name)]
    if flat and flat == direct:
        names = some(folder.name for folder in flat)
        what = f"{names} hold videos and no class folders, so no video has a class."
        raise refusal(root, what, suffixes)
    nested = [folder for folder, found in inside.items() if found.folders and not found.videos]
    within = [folder for folder in nested if all(side_of(child.name) for child in inside[folder].folders)]
    if within and 2 * len(within) >= len(nested) + len(direct):
        what = f"The sides lie within {some(folder.name for folder in within)}: the order is class, side."
        if len(nested) + len(direct) == 1:
            what = f"The dataset lies one level deeper, in {within[0].name}."
        advice = f"Give {within[0]}." if len(nested) + len(direct) == 1 else "Turn the two levels round."
        raise refusal(root, what, suffixes, advice=advice)
    near = [folder for folder in nested if any(map(side_of, _WORDS.findall(folder.name)))]
    if len(near) > 1:
        names = some(folder.name for folder in near)
        what = f"{names} hold the class folders, and seem to be sides by their names."
        raise refusal(root, what, suffixes, advice="Rename them to train and test.")
    parts = [folder for folder in nested if _PART.fullmatch(folder.name)]
    if parts and parts == nested and not direct:
        names = some(folder.name for folder in parts)
        raise refusal(root, f"{names} hold the class folders, and are no classes themselves.", suffixes)


def _too_few(root: Path, suffixes: frozenset[str], classes: set[str], tally: Tally) -> DatasetError:
    """Make the error for fewer than two class folders with videos."""
    top = look(root, suffixes)
    seen = f" Not taken: {tally}." if str(tally) else ""
    if not classes:
        what = f"There are no videos in class folders.{seen}"
        return refusal(
            root, what, suffixes, advice="Put every video into a folder named for its class, or add --suffix."
        )
    (label,) = classes
    what = f"There is one class only, {printable(label)}; at least two are needed.{seen}"
    deeper = [folder for folder in top.folders if one_form(folder.name) == label]
    if deeper and (names := [child.name for child in look(deeper[0], suffixes).folders]):
        advice = f"If {some(names)} are the classes, give the folder {deeper[0]}."
        return refusal(root, what, suffixes, advice=advice)
    return refusal(root, what, suffixes)


def _of_classes(inside: dict[Path, Look]) -> list[str]:
    """Warn if the folders that are taken as classes may be something else."""
    told = [
        f"The folder {printable(folder.name)} is taken as a class, because it holds videos and "
        "no class folders."
        for folder, found in inside.items()
        if side_of(folder.name) and found.videos
    ]
    nested = {
        folder: {child.name for child in found.folders}
        for folder, found in inside.items()
        if found.folders and not found.videos
    }
    shared = set.intersection(*nested.values()) if len(nested) > 1 else set()
    if len(shared) > 1:
        told.append(
            f"The class folders {some(folder.name for folder in nested)} all hold folders called "
            f"{some(shared)}. If these are the classes, turn the two levels round. If they are "
            "people or cameras, name them as groups in a videos.csv: otherwise one may be on both sides."
        )
    return told


def _of_vanished(folders: dict[str, str]) -> list[str]:
    named = [f"{name} ({why})" for name, why in folders.items() if name.casefold() not in LIST_FOLDERS]
    if not named:
        return []
    return [f"No video is taken from {counted(len(named), 'class folder')}: {some(named)}."]


def _of_lists(root: Path) -> list[str]:
    told = of_lists(root)
    return [printable(f"{told} The folders alone say which class and side a video has.")] if told else []


def _of_forms(class_folders: _ClassFolders) -> list[str]:
    """Warn if names of class folders differ only by their Unicode form or their spelling."""
    names = {folder.name for _, folder in class_folders.folders}
    forms: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        forms[one_form(name)].add(name)
    joined = [
        f"{label} ({' and '.join(sorted(map(ascii, own)))})" for label, own in forms.items() if len(own) > 1
    ]
    told = [f"Names of folders differ in their Unicode form only and are one class: {some(joined)}."]
    return [*(told if joined else []), *warn_of_spellings(set(forms))]

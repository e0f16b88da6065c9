"""Every error that vcpbench raises on purpose.

The text of each error says what happened, to which thing, and what to do next.

VcpbenchError
├── UnknownName            no such backbone, dataset, protocol, option, ... (suggests the nearest)
├── CheckpointError
│   ├── NotACheckpoint     the file is not of a format that holds weights
│   ├── DamagedCheckpoint  truncated or corrupt
│   ├── UnreadableCheckpoint  the reader fails, though the file does not seem damaged
│   ├── UnsafeCheckpoint   a pickle that asks for code; the code is named and never run
│   ├── CheckpointMismatch the file holds no whole backbone; says what differs from the closest
│   ├── SeveralNetworks    the file holds several networks, and the user must choose; lists the choices
│   ├── NonFiniteWeights   NaN or infinity among the weights, or a variance below zero
│   ├── NonFiniteFeatures  the network gives NaN or infinity for some clips
│   └── GraphError         an exported program (.pt2) that cannot be evaluated; says which part, and why
│       ├── UnknownOperation  the program has operations that vcpbench does not run; names them
│       └── GraphTooLarge  the program is larger, or would need more memory or work, than is allowed
├── ReaderFailed           the process that read a checkpoint was killed or too slow; the file may be good
├── WallsMissing           the machine lacks a wall around foreign files, and an operator requires all
├── InputError             a declared input that is not valid, or that this backbone cannot take
├── VideoError
│   ├── UndecodableVideo   no frame comes out of the decoder
│   └── UnsupportedVideo   frames come out, in colours or at an angle that cannot be converted
├── DatasetError           a dataset that cannot be evaluated as it stands
├── ProtocolError          a protocol that is not valid
├── PlanTooLarge           an evaluation of more clips than a plan may have
├── OperationError         an option that cannot be applied to this clip
├── NotAvailable           a benchmark that cannot run on this dataset, with the count that shows why
├── TrainingError          a training run that cannot start or go on with these settings
├── VersionError           parts of one installation that have different versions
└── StorageError           a full disk, a folder that cannot be written, a file that cannot be read now

An error is made of parts: words, paths, and private words. The parts become a text only where it is known who
reads it. An operator reads whole paths (`str(error)`). Everybody else reads `error.text(show)`, where `show`
decides how a path looks. `as_dict` and `from_dict` carry an error through JSON without making a text of it.
See docs/decisions/2026-11-28-errors.md.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from vcp_core.catalog.names import printable

MOST_QUOTED = 60  # characters of a value that a message repeats to its sender
MOST_NAMED = 300  # characters of an unknown name; more than of a value, for the name may be a path
MOST_KNOWN = 40  # names of a catalog that an error lists

Show = Callable[[PurePath], str]


@dataclass(frozen=True)
class Private:
    """Words for operators only, such as a library's message or a line of a file. They may hold paths.

    Attributes:
        words: The words for operators.
        instead: The words for everybody else.

    >>> error = StorageError("The copy failed: ", Private("no room on /mnt/lab7"), ".")
    >>> str(error), error.text(last_name)
    ('The copy failed: no room on /mnt/lab7.', 'The copy failed: ….')
    """

    words: str
    instead: str = "…"


Part = str | PurePath | Private


def last_name(path: PurePath) -> str:
    """Show a path by its last name only.

    >>> last_name(PurePath("/mnt/lab7/Dr. Who/x.avi"))
    'x.avi'
    """
    return path.name or "a folder"


def below(names: Mapping[PurePath, str]) -> Show:
    """Make a `show` that names known folders, and shows any other path by its last name only.

    Args:
        names: The name of each known folder or file. The first one that holds a path gives its name.

    >>> show = below({PurePath("/mnt/lab7/Dr. Who"): "gestures"})
    >>> show(PurePath("/mnt/lab7/Dr. Who")), show(PurePath("/mnt/lab7/Dr. Who/wave/x.avi"))
    ('gestures', 'gestures/wave/x.avi')
    """

    def show(path: PurePath) -> str:
        for folder, name in names.items():
            if path.is_relative_to(folder):
                return (PurePath(name) / path.relative_to(folder)).as_posix()
        return last_name(path)

    return show


class VcpbenchError(Exception):
    """Base of every error meant for a user.

    Args:
        parts: The message, in parts: words, paths (`pathlib`), and words for operators only (`Private`).
        path: The file or folder that the error is about. The text begins with it.
        fields: Other facts, as plain JSON values. Everybody may read them.

    Attributes:
        code: Name of the class. An error from another process keeps it, even if this process does not know
            the class.
        parts: As given.
        fields: As given.

    >>> error = DatasetError("no such folder.", path="/mnt/lab7/Dr. Who")
    >>> print(error)
    /mnt/lab7/Dr. Who: no such folder.
    >>> error.text(below({error.path: "gestures"}))
    'gestures: no such folder.'
    >>> VcpbenchError.from_dict(error.as_dict())
    DatasetError('/mnt/lab7/Dr. Who: no such folder.')
    """

    def __init__(self, *parts: Part, path: str | PurePath | None = None, **fields: Any) -> None:
        super().__init__(*parts)
        self.code = type(self).__name__
        self.parts = parts
        self.fields = fields
        self._about = None if path is None else Path(path)

    @property
    def path(self) -> PurePath | None:
        """The file or folder that the error is about, else the first one that its parts name."""
        named = (part for part in self.parts if isinstance(part, PurePath))
        return self._about or next(named, None)

    def text(self, show: Show | None = None) -> str:
        """Make the text of the error for a reader.

        Args:
            show: Gives the form in which this reader sees a path. None makes the text for operators, with
                whole paths and private words.
        """
        parts = self.parts if self._about is None else (self._about, ": ", *self.parts)
        # Words may hold names of files. A name that is not UTF-8 has lone surrogates in Python, and neither
        # a terminal nor JSON nor PostgreSQL takes these.
        return printable("".join(_shown(part, show) for part in parts), keep="\n")

    def __str__(self) -> str:
        """The text for operators, and for users who run vcpbench on their own files."""
        return self.text()

    def __repr__(self) -> str:
        """The class and the text for operators."""
        return f"{self.code}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the plain values, because `Exception` would call the class with the parts alone."""
        return VcpbenchError.from_dict, (self.as_dict(),)

    def about(self, path: str | PurePath | None) -> VcpbenchError:
        """Copy the error, with another file to be about, or none."""
        return self.from_dict({**self.as_dict(), "path": None if path is None else os.fspath(path)})

    def within(self, *words: Part, end: Iterable[Part] = ()) -> VcpbenchError:
        """Copy the error, with its text between `words` and `end`."""
        own = self.parts if self._about is None else (self._about, ": ", *self.parts)
        parts = [_plain(part) for part in (*words, *own, *end)]
        return self.from_dict({**self.as_dict(), "parts": parts, "path": None})

    def shortened(self, most: int) -> VcpbenchError:
        """Copy the error, with at most `most` characters of words; any other part counts as one."""
        parts: list[Any] = []
        for part in self.parts:
            parts.append(_plain(part[:most] if isinstance(part, str) else part))
            most -= len(part) if isinstance(part, str) else 1
            if most <= 0:
                break
        return self.from_dict({**self.as_dict(), "parts": parts})

    def as_dict(self) -> dict[str, Any]:
        """Turn the error into plain values, ready for JSON. `from_dict` reads them."""
        return {
            "code": self.code,
            "path": None if self._about is None else os.fspath(self._about),
            "parts": [_plain(part) for part in self.parts],
            "fields": self.fields,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> VcpbenchError:
        """Rebuild the error that `as_dict` described; a `VcpbenchError` if the class is unknown here."""
        kind = next((one for one in _family(VcpbenchError) if one.__name__ == values["code"]), VcpbenchError)
        # Not `kind(...)`: some classes make the parts from other arguments, and here the parts exist already.
        error = kind.__new__(kind)
        parts = [_part(one) for one in values["parts"]]
        VcpbenchError.__init__(error, *parts, path=values["path"], **values["fields"])
        error.code = values["code"]
        return error


def _shown(part: Part, show: Show | None) -> str:
    if isinstance(part, Private):
        return part.words if show is None else part.instead
    if isinstance(part, PurePath):
        return os.fspath(part) if show is None else show(part)
    return part


def _plain(part: Part) -> Any:
    if isinstance(part, Private):
        return {"private": part.words, "instead": part.instead}
    return {"path": os.fspath(part)} if isinstance(part, PurePath) else part


def _part(value: Any) -> Part:
    if isinstance(value, str):
        return value
    return Path(value["path"]) if "path" in value else Private(value["private"], value["instead"])


def _family(kind: type[VcpbenchError]) -> Iterable[type[VcpbenchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


class UnknownName(VcpbenchError):
    """A name that is in no catalog.

    Attributes:
        name: The name, as it was asked for.
        known: All names of the catalog, sorted.

    >>> raise UnknownName("backbone", "r3d18", ["c3d", "r3d_18"])
    Traceback (most recent call last):
    vcp_core.catalog.errors.UnknownName: No backbone 'r3d18'. Did you mean 'r3d_18'? Known: c3d, r3d_18.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        if len(name) > MOST_NAMED:  # a client may send a name as long as its whole request
            name = name[:MOST_NAMED] + "…"
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        more = f" and {len(known) - MOST_KNOWN} more" if len(known) > MOST_KNOWN else ""
        text = f"No {kind} {name!r}.{hint} Known: {', '.join(known[:MOST_KNOWN])}{more}."
        super().__init__(text, kind=kind, name=name, known=known)

    @property
    def name(self) -> str:
        """The name, as it was asked for."""
        return str(self.fields["name"])

    @property
    def known(self) -> list[str]:
        """All names of the catalog, sorted."""
        return list(self.fields["known"])


class CheckpointError(VcpbenchError):
    """A checkpoint file that cannot be used."""


class NotACheckpoint(CheckpointError):
    """The file is not of a format that holds weights."""


class DamagedCheckpoint(CheckpointError):
    """The file is truncated or corrupt."""


class UnreadableCheckpoint(CheckpointError):
    """The reader of the file's format fails, and nothing shows that the file is damaged."""


class UnsafeCheckpoint(CheckpointError):
    """A pickle that asks for a global outside the list of harmless ones. The pickle was not run."""


class CheckpointMismatch(CheckpointError):
    """The file does not hold all keys of any known backbone in their shapes."""


class SeveralNetworks(CheckpointError):
    """The file holds several whole networks, and nothing says which of them gradients trained.

    >>> SeveralNetworks("2 whole networks", choices=("a.", "b.")).choices
    ('a.', 'b.')
    """

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of `--prefix` that name them."""
        return tuple(self.fields.get("choices", ()))


class NonFiniteWeights(CheckpointError):
    """The weights hold NaN or infinity, or a variance below zero."""


class NonFiniteFeatures(CheckpointError):
    """The weights are finite, and the network's features of some clips are not."""


class GraphError(CheckpointError):
    """A program of torch.export that cannot be evaluated as it is."""


class UnknownOperation(GraphError):
    """A program with operations that are not in vcpbench's table.

    >>> UnknownOperation("...", operations=("aten.fft_fft.default",)).operations
    ('aten.fft_fft.default',)
    """

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of these operations, as torch writes them, without repeats."""
        return tuple(self.fields.get("operations", ()))


class GraphTooLarge(GraphError):
    """A program that is larger, or would need more memory or work, than is allowed."""


class ReaderFailed(VcpbenchError):
    """The process that read a checkpoint was killed, took too long or broke; the file may be a good one."""


class WallsMissing(VcpbenchError):
    """The machine cannot build a wall around foreign files, and an operator requires all walls."""


class InputError(VcpbenchError):
    """A declared input that is not valid, or that the backbone cannot take."""


class VideoError(VcpbenchError):
    """A video file that cannot be used.

    Args:
        reason: Why the file cannot be used, and what to do; without a full stop.
        path: The file.

    >>> print(UndecodableVideo("the file is empty", path="x.avi"))
    x.avi: the file is empty.
    """

    def __init__(self, reason: str, *, path: str | PurePath | None = None) -> None:
        super().__init__(f"{reason}.", path=path, reason=reason)

    @property
    def reason(self) -> str:
        """Why the file cannot be used; without the path and a full stop."""
        return str(self.fields["reason"])


class UndecodableVideo(VideoError):
    """No frame comes out of the decoder."""


class UnsupportedVideo(VideoError):
    """Frames come out of the decoder, in colours or at an angle that cannot be converted."""


class DatasetError(VcpbenchError):
    """A dataset that cannot be evaluated as it stands."""


class ProtocolError(VcpbenchError):
    """A protocol that is not valid."""


class PlanTooLarge(VcpbenchError):
    """An evaluation of more clips than a plan may have (`vcp_core.catalog.ceilings`)."""


class OperationError(VcpbenchError):
    """An option that cannot be applied to this clip."""


class NotAvailable(VcpbenchError):
    """A benchmark that cannot run on this dataset."""


class TrainingError(VcpbenchError):
    """A training run that cannot start or go on with these settings."""


class VersionError(VcpbenchError):
    """Parts of one installation that have different versions."""


class StorageError(VcpbenchError):
    """A full disk, a folder that cannot be written, or a file that cannot be read now."""

    @property
    def full(self) -> bool:
        """Whether there is no room left."""
        return bool(self.fields.get("full", False))

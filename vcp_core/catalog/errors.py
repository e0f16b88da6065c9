"""Every error that vcpbench raises on purpose. Each says what, which, and what next.

VcpbenchError
├── UnknownName            no such backbone, dataset, protocol, option, ... (suggests the nearest)
├── CheckpointError
│   ├── NotACheckpoint     the file is not of a format that holds weights
│   ├── DamagedCheckpoint  truncated or corrupt
│   ├── UnreadableCheckpoint  its reader fails, and nothing shows that the file is damaged
│   ├── UnsafeCheckpoint   a pickle that asks for code; named, refused, never run
│   ├── CheckpointMismatch no backbone's keys are all there; carries the difference
│   ├── SeveralNetworks    several whole networks, of which one must be named; carries the choices
│   ├── NonFiniteWeights   NaN or infinity among the weights, or a variance below zero
│   └── NonFiniteFeatures  the network gives NaN or infinity for some clips
├── ReaderFailed           whoever read a checkpoint was killed, or was too slow: no word on the file
├── InputError             a declared input that makes no sense, or that this backbone cannot take
├── VideoError
│   ├── UndecodableVideo   no frame comes out of the decoder
│   └── UnsupportedVideo   frames come out, in colours or at an angle that cannot be converted
├── DatasetError           a dataset that cannot be evaluated as it stands
├── ProtocolError          a protocol file that does not make sense
├── OperationError         an option that cannot be applied to this clip
├── NotAvailable           a benchmark that this dataset cannot carry, with the count that shows it
├── TrainingError          a training run that cannot start, or cannot go on, as it was asked for
├── VersionError           parts of one installation that are of two versions
└── StorageError           a full disk, a folder that cannot be written, a file that cannot be read now

An error is made of parts: words, paths, and private words. Its text is made where its reader is known. An
operator reads whole paths (`str(error)`). Everybody else reads `error.text(show)`, and `show` says how a path
is shown. An error goes through JSON (`as_dict`, `from_dict`) without becoming a text. See
docs/decisions/2026-11-28-errors.md.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from vcp_core.catalog.names import printable

MOST_QUOTED = 60  # characters of a value that are repeated to its sender
MOST_NAMED = 300  # of an unknown name, which may be a path

Show = Callable[[PurePath], str]


@dataclass(frozen=True)
class Private:
    """Words for operators only: what a library said, or a line of a file of theirs. Either may hold paths.

    Attributes:
        words: What operators read.
        instead: What everybody else reads in their place.
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
    """Show paths in known places by the place's name, and all others by their last name only.

    Args:
        names: What each known folder or file is called. The first one that holds a path names it.

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
        parts: What happened: words, paths (`pathlib`), and words for operators only (`Private`).
        path: The file or folder that the error is about. Its text begins with it.
        fields: Other facts, as JSON has them. Everybody may read them.

    Attributes:
        code: Name of the class, also where another process raised it and this one does not know the class.
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
        """The file or folder that the error is about, else the first that it names."""
        named = (part for part in self.parts if isinstance(part, PurePath))
        return self._about or next(named, None)

    def text(self, show: Show | None = None) -> str:
        """Make the text.

        Args:
            show: How a path is shown to this reader. None is for operators: they read whole paths and
                private words.
        """
        parts = self.parts if self._about is None else (self._about, ": ", *self.parts)
        # Names of files go into the words. A terminal, JSON and PostgreSQL take no lone surrogates.
        return printable("".join(_shown(part, show) for part in parts), keep="\n")

    def __str__(self) -> str:
        """The text for operators, and for whoever runs vcpbench on files of their own."""
        return self.text()

    def __repr__(self) -> str:
        """The class and the text for operators."""
        return f"{self.code}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts and fields: `Exception` would call the class with them as arguments."""
        return VcpbenchError.from_dict, (self.as_dict(),)

    def about(self, path: str | PurePath | None) -> VcpbenchError:
        """The same error about another file, or about none."""
        return self.from_dict({**self.as_dict(), "path": None if path is None else os.fspath(path)})

    def within(self, *words: Part, end: Iterable[Part] = ()) -> VcpbenchError:
        """The same error, its text put between other parts."""
        own = self.parts if self._about is None else (self._about, ": ", *self.parts)
        parts = [_plain(part) for part in (*words, *own, *end)]
        return self.from_dict({**self.as_dict(), "parts": parts, "path": None})

    def shortened(self, most: int) -> VcpbenchError:
        """The same error, of at most so many characters of words; paths count as one."""
        parts: list[Any] = []
        for part in self.parts:
            parts.append(_plain(part[:most] if isinstance(part, str) else part))
            most -= len(part) if isinstance(part, str) else 1
            if most <= 0:
                break
        return self.from_dict({**self.as_dict(), "parts": parts})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them."""
        return {
            "code": self.code,
            "path": None if self._about is None else os.fspath(self._about),
            "parts": [_plain(part) for part in self.parts],
            "fields": self.fields,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> VcpbenchError:
        """The error that `as_dict` described; `VcpbenchError` with that code where the class is unknown."""
        kind = next((one for one in _family(VcpbenchError) if one.__name__ == values["code"]), VcpbenchError)
        error = kind.__new__(kind)  # some classes make their parts themselves; these are made already
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
        known: The names that there are.

    >>> raise UnknownName("backbone", "r3d18", ["c3d", "r3d_18"])
    Traceback (most recent call last):
    vcp_core.catalog.errors.UnknownName: No backbone 'r3d18'. Did you mean 'r3d_18'? Known: c3d, r3d_18.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        if len(name) > MOST_NAMED:  # what a client sent may be as long as its whole request
            name = name[:MOST_NAMED] + "…"
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        text = f"No {kind} {name!r}.{hint} Known: {', '.join(known)}."
        super().__init__(text, kind=kind, name=name, known=known)

    @property
    def name(self) -> str:
        """The name, as it was asked for."""
        return str(self.fields["name"])

    @property
    def known(self) -> list[str]:
        """The names that there are."""
        return list(self.fields["known"])


class CheckpointError(VcpbenchError):
    """A checkpoint file that cannot be used."""


class NotACheckpoint(CheckpointError):
    """The file is not of a format that holds weights."""


class DamagedCheckpoint(CheckpointError):
    """The file is truncated or corrupt."""


class UnreadableCheckpoint(CheckpointError):
    """The file's reader fails, and nothing shows that the file is damaged."""


class UnsafeCheckpoint(CheckpointError):
    """A pickle that asks for a global which is not on the list of harmless ones; it was not run."""


class CheckpointMismatch(CheckpointError):
    """No known backbone's keys and shapes are all in the file."""


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
    """The weights are finite, and what the network makes of some clips is not."""


class ReaderFailed(VcpbenchError):
    """The process that read a checkpoint was killed, took too long or broke; the file may be a good one."""


class InputError(VcpbenchError):
    """A declared input that makes no sense, or that the backbone cannot take."""


class VideoError(VcpbenchError):
    """A video file that cannot be used.

    Args:
        reason: Why, and what to do; without a full stop.
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
    """A protocol that does not make sense."""


class OperationError(VcpbenchError):
    """An option that cannot be applied to this clip."""


class NotAvailable(VcpbenchError):
    """A benchmark that this dataset cannot carry."""


class TrainingError(VcpbenchError):
    """A training run that cannot start, or cannot go on, as it was asked for."""


class VersionError(VcpbenchError):
    """Parts of one installation that are of two versions."""


class StorageError(VcpbenchError):
    """A full disk, a folder that cannot be written, or a file that cannot be read now."""

    @property
    def full(self) -> bool:
        """Whether there is no room left."""
        return bool(self.fields.get("full", False))

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
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_QUOTED = 60  # characters of a value that are repeated to its sender
MOST_NAMED = 300  # of an unknown name, which may be a path


class VcpbenchError(Exception):
    """Base of every error meant for a user; its text is what the user reads."""


class UnknownName(VcpbenchError):
    """A name that is in no catalog.

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
        super().__init__(f"No {kind} {name!r}.{hint} Known: {', '.join(known)}.")


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

    Attributes:
        choices: The values of `--prefix` that name them.

    >>> SeveralNetworks("2 whole networks", choices=("a.", "b.")).choices
    ('a.', 'b.')
    """

    choices: tuple[str, ...] = ()

    def __init__(self, text: str, *, choices: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.choices = tuple(choices)


class NonFiniteWeights(CheckpointError):
    """The weights hold NaN or infinity, or a variance below zero."""


class NonFiniteFeatures(CheckpointError):
    """The weights are finite, and what the network makes of some clips is not."""


class ReaderFailed(VcpbenchError):
    """The process that read a checkpoint was killed, took too long or broke; the file may be a good one."""


class InputError(VcpbenchError):
    """A declared input that makes no sense, or that the backbone cannot take."""


class VideoError(VcpbenchError):
    """A video file that cannot be used."""


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

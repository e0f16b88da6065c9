"""Read foreign checkpoints: open them in a sandbox, recognise the backbone, convert to safetensors.

A foreign file is one that somebody else wrote: it may be damaged or hostile.

load_checkpoint(path)              the network, ready to use, and a report of how it was found
start_loading(path)                the same in the background: the caller does other work meanwhile
inspect_checkpoint(path)           the report alone
precheck(path)                     problems that can be seen without opening the file
ingest(path, canonical_path)       write the canonical file, and report
read_canonical(canonical_path)     the network of a canonical file

    sandbox.py       let a child process read a foreign file, and take over what the child writes
    child_process.py the child process: its start, its limits, its answer and its end
    child.py         the work of the child process
    handed.py        the file and the folder that the child gets
    formats.py       the format of a file, by its bytes
    archives.py      zip archives of torch.save
    pickles.py       the globals that a pickle asks for; nothing is run
    placeholders.py  harmless objects in place of the objects in a pickle
    scripted.py      stand-ins for the objects in a TorchScript archive
    arrays.py        NumPy arrays from a pickle
    read.py          tensors from a file
    folders.py       folders that people pass instead of a checkpoint file
    names.py         names of tensors
    match.py         the backbones in a file
    networks.py      the choice among several networks in a file
    trainers.py      step, epoch and run, as trainers write them beside the weights
    origin.py        the header that our own exports carry
    canonical.py     the canonical file: float32 safetensors with our own keys
    report.py        the report for users
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from vcp_core.catalog.errors import StorageError
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.checkpoints.report import CheckpointReport
from vcp_core.checkpoints.sandbox import Reading, ingest, precheck, start_reading

if TYPE_CHECKING:
    from vcp_core.backbones import Backbone

__all__ = [
    "CheckpointReport",
    "Loading",
    "ingest",
    "inspect_checkpoint",
    "load_checkpoint",
    "precheck",
    "read_canonical",
    "start_loading",
]

P = ParamSpec("P")  # what a function of progress is told


def load_checkpoint(
    path: str | Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> tuple[Backbone, CheckpointReport]:
    """Load the network of a weights file, in eval mode on the CPU, with a report of how it was found.

    Only a child process opens the file (see sandbox.py). Starting it takes a few seconds.

    Args:
        path: The file: .pt, .pth, .tar, .ckpt, .safetensors, or .pt2 of torch.export. Its bytes count, not
            its suffix.
        backbone: Name of the architecture. If left out, it is recognised by the names and shapes of tensors.
            A .pt2 file is an architecture of its own.
        prefix: Which of several networks in the file to load ("teacher."). If left out, the one that
            gradients trained, and not an average of its weights. `CheckpointReport.others` lists the others.
        variant: The form of the network, if no tensor shows it: "tclr", "bgr"
            (`vcp_core.catalog.variants`).
        input_spec: The network's input, if it is not its family's: "frames=8,stride=4,crop=224,..."
            (`vcp_core.catalog.inputs`).

    Raises:
        UnknownName: If there is no such backbone, or the backbone has no such variant.
        InputError: If the declared input is not valid, or the network cannot take it. Also if neither a .pt2
            file nor the declaration says its stride, resize, mean and std.
        CheckpointError: If the file is not a whole, safe, finite checkpoint of a known backbone.
        ReaderFailed: If the child process was killed, took too long or broke. The file may be good.
        StorageError: If there is no room for the canonical copy, which is deleted before this returns.

    >>> load_checkpoint("epoch-300.pt")
    Traceback (most recent call last):
    vcp_core.catalog.errors.NotACheckpoint: epoch-300.pt: no such file.
    """
    with start_loading(
        path, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
    ) as loading:
        return loading.loaded()


@contextmanager
def start_loading(
    path: str | Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> Iterator[Loading]:
    """Start a child process that reads the file, with the arguments of `load_checkpoint`.

    The caller can do other work until it asks for the network. A child that has not ended by the end of the
    block is killed. The thread that starts the child must live until the child ends.

    Raises:
        VcpbenchError: As `load_checkpoint`, if the problem can be seen without opening the file.
    """
    with ExitStack() as held:
        canonical_path = held.enter_context(_temporary_file())
        reading = held.enter_context(
            start_reading(
                path,
                canonical_path,
                backbone=backbone,
                prefix=prefix,
                variant=variant,
                input_spec=input_spec,
            )
        )
        yield Loading(
            path=path,
            backbone=backbone,
            prefix=prefix,
            variant=variant,
            input_spec=input_spec,
            _reading=reading,
            _canonical_path=canonical_path,
            _held=held,
        )


@dataclass(frozen=True, kw_only=True)
class Loading:
    """A weights file that a child process reads (see `start_loading`).

    Attributes:
        path: The file. This and the attributes below are the arguments of `start_loading`.
        backbone: Name of the architecture.
        prefix: Prefix of the network's keys.
        variant: The form of the network.
        input_spec: The declared input of the network.
    """

    path: str | Path
    backbone: str | None
    prefix: str | None
    variant: str | None
    input_spec: str | None
    _reading: Reading
    _canonical_path: Path
    _held: ExitStack

    def watching(self, tell: Callable[P, None]) -> Callable[P, None]:
        """Make a function that does as `tell`, but raises the error of a bad file once the child has told it.

        Other work that tells its progress by this function ends early if the file is bad. `loaded` may still
        find that the network cannot take the declared input.
        """

        def told(*arguments: P.args, **named: P.kwargs) -> None:
            self._reading.look()
            tell(*arguments, **named)

        return told

    def loaded(self) -> tuple[Backbone, CheckpointReport]:
        """Wait until the file is read, and load its network. Call this once.

        It returns and fails as `load_checkpoint`. Afterwards, no file and no process are left.
        """
        with self._held:
            report = self._reading.report()
            network = read_canonical(
                self._canonical_path,
                graph=report.graph,
                scheme=report.scheme,
                variant=self.variant,
                input_spec=self.input_spec,
            )
        return network, report


def inspect_checkpoint(
    path: str | Path,
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> CheckpointReport:
    """Report how the backbone was found in a weights file; fails as `load_checkpoint` does.

    The caller's process does not import torch.
    """
    with _temporary_file() as canonical_path:
        return ingest(
            path, canonical_path, backbone=backbone, prefix=prefix, variant=variant, input_spec=input_spec
        )


def read_canonical(
    path: Path,
    *,
    graph: GraphFacts | None = None,
    scheme: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> Backbone:
    """Load the network of a file that `ingest` wrote, in eval mode on the CPU.

    Args:
        path: The file.
        graph: The facts of the graph in it (`CheckpointReport.graph`); None for a network of a family.
        scheme: The key scheme of the original file (`CheckpointReport.scheme`); None for the backbone's
            first.
        variant: The form of the network, if no tensor shows it.
        input_spec: The declared input of the network.

    Raises:
        UnknownName: If the backbone has no such key scheme or variant.
        DamagedCheckpoint: If the file is not whole.
        InputError: If the declared input is not valid, or the network cannot take it.

    >>> from vcp_core.backbones import build
    >>> from vcp_core.checkpoints.canonical import write_canonical
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "canonical.safetensors"
    ...     write_canonical(path, "r3d_tiny", build("r3d_tiny").state_dict())
    ...     backbone = read_canonical(path)
    >>> backbone.spec.name, backbone.training
    ('r3d_tiny', False)
    """
    # Imported here: `import vcp_core.checkpoints` must not load torch.
    from vcp_core.checkpoints.canonical import read_canonical as read

    return read(path, graph=graph, scheme=scheme, variant=variant, input_spec=input_spec)


@contextmanager
def _temporary_file() -> Iterator[Path]:
    """Give the path of a canonical file that is deleted at the end of the block."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="vcpbench-")
    except OSError as error:
        raise StorageError(
            f"No temporary folder can be made ({error.strerror}). Set TMPDIR to a folder with room."
        ) from error
    with folder:
        yield Path(folder.name) / "canonical.safetensors"

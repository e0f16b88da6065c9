"""Starts a training run: from a dataset, a folder and numbers to checkpoints and a log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from vcp_core.backbones import build
from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.files import refuse_unwritable
from vcp_core.catalog.paths import cache_dir
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.datasets.manifest import Video
from vcp_core.evaluation.machine import describe_device, network_threads, pick_device, versions
from vcp_core.pretraining.config import PretrainConfig, TrainingConfig
from vcp_core.pretraining.curves import Curves
from vcp_core.pretraining.devices import check_devices, start_fabric
from vcp_core.pretraining.frames import Frames, FramesOnDevice, FrameStore
from vcp_core.pretraining.loop import Row, Trainer
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.runs import BEST, RunFolder, RunProgress, name_of
from vcp_core.pretraining.tasks import ClozeTask, Task

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

MOVES_NOTHING = ("export_every", "save_steps")  # how often files are written; a run may go on with others
FRAMES_LIMIT_BYTES = 8_000_000_000  # the playground takes 1.2 GB, UCF101 160


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The resources of a run.

    Only the device and the number of processes change the digits of its weights. On a CPU the number of
    torch's threads (OMP_NUM_THREADS) changes them, too, because gradients are summed in another order.

    Attributes:
        device: "cpu", "cuda", ...; a GPU if there is one.
        frames_limit_bytes: Largest size of the decoded frames in the cache folder.
    """

    device: str | None = None
    frames_limit_bytes: int = FRAMES_LIMIT_BYTES

    def __post_init__(self) -> None:
        if self.frames_limit_bytes < 0:
            raise TrainingError(f"frames_limit_bytes must be at least 0, got {self.frames_limit_bytes}.")


class Watcher(Interface):
    """Receives the progress of a run. Only the first process reports."""

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Called before the first step, with the run's name, notes for the reader, and the progress."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Called after every step, with the steps done, the steps of the whole run, and the step's loss."""

    def on_epoch(self, row: Row) -> None:
        """Called after every epoch, with its line of the log."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result of a training run.

    Attributes:
        best: The checkpoint with the lowest held-out loss.
        last: The checkpoint of the last epoch; None if the file was moved away.
        progress: The progress at the end.
        log: One row per epoch.
        notes: Remarks for readers of the results, such as videos left out.
    """

    best: Path
    last: Path | None
    progress: RunProgress
    log: tuple[Row, ...]
    notes: tuple[str, ...]


def precheck(out: Path, config: TrainingConfig, machine: Machine) -> None:
    """Check everything about a run but its dataset, before the dataset takes minutes to decode.

    Args:
        out: Folder of the run. The check does not make it.
        config: The numbers of the run.
        machine: The resources of the run.

    Raises:
        VcpbenchError: If the device or Lightning Fabric is missing, or cannot train with these numbers.
        StorageError: If the folder cannot be written.
    """
    check_devices(pick_device(machine.device), config.precision)
    refuse_unwritable(out / "run.json")


def pretrain(
    dataset: str | Path | Dataset,
    out: Path,
    config: PretrainConfig,
    *,
    run: str | None = None,
    machine: Machine | None = None,
    watcher: Watcher | None = None,
) -> Trained:
    """Train a backbone from random weights to answer cloze questions.

    After an interruption the same call goes on from the last saved state.

    Args:
        dataset: A name, a folder, or the result of `load_dataset`. Only its training side is used.
        out: Folder of the run.
        config: The numbers of the run.
        run: The run's name, which its checkpoints record; the folder's name if left out.
        machine: The resources of the run.
        watcher: Receives the progress.

    Raises:
        VcpbenchError: If the run cannot be trained as asked.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once the state is saved.
    """
    machine = machine or Machine()
    precheck(out, config, machine)
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    backbone = build(config.backbone, seed=config.seed)
    task = ClozeTask(loaded, backbone.spec, config)
    begun = Run(loaded, out, config, run, machine, {"backbone": config.backbone})
    network = ClipsNetwork(
        backbone, num_clips=3, num_answers=len(task.answers), head=config.head, seed=config.seed
    )
    trainer = begun.trainer(task, network)
    return begun.train(trainer, watcher)


@dataclass(frozen=True)
class Run:
    """One run of pretraining or finetuning: the steps that both share."""

    dataset: Dataset
    out: Path
    config: TrainingConfig
    run: str | None
    machine: Machine
    origin: dict[str, Any]

    @property
    def name(self) -> str:
        """The given name, or the name that the run began with, or the folder's name."""
        return name_of(self.out, self.run)

    def trainer(self, task: Task, network: ClipsNetwork) -> Trainer:
        """Claim the run's folder, and make the trainer at the last saved state."""
        spec, division = network.backbone.spec, task.division
        device = pick_device(self.machine.device)
        fabric = start_fabric(device, self.config.precision)
        config = {name: value for name, value in self.config.as_dict().items() if name not in MOVES_NOTHING}
        identity = {"task": task.name, **self.origin, **config, "dataset": self.dataset.fingerprint}
        folder = RunFolder(self.out, identity=identity, facts=self._facts(task, spec.name, fabric))
        try:
            if fabric.is_global_zero:
                folder.claim()
            fabric.barrier()
            frames = self._frames((*division.train, *division.held_out), spec.resize, fabric.device)
            trainer = Trainer(task, network, frames, self.config, folder, fabric)
            self._refuse_without_best(trainer.progress)
            return trainer
        except BaseException:  # Ctrl-C, too, must release the folder
            folder.release()
            raise

    def _frames(self, videos: tuple[Video, ...], size: tuple[int, int], device: torch.device) -> Frames:
        store = FrameStore(
            self.dataset,
            videos,
            size=size,
            folder=cache_dir() / "frames",
            limit_bytes=self.machine.frames_limit_bytes,
        )
        if FramesOnDevice.fit(videos, size=size, device=device):
            return FramesOnDevice(store, videos, size=size, device=device)
        return store

    def _refuse_without_best(self, progress: RunProgress) -> None:
        """Refuse to go on without the best checkpoint, because the run may never be as good again."""
        best = self.out / BEST
        if progress.best and not best.is_file():
            raise TrainingError(
                f"{best} is missing: the weights of epoch {progress.best.epoch}, the best of this run on its "
                f"held-out videos. Put it back, or train again in another --out. {self.out / 'state.pt'} has "
                f"the weights of step {progress.step}, and loads as a checkpoint."
            )

    def train(self, trainer: Trainer, watcher: Watcher | None) -> Trained:
        """Train to the end, and release the folder."""
        folder = trainer.folder
        notes = (*trainer.task.division.notes, *folder.notes)
        try:
            if trainer.fabric.is_global_zero:
                self._train_and_tell(trainer, watcher, notes)
            else:
                trainer.run()
        finally:
            folder.release()
        last = self.out / f"checkpoints/step-{trainer.progress.step:06d}.safetensors"
        return Trained(
            best=self.out / BEST,
            last=last if last.is_file() else None,
            progress=trainer.progress,
            log=tuple(trainer.folder.read_log()),
            notes=notes,
        )

    def _train_and_tell(self, trainer: Trainer, watcher: Watcher | None, notes: tuple[str, ...]) -> None:
        curves = Curves(self.out / "tensorboard", trainer.progress.step)

        def on_step(done: int, total: int, loss: float) -> None:
            curves.step(done, loss)
            if watcher:
                watcher.on_step(done, total, loss)

        def on_epoch(row: Row) -> None:
            curves.add(row)
            if watcher:
                watcher.on_epoch(row)

        if watcher:
            watcher.on_start(self.name, notes, trainer.progress)
        try:
            trainer.run(on_step=on_step, on_epoch=on_epoch)
        finally:
            curves.close()

    def _facts(self, task: Task, backbone: str, fabric: Fabric) -> dict[str, Any]:
        """The facts that every checkpoint of this run records."""
        return {
            "backbone": backbone,
            "run": self.name,
            "task": task.name,
            "config": self.config.as_dict(),
            **{key: value for key, value in self.origin.items() if key != "backbone"},
            "dataset": self.dataset.name,
            "dataset_split": self.dataset.split_name,
            "dataset_fingerprint": self.dataset.fingerprint,
            "processes": fabric.world_size,
            **network_threads(fabric.device),
            "device": describe_device(fabric.device),
            "versions": versions(),
        }

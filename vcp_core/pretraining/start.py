"""Where a run begins: a data set, a folder and numbers in; checkpoints and a log out."""

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

MOVES_NOTHING = ("export_every", "save_steps")  # how often something is written: a run may change its mind
FRAMES_LIMIT_BYTES = 8_000_000_000  # the playground takes 1.2 GB, UCF101 160


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a run may use; none of it changes its digits but the device and the number of processes.

    On a CPU the number of torch's threads (OMP_NUM_THREADS) changes them as well: gradients are other sums.

    Attributes:
        device: "cpu", "cuda", ...; a GPU if there is one.
        frames_limit_bytes: Of decoded frames kept in the cache folder.
    """

    device: str | None = None
    frames_limit_bytes: int = FRAMES_LIMIT_BYTES

    def __post_init__(self) -> None:
        if self.frames_limit_bytes < 0:
            raise TrainingError(f"frames_limit_bytes must be at least 0, got {self.frames_limit_bytes}.")


class Watcher(Interface):
    """Who is told how a run goes; only the first process tells."""

    def on_start(self, run: str, notes: tuple[str, ...], progress: RunProgress) -> None:
        """Before the first step: the run's name, what is left out, and where it goes on."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """After every step: steps done, steps of the whole run, the step's loss."""

    def on_epoch(self, row: Row) -> None:
        """After every epoch: the log's line."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run of training left.

    Attributes:
        best: The checkpoint of the lowest held-out loss.
        last: The checkpoint of the last epoch; None where it was moved away since.
        progress: Where it ended.
        log: A row per epoch.
        notes: What a reader must know.
    """

    best: Path
    last: Path | None
    progress: RunProgress
    log: tuple[Row, ...]
    notes: tuple[str, ...]


def precheck(out: Path, config: TrainingConfig, machine: Machine) -> None:
    """Find what is wrong with a run without its dataset, which takes long to decode or to make.

    Args:
        out: Folder of the run; not made yet.
        config: Its numbers.
        machine: What it may use.

    Raises:
        VcpbenchError: If a device or Lightning Fabric is not there, or cannot do this.
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
    """Train a backbone from random weights to answer cloze questions; call again to go on.

    Args:
        dataset: A name, a folder, or what `load_dataset` gave; its training side is used.
        out: Folder of the run.
        config: Its numbers.
        run: Its name, which its checkpoints carry; the folder's if left out.
        machine: What it may use.
        watcher: Who is told how it goes.

    Raises:
        VcpbenchError: For everything that cannot be trained as asked.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when the state is saved.
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
    """What both kinds of run do alike."""

    dataset: Dataset
    out: Path
    config: TrainingConfig
    run: str | None
    machine: Machine
    origin: dict[str, Any]

    @property
    def name(self) -> str:
        """As given, as it began, or the folder's."""
        return name_of(self.out, self.run)

    def trainer(self, task: Task, network: ClipsNetwork) -> Trainer:
        """The run, ready to go on."""
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
        except BaseException:
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
        """A run that goes on may never again be as good as the file that its state speaks of."""
        best = self.out / BEST
        if progress.best and not best.is_file():
            raise TrainingError(
                f"{best} is missing: the weights of epoch {progress.best.epoch}, the best of this run on its "
                f"held-out videos. Put it back, or train again in another --out. {self.out / 'state.pt'} has "
                f"the weights of step {progress.step}, and loads as a checkpoint."
            )

    def train(self, trainer: Trainer, watcher: Watcher | None) -> Trained:
        """To the end."""
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
        """What a checkpoint of this run says about itself."""
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

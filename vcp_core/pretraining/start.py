"""Where a run begins: a data set, a folder and numbers in; checkpoints and a log out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vcp_core.backbones import build
from vcp_core.catalog.errors import TrainingError
from vcp_core.catalog.paths import cache_dir
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.evaluation import pick_device, versions
from vcp_core.pretraining.config import PretrainConfig, TrainingConfig
from vcp_core.pretraining.curves import Curves
from vcp_core.pretraining.devices import start_fabric
from vcp_core.pretraining.frames import Frames, FramesOnDevice, FrameStore
from vcp_core.pretraining.loop import Row, Trainer
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.runs import Place, RunFolder
from vcp_core.pretraining.tasks import ClozeTask, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FRAMES_LIMIT_BYTES = 8 * 1024**3  # the playground takes 1.2 GB, UCF101 160


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


class Watcher(Protocol):
    """Who is told how a run goes; only the first process tells."""

    def on_start(self, run: str, notes: tuple[str, ...], place: Place) -> None:
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
        place: Where it ended.
        log: A row per epoch.
        notes: What a reader must know.
    """

    best: Path
    place: Place
    log: tuple[Row, ...]
    notes: tuple[str, ...]


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
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    backbone = build(config.backbone, seed=config.seed)
    task = ClozeTask(loaded, backbone.spec, config)
    begun = Run(loaded, out, config, run, machine or Machine(), {"backbone": config.backbone})
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
        """As given, or the folder's."""
        return self.run or self.out.absolute().name

    def trainer(self, task: Task, network: ClipsNetwork) -> Trainer:
        """The run, ready to go on."""
        spec, division = network.backbone.spec, task.division
        device = pick_device(self.machine.device)
        fabric = start_fabric(device, self.config.precision)
        identity = {
            "task": task.name,
            **self.origin,
            **self.config.as_dict(),
            "dataset": self.dataset.fingerprint,
        }
        folder = RunFolder(self.out, identity=identity, facts=self._facts(task, spec.name, fabric))
        if fabric.is_global_zero:
            folder.claim()
        fabric.barrier()
        videos = (*division.train, *division.held_out)
        store = FrameStore(
            self.dataset,
            videos,
            size=spec.resize,
            folder=cache_dir() / "frames",
            limit_bytes=self.machine.frames_limit_bytes,
        )
        frames: Frames = store
        if FramesOnDevice.fit(videos, size=spec.resize, device=fabric.device):
            frames = FramesOnDevice(store, videos, size=spec.resize, device=fabric.device)
        return Trainer(task, network, frames, self.config, folder, fabric)

    def train(self, trainer: Trainer, watcher: Watcher | None) -> Trained:
        """To the end."""
        notes = trainer.task.division.notes
        if trainer.fabric.is_global_zero:
            self._train_and_tell(trainer, watcher, notes)
        else:
            trainer.run()
        folder = trainer.folder
        return Trained(
            best=folder.path / "best.safetensors",
            place=trainer.place,
            log=tuple(folder.read_log()),
            notes=notes,
        )

    def _train_and_tell(self, trainer: Trainer, watcher: Watcher | None, notes: tuple[str, ...]) -> None:
        curves = Curves(self.out / "tensorboard", trainer.place.step)

        def on_step(done: int, total: int, loss: float) -> None:
            curves.step(done, loss)
            if watcher:
                watcher.on_step(done, total, loss)

        def on_epoch(row: Row) -> None:
            curves.add(row)
            if watcher:
                watcher.on_epoch(row)

        if watcher:
            watcher.on_start(self.name, notes, trainer.place)
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
            "versions": versions(),
        }

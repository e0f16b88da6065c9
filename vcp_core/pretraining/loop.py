"""The training loop that pretraining and finetuning share.

Configuration, dataset, number of processes and, on a CPU, number of threads determine a run. The examples of
a step are drawn by (seed, epoch, video). The step decides the learning rate. Everything else is in the saved
state. So a killed run goes on from its last state, and ends with the same weights as without the kill.

Legend: B examples, A answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vcp_core.catalog.errors import TrainingError
from vcp_core.pretraining.batches import Batch, iter_batches
from vcp_core.pretraining.config import TrainingConfig, learning_rate
from vcp_core.pretraining.devices import Stop, reproducible, share_buffers, total
from vcp_core.pretraining.examples import BLANK, Example, shuffled
from vcp_core.pretraining.frames import Frames
from vcp_core.pretraining.network import ClipsNetwork
from vcp_core.pretraining.rearrange import Rearrangements
from vcp_core.pretraining.runs import BEST, Best, RunFolder, RunProgress
from vcp_core.pretraining.tasks import Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WORKERS = 2  # threads that read frames ahead
Row = dict[str, Any]
OnStep = Callable[[int, int, float], None]
OnEpoch = Callable[[Row], None]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Sums of losses and right answers. Sums of several processes or of parts of an epoch can be added."""

    values: list[float]

    @classmethod
    def empty(cls, num_answers: int) -> Tally:
        """A tally of no examples."""
        return cls(values=[0.0] * (1 + 2 * num_answers))

    def add(self, losses_B: Tensor, logits_BA: Tensor, answers_B: Tensor) -> None:
        """Count a batch."""
        right_B = logits_BA.argmax(dim=1) == answers_B
        self.values[0] += float(losses_B.sum(dtype=torch.float64))
        for answer, right in zip(answers_B.tolist(), right_B.tolist(), strict=True):
            self.values[1 + 2 * answer] += 1
            self.values[2 + 2 * answer] += right

    @property
    def count(self) -> float:
        """Examples counted."""
        return sum(self.values[1::2])

    @property
    def loss(self) -> float:
        """Mean loss over examples."""
        return self.values[0] / max(1.0, self.count)

    @property
    def accuracy(self) -> float:
        """Percentage of examples with the right answer."""
        return 100 * sum(self.values[2::2]) / max(1.0, self.count)

    def by_answer(self, answers: Sequence[str]) -> dict[str, float]:
        """Percentage of right answers for each answer that had examples."""
        pairs = zip(answers, self.values[1::2], self.values[2::2], strict=True)
        return {answer: 100 * right / asked for answer, asked, right in pairs if asked}


class Trainer:
    """Trains one run from the last saved state of its folder to the end.

    Args:
        task: The task to learn.
        network: The network to train, with its initial weights.
        frames: The source of the videos' pixels.
        config: The numbers of the run.
        folder: The folder of state, log and checkpoints.
        fabric: Launched Fabric, with one device per process.
    """

    def __init__(
        self,
        task: Task,
        network: ClipsNetwork,
        frames: Frames,
        config: TrainingConfig,
        folder: RunFolder,
        fabric: Fabric,
    ) -> None:
        self.task, self.frames, self.config, self.folder, self.fabric = task, frames, config, folder, fabric
        if config.batch % fabric.world_size:
            raise TrainingError(
                f"A batch of {config.batch} cannot be shared by {fabric.world_size} processes."
            )
        spec = network.backbone.spec
        self._offsets, self._size = range(0, spec.clip_span, spec.stride), spec.clip_shape[2:]
        self._steps = len(task.division.train) // config.batch
        self._rearrange = Rearrangements(spec.clip_frames, self._size, fabric.device)
        self.network = network
        optimizer = _optimizer(network, config)
        self.progress = RunProgress()
        saved = folder.load()
        if saved is not None:
            self.progress, model, momenta = saved
            network.load_state_dict(model)
            if not fabric.is_global_zero:
                self.progress.tally = {}  # the saved sum is over all processes: only the first keeps it
        self._model, self._optimizer = fabric.setup(network, optimizer)
        if saved is not None:  # after setup has moved the network, so that momenta are loaded onto its device
            self._optimizer.load_state_dict(momenta)

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole run."""
        return self._steps * self.config.epochs

    def run(self, *, on_step: OnStep | None = None, on_epoch: OnEpoch | None = None) -> RunProgress:
        """Train to the end, or until a signal asks to stop.

        Args:
            on_step: Called with (steps done, steps in all, the step's loss).
            on_epoch: Called with an epoch's line of the log.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM, once the state is saved.
            TrainingError: If the loss is NaN or infinite.
            StorageError: If the folder cannot be written.
        """
        with Stop() as stop, reproducible():
            while not self.progress.finished:
                begun = time.perf_counter()
                self._train_epoch(stop, on_step)
                row = self._end_epoch(time.perf_counter() - begun)
                if on_epoch:
                    on_epoch(row)
        return self.progress

    def _train_epoch(self, stop: Stop, on_step: OnStep | None) -> None:
        progress, steps = self.progress, self._steps
        first = progress.step - progress.epoch * steps
        tally = Tally(values=progress.tally.get("values", Tally.empty(len(self.task.answers)).values))
        # Set before the loop: a process with no batch left must have a tally, too.
        progress.tally = {"values": tally.values}
        self._model.train()
        for batch in self._batches(self.epoch(progress.epoch, first)):
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate(self.config, progress.step, steps)
            losses_B, logits_BA = self._forward(self._model, batch)
            loss = losses_B.mean()
            self._optimizer.zero_grad()
            self.fabric.backward(loss)
            self._optimizer.step()
            tally.add(losses_B.detach(), logits_BA.detach(), batch.answers_B)
            self._refuse_diverged(float(loss.detach()))
            progress.step += 1
            progress.tally = {"values": tally.values}
            if on_step:
                on_step(progress.step, self.total_steps, float(loss.detach()))
            stopped = stop.agreed(self.fabric)
            # The last step of an epoch is saved by `_end_epoch`, with the result on the held-out videos.
            if stopped or (progress.step % self.config.save_steps == 0 and progress.step % steps):
                self._refuse_broken_weights()
                self._save()
            if stopped:
                raise KeyboardInterrupt

    def _end_epoch(self, seconds: float) -> Row:
        self._refuse_broken_weights()
        progress, config = self.progress, self.config
        progress.epoch += 1
        trained = Tally(values=total(progress.tally["values"], self.fabric))
        progress.tally = {}
        row: Row = {
            "epoch": progress.epoch,
            "step": progress.step,
            "examples": int(trained.count),
            "lr": learning_rate(config, progress.step - 1, self._steps),
            "loss": trained.loss,
            "accuracy": trained.accuracy,
            "accuracy_of": trained.by_answer(self.task.answers),
        }
        last = progress.epoch == config.epochs
        if last or progress.epoch % config.validate_every == 0:
            held_out = self.validate()
            self._refuse_diverged(held_out.loss)
            row |= self._look(held_out)
        progress.finished = last or (0 < config.patience <= progress.looks_since_best)
        if self.fabric.is_global_zero:
            if progress.finished or progress.epoch % config.export_every == 0:
                self.folder.export(
                    f"checkpoints/step-{progress.step:06d}.safetensors", self.network.exported(), progress
                )
            # Before the state: a run killed in between trains the epoch again, and `log` replaces its row.
            self.folder.log(row | {"seconds": round(seconds, 1)})
        self._save()
        return row

    def _look(self, held_out: Tally) -> Row:
        """Record the result on the held-out videos, and export the weights if they are the best so far."""
        progress = self.progress
        progress.looks_since_best += 1
        if progress.best is None or held_out.loss < progress.best.loss:
            progress.looks_since_best = 0
            progress.best = Best(
                epoch=progress.epoch, step=progress.step, loss=held_out.loss, accuracy=held_out.accuracy
            )
            if self.fabric.is_global_zero:
                self.folder.export(BEST, self.network.exported(), progress)
        return {
            "held_out": {
                "loss": held_out.loss,
                "accuracy": held_out.accuracy,
                "accuracy_of": held_out.by_answer(self.task.answers),
                "best": progress.looks_since_best == 0,
            }
        }

    def validate(self) -> Tally:
        """Loss and accuracy on the held-out videos."""
        share_buffers(self.network, self.fabric)
        tally = Tally.empty(len(self.task.answers))
        for batch, logits_BA in self.answer(self.task.held_out()):
            losses_B = nn.functional.cross_entropy(logits_BA, batch.answers_B, reduction="none")
            tally.add(losses_B, logits_BA, batch.answers_B)
        return Tally(values=total(tally.values, self.fabric))

    def answer(self, examples: Sequence[Example]) -> Iterator[tuple[Batch, Tensor]]:
        """Forward this process's part of the examples, and yield batches with their logits."""
        rank, world, batch = self.fabric.global_rank, self.fabric.world_size, self.config.batch
        mine = examples[rank::world]
        self.network.eval()
        for one in self._batches(mine[i : i + batch] for i in range(0, len(mine), batch)):
            with torch.inference_mode(), self.fabric.autocast():
                logits_BA = self.network(self._filled(one), one.clip_indices_BK)
            yield one, logits_BA

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Example]]:
        """Yield this process's part of every batch of an epoch, from the step `first` on."""
        videos, batch = shuffled(self.task.division.train, self.config.seed, epoch), self.config.batch
        rank, world = self.fabric.global_rank, self.fabric.world_size
        # Whole batches only: a step on fewer examples is a different step (docs/pretraining.md).
        for step in range(first, self._steps):
            mine = videos[step * batch : (step + 1) * batch][rank::world]
            yield [example for video in mine for example in self.task.draw(video, epoch)]

    def _batches(self, groups: Any) -> Iterator[Batch]:
        for batch in iter_batches(
            groups, self.frames, offsets=self._offsets, size=self._size, workers=WORKERS
        ):
            yield batch.to(self.fabric.device)

    def _forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits_BA = model(self._filled(batch), batch.clip_indices_BK)
        return nn.functional.cross_entropy(logits_BA, batch.answers_B, reduction="none"), logits_BA

    def _filled(self, batch: Batch) -> Tensor:
        """The batch's clips, augmented, with every blank rearranged by its option."""
        clips_NTHWC = batch.augmentations(batch.clips_NTHWC) if batch.augmentations else batch.clips_NTHWC
        if self.task.rearranges:
            blanks_B = batch.clip_indices_BK[:, BLANK]
            clips_NTHWC[blanks_B] = self._rearrange(clips_NTHWC[blanks_B], batch.rearrangements_B)
        return clips_NTHWC

    def _refuse_diverged(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {self.progress.step}: training has diverged. Begin again with a "
                f"lower --lr in another --out; what was saved before stays in ",
                self.folder.path,
                ".",
            )

    def _refuse_broken_weights(self) -> None:
        """Refuse to write broken weights: the loss was computed before the last step changed them."""
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            self._refuse_diverged(math.nan)

    def _save(self) -> None:
        """Save the state. Within an epoch its tally is the sum over all processes."""
        progress = self.progress
        if progress.tally:
            progress = replace(progress, tally={"values": total(progress.tally["values"], self.fabric)})
        if self.fabric.is_global_zero:
            self.folder.save(progress, self.network.state_dict(), self._optimizer.state_dict())
        self.fabric.barrier()


def _optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        network.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )

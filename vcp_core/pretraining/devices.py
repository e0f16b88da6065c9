"""Training with one process or several, one device each: Lightning Fabric, and helpers that it lacks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vcp_core.catalog.errors import TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

INSTALL = "pip install 'vcpbench[train]'"
_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


def check_devices(device: torch.device, precision: str) -> None:
    """Check that `start_fabric` can start on a device with a precision.

    Raises:
        TrainingError: If Fabric is not installed, a device does not exist, or it cannot train so.
    """
    try:
        import lightning_fabric  # noqa: F401
    except ImportError as error:
        raise TrainingError(f"Training needs Lightning Fabric ({error}). Install it: {INSTALL}") from error
    if (device.type, precision) == ("cpu", "bf16"):
        raise TrainingError(
            "bf16 does not train on the CPU: torch gives wrong weight gradients of small 3D convolutions "
            "there (docs/decisions/2026-11-23-training.md). Leave out --precision."
        )
    local = _local_processes()
    if device.type == "cuda" and local > torch.cuda.device_count():
        raise TrainingError(
            f"torchrun started {local} processes, and torch sees {torch.cuda.device_count()} GPUs here. "
            f"Start one for each: --nproc-per-node {torch.cuda.device_count()}."
        )


def _local_processes() -> int:
    """Number of processes that torchrun started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def start_fabric(device: torch.device, precision: str) -> Fabric:
    """Launch Fabric on one device. Under torchrun this process joins its group, with one device each.

    Raises:
        TrainingError: As `check_devices`.
    """
    check_devices(device, precision)
    from lightning_fabric import Fabric

    num_processes, local = int(os.environ.get("WORLD_SIZE", "1")), _local_processes()
    one = [device.index] if device.index is not None else 1
    fabric = Fabric(
        accelerator=device.type,
        devices=local if num_processes > 1 else one,
        num_nodes=num_processes // local,
        strategy="ddp" if num_processes > 1 else "auto",
        precision=_PRECISIONS[precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def share_buffers(network: nn.Module, fabric: Fabric) -> None:
    """Give every process the first one's batch-norm statistics: each has seen only its part of a batch."""
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def summed(values: Tensor, fabric: Fabric) -> Tensor:
    """The sum of a CPU tensor over all processes."""
    if fabric.world_size == 1:
        return values
    # NCCL, the backend of GPUs, sums only what is in their memory.
    everywhere = values.to(fabric.device)
    torch.distributed.all_reduce(everywhere)
    return everywhere.cpu()


def total(values: list[float], fabric: Fabric) -> list[float]:
    """The sum of each value over all processes."""
    return [float(value) for value in summed(torch.tensor(values, dtype=torch.float64), fabric)]


@contextmanager
def reproducible() -> Iterator[None]:
    """A context with deterministic kernels and without TF32.

    >>> with reproducible():
    ...     torch.get_float32_matmul_precision(), torch.backends.cudnn.deterministic
    ('highest', True)
    """
    with ExitStack() as stack:
        stack.enter_context(
            # In float32 other kernels are faster. With these, a run that was interrupted ends with the same
            # bits (docs/decisions/2026-11-26-gpu.md).
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        )
        before = torch.get_float32_matmul_precision()
        stack.callback(torch.set_float32_matmul_precision, before)
        torch.set_float32_matmul_precision("highest")
        yield


class Stop:
    """Catches requests to stop: Ctrl-C or SIGTERM end a run after its step, a second Ctrl-C at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Stop:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # Python sets handlers in this thread only
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def agreed(self, fabric: Fabric) -> bool:
        """Whether any process was asked to stop. All stop after the same step, or one would wait forever."""
        return total([float(self.asked)], fabric)[0] > 0

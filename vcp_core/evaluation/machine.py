"""Facts about this machine that decide last digits: device, threads, versions."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import av
import torch
from threadpoolctl import threadpool_info

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.versions import FEATURES_VERSION, SCORING_VERSION
from vcp_core.features.extraction import BATCH_CLIPS


def pick_device(device: str | torch.device | None) -> torch.device:
    """The device asked for; for None or "auto" the first GPU, or the CPU where there is none.

    Raises:
        VcpbenchError: If the device is not there.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise VcpbenchError(f"No device {device!r}. Try 'cpu', 'cuda' or 'cuda:1'.") from None
    if chosen.type not in ("cpu", "cuda"):
        raise VcpbenchError(f"Device {device!r} is not supported. Try 'cpu' or 'cuda'.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise VcpbenchError(f"No device {device!r}: torch sees {torch.cuda.device_count()} GPUs here.")
    return chosen


def describe_device(device: torch.device) -> str:
    """The device in words that decide its kernels."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def network_threads(device: torch.device) -> dict[str, int]:
    """Threads that share a network's sums, and so decide their last digits; a GPU's are its own."""
    return {} if device.type == "cuda" else {"network_threads": torch.get_num_threads()}


def describe_forward(device: torch.device) -> dict[str, int]:
    """What else than the device decides the last digits of the engine's features."""
    return {"batch_clips": BATCH_CLIPS[device.type], **network_threads(device)}


def blas_threads() -> dict[str, int]:
    """Threads that share the sums of probes and intervals, in NumPy's BLAS."""
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {"blas_threads": max(pools)} if pools else {}


def versions() -> dict[str, str]:
    """Versions of everything that touches a digit."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    names: dict[str, Any] = {name: version(name) for name in ("vcpbench", "numpy", "scipy")}
    return {
        **names,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": av.__version__,
        "libavcodec": codec,
        "engine": FEATURES_VERSION,
        "scoring": SCORING_VERSION,
    }

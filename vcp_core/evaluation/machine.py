"""Facts about this machine that decide the last digits of results: device, threads, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import av
import torch
from threadpoolctl import threadpool_info

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.versions import FEATURES_VERSION, SCORING_VERSION
from vcp_core.features.shards import BATCH_CLIPS


def pick_device(device: str | torch.device | None) -> torch.device:
    """Choose the device: the one asked for, or for None and "auto" a GPU if there is one, else the CPU.

    >>> pick_device("cpu")
    device(type='cpu')

    Raises:
        VcpbenchError: If the device does not exist here, or is neither a CPU nor a CUDA GPU.
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
    """Describe the device by the facts that decide its kernels: GPU model, or CPU architecture and level."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def network_threads(device: torch.device) -> dict[str, int]:
    """Number of CPU threads that share a network's sums, and so decide the last digits. Empty for a GPU.

    >>> network_threads(torch.device("cuda")), list(network_threads(torch.device("cpu")))
    ({}, ['network_threads'])
    """
    return {} if device.type == "cuda" else {"network_threads": torch.get_num_threads()}


def describe_forward(device: torch.device) -> dict[str, int]:
    """The facts besides the device that decide the last digits of features.

    >>> describe_forward(torch.device("cuda"))
    {'batch_clips': 64}
    """
    return {"batch_clips": BATCH_CLIPS[device.type], **network_threads(device)}


def blas_threads() -> dict[str, int]:
    """Number of BLAS threads that share the sums of probes and intervals; empty if no BLAS is known."""
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    # NumPy and SciPy may each bring a BLAS with threads of its own.
    return {"blas_threads": max(pools)} if pools else {}


def joined(machines: Sequence[Mapping[str, int]]) -> dict[str, int | str]:
    """Join the facts of several machines.

    >>> joined([{"network_threads": 2, "blas_threads": 4}, {"blas_threads": 2}])
    {'network_threads': 2, 'blas_threads': '2; 4'}
    """
    names = dict.fromkeys(name for machine in machines for name in machine)
    found = {name: sorted({machine[name] for machine in machines if name in machine}) for name in names}
    return {
        name: values[0] if len(values) == 1 else "; ".join(map(str, values)) for name, values in found.items()
    }


def versions() -> dict[str, str]:
    """Versions of all software that can change a digit of a result.

    >>> sorted(versions())
    ['av', 'engine', 'libavcodec', 'numpy', 'python', 'scipy', 'scoring', 'torch', 'vcpbench']
    """
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

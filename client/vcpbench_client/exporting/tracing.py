"""Turn a network into a program by torch.export, and say what an error of torch.export means."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vcpbench_client.errors import ExportError
from vcpbench_client.exporting.building import raised

FIRST_TORCH = (2, 9)  # earlier ones write weights as pickles, which a server never opens
MOST_CLIPS = 4096  # of a batch
# Words of torch's errors, and what a user does about them.
MEANINGS = (
    (
        r"data-dependent|[Uu]nbacked|GuardOnDataDependent",
        "its shapes or branches depend on the numbers in a tensor. Use torch.where, or fixed sizes",
    ),
    (
        r"onstraints? violat|[Ss]pecializ",
        "it fixes the number of clips. Take the number from the input as x.shape[0], for len(x) fixes it",
    ),
)


def expect_torch() -> None:
    """Refuse a torch whose archives are not read.

    Raises:
        ExportError: If torch is older than 2.9.
    """
    found = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if found < FIRST_TORCH:
        raise ExportError(f"This is torch {torch.__version__}, and exporting needs 2.9 or later. Update it.")


def trace(network: nn.Module, clips_BCTHW: Tensor) -> ExportedProgram:
    """Export a network with a free number of clips.

    Args:
        network: The network in eval mode.
        clips_BCTHW: Two clips.

    Raises:
        ExportError: If torch.export cannot follow the forward pass.
    """
    free = ({0: Dim("clips", min=1, max=MOST_CLIPS)},)
    try:
        # Without gradients, so that a `with torch.no_grad()` of the network is no operation of its own.
        with torch.no_grad():
            return torch.export.export(network, (clips_BCTHW,), dynamic_shapes=free, strict=False)
    # Any error: torch.export runs the user's code.
    except Exception as error:
        said = str(error)
        meaning = next((words for pattern, words in MEANINGS if re.search(pattern, said)), None)
        if meaning is None:
            raise raised("torch.export", error) from error
        found = ExportError(f"The forward pass cannot be exported: {meaning}.")
        found.log_tail = said
        raise found from error

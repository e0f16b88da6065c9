"""The random-weights control: the same backbone, its own initialisation, calibrated batch-norm (PROTOCOL 4).

An uncalibrated random network would be too easy to beat: its activations vanish or explode after a few
layers. So its batch-norm statistics are first estimated on training clips.
"""

from __future__ import annotations

import torch

from vcp_core.backbones import build, expect
from vcp_core.backbones.base import Backbone
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.calibration import CALIBRATION_BATCH, calibration_shard
from vcp_core.features.extraction import OnClips, inference, iter_batches, reading_beside
from vcp_core.features.reading import Counters
from vcp_core.graphs import Graph

__all__ = ["calibrate", "calibration_shard", "random_weights"]


def calibrate(
    backbone: Backbone,
    dataset: Dataset,
    protocol: Protocol,
    *,
    device: torch.device,
    on_clips: OnClips | None = None,
) -> None:
    """Replace the running statistics of every batch-norm layer by averages over training clips.

    For a graph without any normalisation, `Graph.calibrating` says what is standardised instead. The backbone
    is changed in place, moved to `device`, and left in eval mode.
    """
    if not backbone.needs_calibration:
        return
    backbone.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    shard = calibration_shard(dataset, protocol, backbone.spec)
    batches = iter_batches(
        dataset,
        [shard],
        backbone.spec,
        batch_clips=CALIBRATION_BATCH,
        reading=reading_beside(device),
        counters=Counters(),
    )
    with backbone.calibrating():
        for batch in batches:
            with inference(device, "fp32"):
                # Without the padding, which would enter the statistics.
                backbone.stages(batch.pixels_BCTHW[: len(batch.clips)].to(device))
            if on_clips:
                on_clips(len(batch.clips))


def random_weights(
    which: str | BackboneSpec | Graph,
    seed: int,
    dataset: Dataset,
    protocol: Protocol,
    *,
    input_spec: str | None = None,
    device: torch.device | None = None,
    on_clips: OnClips | None = None,
) -> Backbone:
    r"""Build the random-weights control of `seed`. Its saved state dict scores what the control scores.

    Args:
        which: A backbone of the catalog, or the facts of the network that it is compared with
            (`vcp_core.catalog.readings`). Of a graph, the network itself: facts do not hold its program.
        seed: Seed of the initialisation.
        dataset: Its training clips give the batch-norm statistics.
        protocol: Says how many clips, and which.
        input_spec: The declared input of the checkpoint that it is compared with; None for that of `which`,
            which a graph always keeps.
        device: Where to run; the CPU by default.
        on_clips: Called with the number of clips after each batch.

    Raises:
        UnknownName: If there is no such backbone.
        InputError: If the backbone cannot take the declared input.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from vcp_core.catalog.files import sha256_of
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> from vcp_core.datasets.manifest import Video
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     frame = b"FRAME\n" + bytes(range(64)) * 96
    ...     _ = path.write_bytes(b"YUV4MPEG2 W64 H64 F25:1 C420\n" + 16 * frame)
    ...     hashed = sha256_of(path)
    ...     video = Video(id="a.y4m", label="a", split="train", group=None, sha256=hashed, num_frames=16)
    ...     dataset = Dataset(name="one", split_name="1", root=Path(folder), videos=(video,))
    ...     control = random_weights("r3d_tiny", 0, dataset, PROTOCOLS["quick-v1"])
    >>> bool((control.state_dict()["bn1.running_mean"] != 0).all())
    True
    """
    if isinstance(which, Graph):
        backbone: Backbone = which.redrawn(seed)
    else:
        backbone = expect(build(which, seed=seed), input_spec)
    calibrate(backbone, dataset, protocol, device=device or torch.device("cpu"), on_clips=on_clips)
    return backbone

"""How many clips an evaluation comes to, by arithmetic: no clip is made in order to count it. No torch.

The ceilings, with their reasons, are in `vcp_core.catalog.ceilings`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vcp_core.benchmarks.cloze import tuple_shape
from vcp_core.catalog.ceilings import PLAN_CLIPS, PLAN_JOBS
from vcp_core.catalog.errors import PlanTooLarge
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.evaluation.plan import EvaluationPlan


def clips_of(num_frames: int, protocol: Protocol, spec: BackboneSpec) -> int:
    """Clips that a network needs of a video of so many frames, at most.

    Grid clips are counted exactly. Cloze tuples may share clips, which count twice here.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> [clips_of(num_frames, PROTOCOLS["standard-v1"], BACKBONES["r3d"]) for num_frames in (10, 20, 96)]
    [1, 5, 17]
    """
    num_starts = max(1, num_frames - spec.clip_span + 1)
    has_room = num_frames >= tuple_shape(protocol, spec).min_frames
    num_tuples = protocol.cloze.num_tuples if has_room else 0
    # A tuple has a clip for each option, one before the blank and one after it.
    return min(protocol.grid.num_clips, num_starts) + num_tuples * (len(protocol.cloze.options) + 2)


def most_clips(plan: EvaluationPlan) -> int:
    """Clips of a network under a plan, at most."""
    return sum(clips_of(video.num_frames, plan.protocol, plan.spec) for video in plan.dataset.videos)


def check_plan(plan: EvaluationPlan) -> None:
    """Check that a plan has no more clips than it may.

    Raises:
        PlanTooLarge: If it has more.
    """
    check_clips(most_clips(plan), len(plan.dataset.videos), plan.protocol)


def check_summary(summary: Mapping[str, Any], protocol: Protocol, spec: BackboneSpec) -> None:
    """Check the size of an evaluation on a dataset of which only the summary is read.

    Half of the videos have the median's frames or more. The others have the shortest one's or more. So an
    evaluation that passes here may still have too many clips, which `check_plan` finds.

    Args:
        summary: `vcp_core.datasets.summary.summary` of the dataset.
        protocol: The protocol.
        spec: The catalog's entry of the backbone.

    Raises:
        PlanTooLarge: If the evaluation has more clips than a plan may have.
    """
    num_videos, frames = sum(summary["videos"].values()), summary["frames"]
    shorter = num_videos // 2
    longer = num_videos - shorter
    least = longer * clips_of(frames["median"], protocol, spec) + shorter * clips_of(
        frames["least"], protocol, spec
    )
    check_clips(least, num_videos, protocol)


def check_clips(num_clips: int, num_videos: int, protocol: Protocol) -> None:
    """Check that a network does not need more clips than a plan may have.

    Raises:
        PlanTooLarge: If it does.
    """
    if num_clips > PLAN_CLIPS:
        raise PlanTooLarge(
            f"The evaluation needs about {num_clips:,} clips for each network, and a plan has at most "
            f"{PLAN_CLIPS:,}. Lower grid.num_clips ({protocol.grid.num_clips:,}) or cloze.num_tuples "
            f"({protocol.cloze.num_tuples:,}), or take fewer than these {num_videos:,} videos. See "
            "docs/protocols.md.",
            num_clips=num_clips,
            most=PLAN_CLIPS,
        )


def shard_size(num_clips: int, protocol: Protocol, wanted: int) -> int:
    """Most clips of a shard, so that an evaluation and its controls have at most about `PLAN_JOBS` shards.

    Args:
        num_clips: Clips of each network, at most.
        protocol: Says how many controls there are.
        wanted: Clips of a shard of a smaller plan.

    >>> from vcp_core.catalog.protocols import PROTOCOLS
    >>> [shard_size(num_clips, PROTOCOLS["standard-v1"], 256) for num_clips in (230_000, 28_000_000)]
    [256, 14000]
    """
    num_networks = 1 + len(protocol.control.seeds) + protocol.control.pixels
    # A video is never split, so shards may be half full: any two neighbours are more than one full shard.
    return max(wanted, math.ceil(2 * num_networks * num_clips / PLAN_JOBS))

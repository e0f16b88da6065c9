"""The heavy part of planning, done by the worker's child: sizes, and shards of missing clips. No torch.

Clips are made video by video, and one shard is held at a time. So the memory grows with the number of videos
and not with the number of clips.
"""

from __future__ import annotations

import functools
import hashlib
import json
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vcp_core.benchmarks.parts import group_parts
from vcp_core.catalog.errors import PlanTooLarge
from vcp_core.datasets.manifest import Video
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.size import check_clips, check_plan, most_clips, shard_size
from vcp_core.features.shards import Clip, iter_shards
from vcp_core.progress import OnUnits, ignore

VideoKey = tuple[str, str]  # id, SHA-256


def size(made: EvaluationPlan, fit_values: int) -> dict[str, Any]:
    """Check how large an evaluation is, and say what its plan comes to, before any clip is made.

    Raises:
        PlanTooLarge: If it has more clips than a plan may have.
    """
    check_plan(made)
    return {
        "unavailable": dict(made.unavailable),
        "max_pooled": made.max_pooled,
        "fits": fit_jobs(made, fit_values),
        "scoring_units": made.num_predict_units + made.num_score_units,
    }


def fit_jobs(made: EvaluationPlan, least_values: int) -> list[dict[str, Any]]:
    """Divide the fits of an evaluation into jobs: `Evaluation.fits`.

    If all fits are one job's work, there is no fit job, and the score job fits. So a small evaluation has one
    job after its features.
    """
    grouped = group_parts(made.parts, least_values)
    if len(grouped) < 2:
        return []
    # The longest job first: workers that share the jobs then end at about the same time.
    grouped.sort(key=lambda parts: -sum(part.num_values for part in parts))
    return [
        {"parts": [str(part) for part in parts], "units": sum(part.num_units for part in parts)}
        for parts in grouped
    ]


class Cut:
    """Divide the clips of a plan into those that existing shards hold, and new shards.

    Args:
        made: The plan.
        on_videos: Called with the number of videos whose clips were cut since the last call.

    Attributes:
        shared: Ids of existing shards that hold some of the wanted clips.
        num_clips: Distinct clips of the plan, once `new` has ended.
    """

    def __init__(self, made: EvaluationPlan, *, on_videos: OnUnits = ignore) -> None:
        self._made, self._on_videos = made, on_videos
        self._videos = {(video.id, video.sha256): video for video in made.dataset.videos}
        # Which wanted clips are held: a bit for each of a video's clips, in their order.
        self._held: dict[VideoKey, int] = {}
        self._clips = functools.lru_cache(maxsize=256)(self._sorted_clips)
        self.shared: list[str] = []
        self.num_clips = 0

    def share(self, shard_id: str, videos: Iterable[tuple[str, str, Iterable[Any]]]) -> None:
        """Use an existing shard if it holds clips that no earlier one holds; `videos` is `Shard.clips`."""
        useful = False
        for video_id, sha256, clips in videos:
            if (key := (video_id, sha256)) not in self._videos:
                continue
            there = {Clip(video_id, *clip) for clip in clips}
            bits = sum(1 << number for number, clip in enumerate(self._clips(key)) if clip in there)
            before = self._held.get(key, 0)
            if bits & ~before:
                self._held[key] = before | bits
                useful = True
        if useful:
            self.shared.append(shard_id)

    def new(self, max_clips: int) -> Iterator[dict[str, Any]]:
        """Make the shards of all clips that no shared shard holds, one after the other.

        Raises:
            PlanTooLarge: As soon as there are more clips than a plan may have.
        """
        for shard in iter_shards(self._videos.values(), self._missing, max_clips=max_clips):
            yield {
                "number": shard.number,
                "num_clips": shard.num_clips,
                "clips": [
                    [video.id, video.sha256, [list(clip[1:]) for clip in clips]]
                    for video, clips in shard.videos
                ],
            }

    def _missing(self, video: Video) -> list[Clip]:
        key = (video.id, video.sha256)
        clips, held = self._clips(key), self._held.get(key, 0)
        self.num_clips += len(clips)
        check_clips(self.num_clips, len(self._videos), self._made.protocol)
        self._on_videos(1)
        return [clip for number, clip in enumerate(clips) if not held >> number & 1]

    def _sorted_clips(self, key: VideoKey) -> list[Clip]:
        return sorted(set(self._made.clips(self._videos[key])))


def cut_to_file(
    made: EvaluationPlan, held: Path, space: str, shard_clips: int, out: Path, *, on_videos: OnUnits = ignore
) -> dict[str, Any]:
    """Write the new shards of a plan to a file, one on a line, and return what `Cut` found.

    Args:
        made: The plan.
        held: A file with an existing shard on each line: `[id, clips]`.
        space: Features of one space can be shared.
        shard_clips: Most clips of a shard, unless the plan is large (`shard_size`).
        out: The file to write.
        on_videos: Called with the number of videos whose clips were cut since the last call.

    Raises:
        PlanTooLarge: If the plan has too many clips.
    """
    cut = Cut(made, on_videos=on_videos)
    with held.open(encoding="utf-8") as lines:
        for line in lines:
            cut.share(*json.loads(line))
    max_clips = shard_size(most_clips(made), made.protocol, shard_clips)
    with out.open("w", encoding="utf-8") as file:
        for shard in cut.new(max_clips):
            file.write(json.dumps({**shard, "digest": digest([space, shard["clips"]])}) + "\n")
    return {"shared": cut.shared, "num_clips": cut.num_clips}


def digest(parts: list[object]) -> str:
    """Hash plain values: SHA-256 of their JSON."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


@contextmanager
def limited_memory(num_bytes: int) -> Iterator[None]:
    """Let this process take so much memory beyond what it has, until the block ends.

    Raises:
        PlanTooLarge: If the block needs more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + num_bytes
    allowed = [limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))
    try:
        yield
    except MemoryError:
        raise PlanTooLarge(
            f"Planning the evaluation takes more than {num_bytes >> 20:,} MiB of memory. Take a dataset of "
            "fewer videos. See docs/protocols.md.",
            memory_bytes=num_bytes,
        ) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """Private writable memory of this process, which RLIMIT_DATA bounds."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) << 10

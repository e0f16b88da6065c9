"""Features of shards, as files: written whole, read when a benchmark asks for rows; no torch.

Legend: N clips of a shard, D features.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from vcp_core.catalog.files import whole
from vcp_core.shards import Clip

Floats = npt.NDArray[np.float32]

ENGINE_VERSION = "2"  # raise it when the same weights and clips would give other digits


@dataclass(frozen=True, kw_only=True)
class ShardFeatures:
    """Pooled features of a shard's clips: an array (N, D) per stage of the network, float32."""

    clips: tuple[Clip, ...]
    stages: Mapping[str, Floats]

    def save(self, path: Path) -> None:
        """Write as safetensors; whole or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written.
        """
        tensors = {name: np.ascontiguousarray(rows) for name, rows in self.stages.items()}
        data = safetensors.numpy.save(tensors, metadata={"clips": json.dumps(self.clips)})
        with whole(path) as part:
            part.write_bytes(data)


class FeatureBank:
    """Features of many shards on disk; rows are read when a benchmark asks for them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = sorted(paths)
        self._rows: dict[Clip, tuple[int, int]] = {}
        for number, path in enumerate(self._paths):
            with safetensors.safe_open(path, framework="np") as file:
                clips = json.loads(file.metadata()["clips"])
            self._rows.update({Clip(*clip): (number, row) for row, clip in enumerate(clips)})

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, clips: Sequence[Clip], stage: str) -> Floats:
        """Features of `clips` after `stage`, shape (len(clips), D).

        Raises:
            KeyError: For a clip that was not extracted.
        """
        places = [self._rows[clip] for clip in clips]
        by_shard: dict[int, list[int]] = {}
        for position, (number, _) in enumerate(places):
            by_shard.setdefault(number, []).append(position)
        result: Floats | None = None
        for number, positions in by_shard.items():
            with safetensors.safe_open(self._paths[number], framework="np") as file:
                shard_ND = file.get_tensor(stage)
            if result is None:
                result = np.empty((len(clips), shard_ND.shape[1]), np.float32)
            result[positions] = shard_ND[[places[position][1] for position in positions]]
        if result is None:
            raise ValueError("No clips were asked for.")
        return result

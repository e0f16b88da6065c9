"""Files with the features of shards; a benchmark reads the rows that it needs. No torch.

Legend: N clips of a shard, D features.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from vcp_core.catalog.files import whole
from vcp_core.features.shards import Clip

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ShardFeatures:
    """Features of a shard's clips: one float32 array (N, D) for each stage of the network."""

    clips: tuple[Clip, ...]
    stages: Mapping[str, Floats]

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written.
        """
        tensors = {name: np.ascontiguousarray(rows) for name, rows in self.stages.items()}
        data = safetensors.numpy.save(tensors, metadata={"clips": json.dumps(self.clips)})
        with whole(path) as part:
            part.write_bytes(data)


class _Index:
    """Finds the row of a clip. It takes 16 bytes a clip, where a dictionary of clips would take 260.

    A clip's key has 63 bits: the number of its video, its start, and the number of its option and variant.

    Args:
        shards: The clips of each shard, in the order of its rows.
    """

    VIDEO_BITS, START_BITS, KIND_BITS = 27, 26, 10  # 134 M videos; 25 days of 30 frames/s; 1,024 variants
    ROW_BITS = 32

    def __init__(self, shards: Iterable[Iterable[Clip]]) -> None:
        self._videos: dict[str, int] = {}
        self._kinds: dict[tuple[str, str], int] = {}
        keys, locations = array("q"), array("q")
        for number, clips in enumerate(shards):
            for row, clip in enumerate(clips):
                video = self._videos.setdefault(clip.video_id, len(self._videos))
                kind = self._kinds.setdefault((clip.option, clip.variant), len(self._kinds))
                keys.append(self._key(video, clip.start, kind))
                locations.append(number << self.ROW_BITS | row)
        keys_N, locations_N = np.array(keys, np.int64), np.array(locations, np.int64)
        # Stable: if two shards hold a clip, the first one is always read.
        order_N = np.argsort(keys_N, kind="stable")
        self._keys_N, self._locations_N = keys_N[order_N], locations_N[order_N]

    def _key(self, video: int, start: int, kind: int) -> int:
        numbers = ((video, self.VIDEO_BITS), (start, self.START_BITS), (kind, self.KIND_BITS))
        key = 0
        for number, bits in numbers:
            if number >> bits:
                raise ValueError(f"{number:,} does not fit into {bits} bits of the index.")
            key = key << bits | number
        return key

    def __len__(self) -> int:
        return len(self._keys_N)

    def __call__(self, clips: Sequence[Clip]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Shard and row of each clip.

        Raises:
            KeyError: For a clip that is not there.
        """
        wanted_N = np.array(
            [
                self._key(self._videos[clip.video_id], clip.start, self._kinds[clip.option, clip.variant])
                for clip in clips
            ],
            np.int64,
        )
        # A key behind the last one gets the index len(self). It is moved inside, and found missing below.
        at_N = np.minimum(np.searchsorted(self._keys_N, wanted_N), len(self) - 1)
        missing_N = self._keys_N[at_N] != wanted_N
        if missing_N.any():
            raise KeyError(clips[int(missing_N.argmax())])
        rows_N = self._locations_N[at_N]
        return rows_N >> self.ROW_BITS, rows_N & ((1 << self.ROW_BITS) - 1)


class FeatureBank:
    """The features of many shards on disk. `rows` reads only the shards that it needs.

    >>> import tempfile
    >>> first, second = Clip("a.mp4", 0), Clip("a.mp4", 16)
    >>> rows_ND = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shard.safetensors"
    ...     ShardFeatures(clips=(first, second), stages={"conv5": rows_ND}).save(path)
    ...     FeatureBank([path]).rows([second], "conv5")
    array([[4., 5., 6.]], dtype=float32)
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = sorted(paths)
        self._index = _Index(map(_clips_of, self._paths))

    def __len__(self) -> int:
        return len(self._index)

    def rows(self, clips: Sequence[Clip], stage: str) -> Floats:
        """The features of `clips` after `stage`, (len(clips), D), in the order of `clips`.

        Raises:
            KeyError: For a clip that was not extracted.
        """
        if not clips:
            raise ValueError("No clips were asked for.")
        shard_N, row_N = self._index(clips)
        result: Floats | None = None
        for number in np.unique(shard_N).tolist():  # each file is opened once, however the clips are ordered
            with safetensors.safe_open(self._paths[number], framework="np") as file:
                shard_ND = file.get_tensor(stage)
            if result is None:
                result = np.empty((len(clips), shard_ND.shape[1]), np.float32)
            here_N = shard_N == number
            result[here_N] = shard_ND[row_N[here_N]]
        assert result is not None
        return result


def _clips_of(path: Path) -> Iterator[Clip]:
    with safetensors.safe_open(path, framework="np") as file:
        clips = json.loads(file.metadata()["clips"])
    return (Clip(*clip) for clip in clips)

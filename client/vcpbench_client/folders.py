"""Folders as Hugging Face writes them: the file of weights, and the input that the preprocessor declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from vcpbench_client.errors import FileError, NotACheckpoint
from vcpbench_client.shards import INDEX, join

WEIGHTS = ("model.safetensors", f"model{INDEX}", "pytorch_model.bin")  # the first that is there counts
PREPROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json")
MAX_BYTES = 1 << 20  # of a preprocessor's file, which has about 600
WIDER = 4 / 3  # width of a frame to its height, where only the shorter side is declared
FRAMES, SIDE, CROP = (
    range(4, 65, 4),
    range(32, 641),
    range(32, 321, 2),
)  # as `vcp_core.catalog.inputs` takes them
WHITE = 255.0  # the largest pixel value


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a path leads to.

    Attributes:
        path: The file of weights, or the index of its shards.
        words: The words of an input spec that a preprocessor's file declares.
        origin: The name of that file.
    """

    path: Path
    words: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    @property
    def is_sharded(self) -> bool:
        """Whether the weights are in several files."""
        return self.path.name.endswith(INDEX)

    def open(self) -> BinaryIO:
        """Open the weights as one file.

        Raises:
            FileError: If shards are missing or damaged.
            OSError: If the file cannot be read.
        """
        return join(self.path) if self.is_sharded else self.path.open("rb")

    def input_spec(self, given: str | None) -> str | None:
        """The words of the folder and of the user. A word of the user wins.

        >>> source = Source(path=Path("model.safetensors"), words={"crop": "224", "std": "0.225"})
        >>> source.input_spec("std=0.5"), source.input_spec(None)
        ('crop=224,std=0.5', 'crop=224,std=0.225')
        """
        if not self.words:
            return given
        said = [part.partition("=") for part in (given or "").split(",") if part.strip()]
        words = {**self.words, **{word.strip(): value for word, _, value in said}}
        return ",".join(f"{word}={value}" for word, value in words.items())

    def taken(self) -> str | None:
        """A sentence about what the folder declares; None if it declares nothing."""
        if not self.words:
            return None
        return f"From {self.origin}: --input-spec {self.input_spec(None)}. Your own --input-spec wins."


def source_of(path: Path) -> Source:
    """Find the weights that a path leads to. A file stays as it is.

    Raises:
        NotACheckpoint: If it is a folder without weights that are known here.
        FileError: If its preprocessor's file is no JSON.
    """
    if not path.is_dir():
        return Source(path=path)
    found = [path / name for name in WEIGHTS if (path / name).is_file()]
    found = found or sorted(path.glob(f"*{INDEX}")) or sorted(path.glob("*.safetensors"))
    if not found or (len(found) > 1 and found[0].name not in WEIGHTS):
        names = ", ".join(one.name for one in found) or f"neither {', '.join(WEIGHTS[:-1])} nor {WEIGHTS[-1]}"
        raise NotACheckpoint(path, f": a folder with {names}. Pass the file of weights in it.", path=path)
    for name in PREPROCESSORS:
        if (path / name).is_file():
            return Source(path=found[0], words=_words(_read(path / name)), origin=name)
    return Source(path=found[0])


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(path, f" has more than {MAX_BYTES:,} bytes.", path=path)
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(path, f" cannot be read: {error.strerror or error}.", path=path) from error
    except (ValueError, RecursionError):
        raise FileError(path, " is no JSON. Download it again, or remove it.", path=path) from None
    return found if isinstance(found, dict) else {}


def _words(said: Mapping[str, Any]) -> dict[str, str]:
    """The words that a preprocessor's file declares, as far as an input spec can say them.

    >>> _words({"image_mean": [0.485, 0.456, 0.406], "size": {"shortest_edge": 256}, "crop_size": 224})
    {'resize': '256x341', 'crop': '224', 'mean': '0.485/0.456/0.406'}
    """
    size, crop = _sides(said.get("size"), wider=WIDER), _sides(said.get("crop_size"))
    if crop is None or not said.get("do_center_crop", True):
        crop = _sides(said.get("size"))
    found = {}
    if said.get("num_frames") in FRAMES:
        found["frames"] = str(said["num_frames"])
    if crop and crop[0] == crop[1] and crop[0] in CROP:
        if said.get("do_resize", True) and size and {*size} <= {*SIDE} and min(size) >= crop[0]:
            found["resize"] = f"{size[0]}x{size[1]}"
        found["crop"] = str(crop[0])
    return found | _colours(said)


def _sides(said: Any, *, wider: float = 1.0) -> tuple[int, int] | None:
    """Height and width: of a number, or of what `size` and `crop_size` hold."""
    if isinstance(said, dict) and {"height", "width"} <= said.keys():
        sides = said["height"], said["width"]
    else:
        short = said.get("shortest_edge") if isinstance(said, dict) else said
        if type(short) is not int:
            return None
        sides = short, round(short * wider)
    return sides if all(type(side) is int for side in sides) else None


def _colours(said: Mapping[str, Any]) -> dict[str, str]:
    """`mean` and `std` of pixel values in [0, 1].

    A preprocessor multiplies pixel values by a factor, may take 1 away, and then normalises. A number that is
    not in the file is a default of the preprocessor's class, which nobody knows here.
    """
    factor = said.get("rescale_factor", 1 / WHITE) if said.get("do_rescale", True) else 1.0
    if not isinstance(factor, int | float) or factor <= 0:
        return {}
    scale, offset = factor * WHITE, 1.0 if said.get("offset") else 0.0
    normalises = said.get("do_normalize", True)
    means = said.get("image_mean") if normalises else 0.0
    stds = said.get("image_std") if normalises else 1.0
    found = {}
    for word, numbers, low in (
        ("mean", [(one + offset) / scale for one in _numbers(means)], 0.0),
        ("std", [one / scale for one in _numbers(stds)], 1e-3),
    ):
        spelt = [f"{number:.6g}" for number in numbers]
        if len(spelt) in (1, 3) and all(low <= float(one) <= 1 for one in spelt):
            found[word] = spelt[0] if len(set(spelt)) == 1 else "/".join(spelt)
    return found


def _numbers(said: Any) -> Iterable[float]:
    many = said if isinstance(said, list) else [said]
    return many if all(type(one) in (int, float) for one in many) else []

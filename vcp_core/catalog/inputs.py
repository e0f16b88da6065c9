"""The declared input of a network: frames, size and normalisation (PROTOCOL 2).

Each family of backbones has a default input, and each key scheme its normalisation. A user whose network was
trained on another input declares it, as words in any order with commas between them. A word that is left out
keeps its default:

    frames=8,stride=4,resize=256x340,crop=224,mean=0.45,std=0.225

frames      frames of a clip: a multiple of 4 from 4 to 64, because `adjacent` exchanges quarters of a clip
stride      distance from one frame of a clip to the next, in frames of the video: 1 to 64
resize      HEIGHTxWIDTH of a frame before the crop, in pixels: 32 to 640 each
crop        height and width of the centre crop, in pixels: even, 32 to 320; `rotation` needs squares
mean, std   of pixel values in [0, 1]: one number, or three as red/green/blue
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.normalisation import Normalisation
from vcp_core.catalog.specs import BackboneSpec

EXAMPLE = "frames=8,stride=4,resize=256x340,crop=224,mean=0.45,std=0.225"
PLAIN = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # pixel values in [0, 1] as they are

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """A declaration that was read. A field is None if the declaration leaves it to the family.

    Two declarations of the same input have the same `str`.

    >>> str(InputSpec.parse("crop=224, resize=256x340, std=0.50"))
    'resize=256x340,crop=224,std=0.5'
    """

    frames: int | None = None
    stride: int | None = None
    resize: tuple[int, int] | None = None
    crop: int | None = None
    mean: Colour | None = None
    std: Colour | None = None

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read a declaration.

        Raises:
            InputError: If a word is unknown, stands there twice, or has a value that it cannot have.
        """
        read: dict[str, Any] = {}
        for part in "".join(text.split()).split(","):
            word, _, value = part.partition("=")
            if word not in _WORDS or not value:
                known = ", ".join(_WORDS)
                raise InputError(
                    f"An input spec has no {part!r}. Its words are {known}. An example is {EXAMPLE}."
                )
            if word in read:
                raise InputError(f"The input spec {text!r} says {word} twice. Say it once.")
            reader, rule = _WORDS[word]
            try:
                read[word] = reader(value)
            except ValueError:
                raise InputError(f"{word} of an input spec must be {rule}, not {value!r}.") from None
        return cls(**read)

    def over(self, other: InputSpec) -> InputSpec:
        """Take the words that this declaration leaves out from another one.

        >>> str(InputSpec.parse("stride=2").over(InputSpec.parse("stride=1,crop=112")))
        'stride=2,crop=112'
        """
        said = {word: value for word in _WORDS if (value := getattr(self, word)) is not None}
        return dataclasses.replace(other, **said)

    def __str__(self) -> str:
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return ",".join(f"{word}={_spelt(value)}" for word, value in said.items() if value is not None)


def with_input(spec: BackboneSpec, declared: str | None) -> BackboneSpec:
    """Give a backbone its declared input; None keeps the family's.

    Raises:
        InputError: If the declaration is not valid, or does not fit this backbone.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> with_input(BACKBONES["slow_r50"], "stride=4").clip_span
    29
    """
    if declared is None:
        return spec
    said = InputSpec.parse(declared)
    channels, frames, height, width = spec.clip_shape
    if said.crop:
        height = width = said.crop
    resize = said.resize or spec.resize
    if height > resize[0] or width > resize[1]:
        raise InputError(
            f"{spec.name}: a crop of {height} x {width} does not fit into frames of "
            f"{resize[0]} x {resize[1]}. Declare a resize that it fits into."
        )
    usual = spec.normalisation or PLAIN
    normalisation = Normalisation(mean=said.mean or usual.mean, std=said.std or usual.std)
    return dataclasses.replace(
        spec,
        clip_shape=(channels, said.frames or frames, height, width),
        stride=said.stride or spec.stride,
        resize=resize,
        scheme=dataclasses.replace(
            spec.facts, normalisation=None if normalisation == PLAIN else normalisation
        ),
        declared=spec.declared | {word for word in _WORDS if getattr(said, word) is not None},
    )


def input_of(spec: BackboneSpec) -> str:
    """Write the whole input of a backbone as a declaration that leaves nothing out.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> input_of(BACKBONES["r3d"])
    'frames=16,stride=1,resize=128x171,crop=112,mean=0,std=1'
    """
    usual = spec.normalisation or PLAIN
    return str(
        InputSpec(
            frames=spec.clip_frames,
            stride=spec.stride,
            resize=spec.resize,
            crop=spec.clip_shape[2],
            mean=usual.mean,
            std=usual.std,
        )
    )


def _whole(low: int, high: int, *, of: int = 1) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if not low <= number <= high or number % of:
            raise ValueError(text)
        return number

    return read


def _size(text: str) -> tuple[int, int]:
    height, width = map(_whole(32, 640), text.split("x"))
    return height, width


def _colour(low: float, high: float) -> Callable[[str], Colour]:
    def read(text: str) -> Colour:
        numbers = [float(number) for number in text.split("/")]
        red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
        if not all(low <= number <= high for number in (red, green, blue)):
            raise ValueError(text)
        return red, green, blue

    return read


def _spelt(value: int | tuple[int, int] | Colour) -> str:
    """Write a value as short as it can be read back; three equal numbers are written as one."""
    if isinstance(value, int):
        return str(value)
    if len(value) == 2:
        return f"{value[0]}x{value[1]}"
    numbers = [repr(number).removesuffix(".0") for number in value]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)


def _pattern() -> str:
    size, colour = "(?:3[2-9]|[4-9][0-9]|[1-5][0-9]{2}|6[0-3][0-9]|640)", r"(?:0|1|1\.0|0\.[0-9]{1,17})"
    # A std of less than 0.001 is none, so one of the first three decimals is not 0.
    spread = r"(?:1|1\.0|0\.(?:[1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9])[0-9]{0,14})"
    values = {
        "frames": "(?:4|8|[135][26]|[246][04]|[24]8)",
        "stride": "(?:[1-9]|[1-5][0-9]|6[0-4])",
        "resize": f"{size}x{size}",
        "crop": "(?:3[2468]|[4-9][02468]|[12][0-9][02468]|3[01][02468]|320)",
        "mean": f"{colour}(?:/{colour}/{colour})?",
        "std": f"{spread}(?:/{spread}/{spread})?",
    }
    word = "(?:" + "|".join(f"{name}={value}" for name, value in values.items()) + ")"
    return rf"^(?!.*\b([a-z]+)=.*\b\1=){word}(?:,{word})*$"


_WORDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "frames": (_whole(4, 64, of=4), "a multiple of 4 from 4 to 64"),
    "stride": (_whole(1, 64), "a whole number from 1 to 64"),
    "resize": (_size, "HEIGHTxWIDTH in pixels, each from 32 to 640"),
    "crop": (_whole(32, 320, of=2), "an even number of pixels from 32 to 320"),
    "mean": (_colour(0, 1), "a number from 0 to 1, or three as RED/GREEN/BLUE (of pixel values in [0, 1])"),
    "std": (
        _colour(1e-3, 1),
        "a number from 0.001 to 1, or three as RED/GREEN/BLUE (of pixel values in [0, 1])",
    ),
}
# The same as a regular expression, for the API's description: without blanks, and with usual decimals.
PATTERN = _pattern()

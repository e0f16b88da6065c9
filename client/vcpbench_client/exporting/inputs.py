"""The clips that an exported network takes, in the words of an input spec (`vcp_core.catalog.inputs`).

The archive fixes frames and crop. Stride, resize, mean and std show in no tensor, so a user declares them:
in the file, or later by --input-spec.
"""

from __future__ import annotations

from dataclasses import dataclass

from vcpbench_client.errors import ExportError

Colour = tuple[float, float, float]  # red, green, blue
SHOWN_NOWHERE = ("stride", "resize", "mean", "std")  # in no tensor, so a server takes no file without them


@dataclass(frozen=True, kw_only=True)
class Input:
    """The input of a network. None leaves a word out of the file.

    Attributes:
        frames: Frames of a clip: a multiple of 4 from 4 to 64.
        crop: Height and width of a clip in pixels: even, 32 to 320.
        stride: Distance from one frame to the next, in frames of the video: 1 to 64.
        resize: Height and width of frames before the crop in pixels: 32 to 640.
        mean: Is taken away from pixel values in [0, 1]: 0 to 1, by channel.
        std: Divides them afterwards: 0.001 to 1, by channel.

    Raises:
        ExportError: If a value is out of its range.

    >>> str(Input(frames=16, crop=112, resize=(128, 171), mean=(0.5, 0.5, 0.5)))
    'frames=16,resize=128x171,crop=112,mean=0.5'
    """

    frames: int
    crop: int
    stride: int | None = None
    resize: tuple[int, int] | None = None
    mean: Colour | None = None
    std: Colour | None = None

    def __post_init__(self) -> None:
        _expect("frames", self.frames, self.frames in range(4, 65, 4), "a multiple of 4 from 4 to 64")
        _expect("crop", self.crop, self.crop in range(32, 321, 2), "an even number from 32 to 320")
        if self.stride is not None:
            _expect("stride", self.stride, self.stride in range(1, 65), "a whole number from 1 to 64")
        if self.resize is not None:
            sides = len(self.resize) == 2 and all(side in range(32, 641) for side in self.resize)
            _expect("resize", self.resize, sides, "a height and a width, each from 32 to 640")
            _expect("resize", self.resize, min(self.resize) >= self.crop, f"at least the crop of {self.crop}")
        for word, low in (("mean", 0.0), ("std", 1e-3)):
            colour = getattr(self, word)
            if colour is not None:
                right = len(colour) == 3 and all(low <= number <= 1 for number in colour)
                _expect(word, colour, right, f"one number or three, each from {low:g} to 1")

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """The shape of a clip: channels, frames, height, width."""
        return 3, self.frames, self.crop, self.crop

    def words(self) -> dict[str, str]:
        """The declared words, as an input spec spells them."""
        given = {
            "frames": self.frames,
            "stride": self.stride,
            "resize": self.resize and "x".join(map(str, self.resize)),
            "crop": self.crop,
            "mean": self.mean and _spelt(self.mean),
            "std": self.std and _spelt(self.std),
        }
        return {word: str(value) for word, value in given.items() if value is not None}

    def __str__(self) -> str:
        return ",".join(f"{word}={value}" for word, value in self.words().items())


def size_of(text: str) -> tuple[int, int]:
    """Read a height and a width, as in "128x171".

    Raises:
        ExportError: If the text is something else.
    """
    try:
        height, width = map(int, text.split("x"))
    except ValueError:
        raise ExportError(f"resize must be HEIGHTxWIDTH, as in 128x171, not {text!r}.") from None
    return height, width


def colour_of(word: str, value: str | float | tuple[float, ...]) -> Colour:
    """Read one number for all channels, or three, as in "0.45" or "0.485/0.456/0.406".

    Raises:
        ExportError: If the value is something else.
    """
    try:
        parts = value.split("/") if isinstance(value, str) else value
        numbers = [float(one) for one in (parts if isinstance(parts, list | tuple) else [parts])]
        red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
    except (TypeError, ValueError):
        raise ExportError(f"{word} must be one number or three (RED/GREEN/BLUE), not {value!r}.") from None
    return red, green, blue


def _expect(word: str, value: object, right: bool, rule: str) -> None:
    if not right:
        raise ExportError(f"{word} must be {rule}, not {value!r}.")


def _spelt(colour: Colour) -> str:
    numbers = [repr(float(number)).removesuffix(".0") for number in colour]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)

"""How pixel values are normalised before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-channel (RGB) mean and standard deviation, for pixel values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(
                f"Normalisation needs 3 means and 3 positive stds. Got {self.mean} and {self.std}."
            )


KINETICS = Normalisation(  # torchvision's video models; PROTOCOL 2
    mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989)
)
IMAGENET = Normalisation(  # torchvision's image models
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
PLUS_MINUS_ONE = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))  # arXiv:1705.07750: from -1 to 1
FACEBOOK = Normalisation(  # SlowFast's DATA.MEAN and DATA.STD, which PyTorchVideo took over
    mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225)
)
HARA = Normalisation(  # kenshohara/3D-ResNets-PyTorch, mean.py: Kinetics
    mean=(0.4345, 0.4051, 0.3775), std=(0.2768, 0.2713, 0.2737)
)


def of_bytes(red: float, green: float, blue: float) -> Normalisation:
    """Subtract means from values of 0 to 255, and divide by nothing.

    >>> of_bytes(102, 51, 0).mean
    (0.4, 0.2, 0.0)
    """
    return Normalisation(mean=(red / 255, green / 255, blue / 255), std=(1 / 255, 1 / 255, 1 / 255))

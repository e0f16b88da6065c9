from typing import Any

import numpy as np
import numpy.typing as npt

def planes_to_rgb(
    out: npt.NDArray[np.uint8],
    planes: tuple[tuple[npt.NDArray[Any], ...], ...],
    kind: int,
    colour: tuple[float, ...],
) -> None: ...

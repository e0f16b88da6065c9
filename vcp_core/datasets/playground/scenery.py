"""The empty scene of a group's videos: sky, sun, hills, trees, textured ground.

Legend: H height, W width of a frame. Colours are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.datasets.playground.actions import TAU, Floats
from vcp_core.datasets.playground.chance import Chance

HEIGHT, WIDTH = 240, 320
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours of a scene: sky above and at the horizon, hills, ground and its pattern, sunlight."""

    zenith: Floats
    haze: Floats
    hill: Floats
    ground: Floats
    soil: Floats
    light: Floats


# In the order of Palette's colours.
PALETTES: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("3f7fc4", "cfe6f2", "6f94a0", "79a856", "5c8a45", "fff4d6"),  # summer day
    ("2d3a6e", "f2a27c", "6b4f73", "8a6a4f", "6e5142", "ffd9a8"),  # sunset
    ("6f9fd0", "f6e3c5", "c89b6c", "d9b37a", "c49a5e", "fff0cc"),  # desert
    ("8fb4d9", "eef4f8", "a9bccd", "e6edf2", "c9d8e4", "ffffff"),  # snow
    ("4fa3a5", "d5efe6", "5d8f86", "d8c99b", "bfae7f", "fff6dc"),  # beach
    ("58688a", "c6ccd6", "66707f", "7d8a6a", "66735a", "eef0ff"),  # overcast
    ("141c3d", "4c5a8c", "2b3358", "34425e", "2a3650", "cdd8ff"),  # night
    ("5d6fb0", "f3cfd8", "9a7fa6", "a68fb8", "8a74a3", "ffe9f0"),  # lavender
    ("4b86b8", "f4d9a6", "b3703f", "b98a45", "9c6d35", "ffe6b8"),  # autumn
    ("2f8f9d", "bfe8dc", "3f6f58", "4f8a58", "3c7048", "f8ffe0"),  # forest
)


def draw_palette(chance: Chance) -> Palette:
    """Draw one of the palettes, and change every colour of it slightly.

    >>> first, second = draw_palette(Chance("group 1")), draw_palette(Chance("group 1"))
    >>> bool((first.zenith == second.zenith).all()), first.zenith.shape
    (True, (3,))
    """
    zenith, haze, hill, ground, soil, light = (_rgb(code, chance) for code in chance.choice(PALETTES))
    return Palette(zenith=zenith, haze=haze, hill=hill, ground=ground, soil=soil, light=light)


def paint_scenery(palette: Palette, sun_side: float, chance: Chance) -> Image:
    """Paint a scene in the given colours, (H, W, 3).

    Args:
        palette: The colours of the scene.
        sun_side: Place of the sun, from -1 (left) to 1 (right).
        chance: The source of all other choices.
    """
    rows, columns = np.arange(float(HEIGHT))[:, None], np.arange(float(WIDTH))[None, :]
    horizon = chance.between(122, 148)
    up = np.clip(rows / horizon, 0, 1)[..., None] ** 1.3
    image = palette.zenith * (1 - up) + palette.haze * up + np.zeros((HEIGHT, WIDTH, 1))
    image = _sun(image, rows, columns, WIDTH / 2 + sun_side * 120, chance.between(28, 80), palette.light)
    for depth in (0.35, 0.75):
        crest = horizon - (1 - depth) * 24 - 4 - _ridge(columns, chance) * (22 - 8 * depth)
        colour = palette.haze * (1 - depth) + palette.hill * depth
        colour = colour * (1 - 0.12 * (rows - crest)[..., None] / 60)
        image = _over(image, np.clip(rows - crest + 0.5, 0, 1), colour)
    image = _over(image, *_trees(rows, columns, horizon, palette.hill * 0.45 + palette.ground * 0.25, chance))
    near = np.clip((rows - horizon) / (HEIGHT - horizon), 0, 1)[..., None]
    texture = _ground_texture(rows, columns, horizon, chance)[..., None] * (0.25 + 0.75 * near)
    field = palette.ground * (1 - texture) + palette.soil * 0.8 * texture
    field = field * (1.04 - 0.22 * near) + 0.12 * (1 - near) ** 4 * palette.haze
    image = _over(image, np.clip(rows - horizon + 0.5, 0, 1) + 0 * columns, field)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _over(image: Floats, alpha_HW: Floats, colour: Floats) -> Floats:
    return image * (1 - alpha_HW[..., None]) + colour * alpha_HW[..., None]


def _sun(image: Floats, rows: Floats, columns: Floats, x: float, y: float, light: Floats) -> Floats:
    far = np.hypot(columns - x, rows - y)
    return _over(_over(image, 0.55 * np.exp(-far / 38), light), np.clip(13 - far, 0, 1) * 0.95, light)


def _ridge(columns: Floats, chance: Chance) -> Floats:
    """A mountain line in about [-1, 1]."""
    return np.asarray(
        sum(
            np.sin(columns * TAU / chance.between(220, 420) * 2**octave + chance.between(0, TAU))
            * 0.55**octave
            for octave in range(5)
        )
        / 1.6
    )


def _trees(
    rows: Floats, columns: Floats, horizon: float, colour: Floats, chance: Chance
) -> tuple[Floats, Floats]:
    """Opacity and colour of a few conifers on the horizon."""
    alpha = np.zeros((HEIGHT, WIDTH))
    for _ in range(3 + chance.below(7)):
        x, tall = chance.between(0, WIDTH), chance.between(12, 30)
        foot = horizon + chance.between(1, 7)
        down = (rows - (foot - tall)) / tall
        tier = 0.62 + 0.38 * ((down * 3.0) % 1.0)
        half = tall * 0.28 * down * tier
        tree = np.clip(half - np.abs(columns - x) + 0.5, 0, 1) * ((down > 0) & (down < 1))
        alpha = np.maximum(alpha, tree)
    shade = 0.8 + 0.4 * (horizon + 7 - rows)[..., None] / 40
    return alpha, colour * np.clip(shade, 0.6, 1.2) + np.zeros((HEIGHT, WIDTH, 1))


def _ground_texture(rows: Floats, columns: Floats, horizon: float, chance: Chance) -> Floats:
    """Tiles, furrows or patches in perspective, with grain; (H, W) in [0, 1]."""
    below = np.maximum(rows - horizon, 1.0)
    across = (columns - WIDTH / 2 + chance.between(-60, 60)) / below * chance.between(2.0, 3.2)
    along = chance.between(160, 260) / below
    kind = chance.choice(["tiles", "furrows", "patches", "patches"])
    patches = _lattice(across * 1.3 + 40, along * 1.6, chance)
    if kind == "tiles":
        figure = 0.5 + 0.5 * np.tanh(3 * np.sin(across * 2.2) * np.sin(along * 2.2)) * np.clip(
            below / 25, 0, 1
        )
    elif kind == "furrows":
        figure = 0.5 + 0.5 * np.sin(across * 4.5 + patches) * np.clip(below / 30, 0, 1)
    else:
        figure = patches
    fine = _lattice(across * 7 + 90, along * 9, chance) * np.clip(below / 40, 0, 1)
    grain = chance.field(HEIGHT, WIDTH) - 0.5
    return np.asarray(np.clip(0.55 * figure + 0.3 * patches + 0.3 * fine + 0.25 * grain, 0, 1.4))


def _lattice(u: Floats, v: Floats, chance: Chance) -> Floats:
    """Smooth value noise in [0, 1) at the points (u, v)."""
    values = chance.field(64, 64)
    u, v = np.broadcast_arrays(u, v)
    left, top = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    a, b = u - left, v - top
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    upper, lower = (
        values[row % 64, left % 64] * (1 - a) + values[row % 64, (left + 1) % 64] * a
        for row in (top, top + 1)
    )
    return np.asarray(upper * (1 - b) + lower * b)


def _rgb(code: str, chance: Chance) -> Floats:
    """A palette colour, slightly changed."""
    base = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    return np.asarray(np.clip(base + (chance.field(3) - 0.5) * 0.09, 0, 1))

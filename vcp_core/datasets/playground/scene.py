"""The look of a group of playground videos: its scene, its light, and the body that moves.

The appearance is drawn once for each group, and all videos of the group share it. The scene has a top and a
bottom: the sky is above the ground, light falls from above, and a shadow lies below. So a rotated or
rearranged frame can be recognised.

Legend: H height, W width of a frame; h, w of a patch of it. Colours are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.datasets.playground.actions import Floats, Path
from vcp_core.datasets.playground.chance import Chance
from vcp_core.datasets.playground.scenery import HEIGHT, WIDTH, Image, draw_palette, paint_scenery

NOISE_MARGIN = 32  # pixels by which the noise field is larger than a frame; it shifts from frame to frame


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """The look that all videos of one group share.

    Attributes:
        background: The empty scene, (H, W, 3).
        light: Unit vector towards the light (right, down, towards the viewer).
        cloud: Colour of clouds, RGB in [0, 255].
        noise: Camera noise, (H + margin, W + margin) in grey levels.
        radius: Radius of the body, in pixels.
        lobes: Number of bumps around the body's outline; 0 is a disc.
        bump: Height of the bumps as a share of the radius.
        stripes: Number of sectors or stripes in the body's second colour.
        sectors: Whether the pattern is sectors, and not stripes.
        colours: The body's two colours.
    """

    background: Image
    light: tuple[float, float, float]
    cloud: Floats
    noise: npt.NDArray[np.int16]
    radius: float
    lobes: int
    bump: float
    stripes: int
    sectors: bool
    colours: tuple[Floats, Floats]


def draw_appearance(chance: Chance) -> Appearance:
    """Draw the look of a group."""
    palette = draw_palette(chance)
    side = chance.between(-0.75, 0.75)
    hue = chance.between(0, 1)
    lobes = chance.choice([0, 0, 3, 4, 5, 6])
    level = chance.between(0.8, 2.2)
    noise = chance.field(4, HEIGHT + NOISE_MARGIN, WIDTH + NOISE_MARGIN).sum(axis=0) - 2.0
    return Appearance(
        background=paint_scenery(palette, side, chance),
        light=(side * 0.8, -0.6, 0.55),
        cloud=255 * (palette.haze * 0.45 + palette.light * 0.55),
        noise=np.rint(noise * np.sqrt(3) * level).astype(np.int16),  # four uniforms have variance 1/3
        radius=chance.between(17, 22),
        lobes=lobes,
        bump=chance.between(0.06, 0.16) if lobes else 0.0,
        stripes=chance.choice([2, 3, 4]),
        sectors=chance.choice([True, False]),
        colours=(_vivid(hue, 0.9), _vivid(hue + chance.between(0.3, 0.7), 1.0)),
    )


class Painter:
    """Paints the frames of one video.

    Args:
        look: The group's appearance.
        path: The path of the body.
        chance: The source of the differences between videos of a group: clouds, the ground's line, noise.
    """

    def __init__(self, look: Appearance, path: Path, chance: Chance) -> None:
        self._look, self._path = look, path
        self._ground = chance.between(186, 208)
        self._wind = chance.between(0.15, 0.5) * chance.choice([-1.0, 1.0])
        self._clouds = [_cloud(chance) for _ in range(2)]
        self._places = [(chance.between(40, 280), chance.between(24, 62)) for _ in self._clouds]
        self._shifts = [(chance.below(NOISE_MARGIN), chance.below(NOISE_MARGIN)) for _ in path.x_T]

    def frame(self, t: int) -> Image:
        """Paint frame number `t`, shape (H, W, 3)."""
        image = self._look.background.copy()
        for cloud_hw, (x, y) in zip(self._clouds, self._places, strict=True):
            _blend(image, x + self._wind * t, y, cloud_hw, self._look.cloud)
        self._shadow(image, t)
        self._body(image, t)
        top, left = self._shifts[t]
        noisy = image + self._look.noise[top : top + HEIGHT, left : left + WIDTH, None]
        return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)

    def _shadow(self, image: Image, t: int) -> None:
        """Paint the shadow: the higher the body, the wider and fainter its shadow."""
        height, radius = float(self._path.height_T[t]), self._look.radius
        wide = radius * (1.05 + height / 160)
        x = WIDTH / 2 + float(self._path.x_T[t]) - self._look.light[0] * height * 0.12
        ys, xs, window = _window(x, self._ground - 1, wide * 1.6)
        far = ((xs - x) / wide) ** 2 + ((ys - self._ground + 1) / (wide * 0.3)) ** 2
        dark = 1 - 0.55 * np.exp(-1.3 * far**1.5) * (1 - height / 220)
        patch = image[window]
        # + 0.5, because an assignment to uint8 cuts the fraction off.
        patch[:] = patch * dark[..., None] + 0.5

    def _body(self, image: Image, t: int) -> None:
        """Paint the body: outline and pattern turn with it, and the light on it does not."""
        look = self._look
        x = WIDTH / 2 + float(self._path.x_T[t])
        y = self._ground - look.radius - float(self._path.height_T[t])
        ys, xs, window = _window(x, y, look.radius * (1 + look.bump) + 2)
        dx, dy = xs - x, ys - y
        angle = np.arctan2(dy, dx) - float(self._path.angle_T[t])
        distance = np.hypot(dx, dy)
        edge = look.radius * (1 + look.bump * np.cos(look.lobes * angle) - look.bump)
        alpha = np.clip(edge - distance + 0.5, 0, 1)[..., None]
        wave = (
            np.sin(look.stripes * angle) * np.minimum(distance, look.radius) * 0.9
            if look.sectors
            else np.sin(distance * np.sin(angle) * look.stripes * 1.6 / look.radius) * look.radius * 0.5
        )
        second = np.clip(wave + 0.5, 0, 1)[..., None]
        colour = look.colours[0] * (1 - second) + look.colours[1] * second
        lit = _lit(dx / edge, dy / edge, look.light)[..., None]
        colour = np.clip(colour * (0.45 + 0.65 * lit) + 0.5 * lit**12, 0, 1) * 255
        patch = image[window]
        patch[:] = patch * (1 - alpha) + colour * alpha + 0.5


def _lit(u: Floats, v: Floats, light: tuple[float, float, float]) -> Floats:
    """Lambert's law on a ball; u and v run from -1 to 1 across it."""
    depth = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    right, down, near = np.array(light) / np.linalg.norm(light)
    return np.asarray(np.clip(u * right + v * down + depth * near, 0, 1))


def _window(x: float, y: float, reach: float) -> tuple[Floats, Floats, tuple[slice, slice]]:
    """Pixel rows (h, 1) and columns (1, w) within `reach` of a point, and their slices of the frame."""
    top, left = max(int(y - reach), 0), max(int(x - reach), 0)
    bottom, right = min(int(y + reach) + 2, HEIGHT), min(int(x + reach) + 2, WIDTH)
    rows = np.arange(top, bottom, dtype=np.float64)[:, None]
    columns = np.arange(left, right, dtype=np.float64)[None, :]
    return rows, columns, (slice(top, bottom), slice(left, right))


def _blend(image: Image, x: float, y: float, alpha_hw: Floats, colour: Floats) -> None:
    """Lay a colour over the image, centred on (x, y), between pixels across."""
    height, width = alpha_hw.shape
    left, top = int(np.floor(x)) - width // 2, int(y) - height // 2
    part = x - np.floor(x)
    shifted = alpha_hw * (1 - part)
    shifted[:, 1:] += alpha_hw[:, :-1] * part
    first, last = max(0, -left), min(width, WIDTH - left)
    if first >= last:
        return
    patch = image[top : top + height, left + first : left + last]
    alpha = shifted[: patch.shape[0], first:last, None]
    patch[:] = patch * (1 - alpha) + colour * alpha + 0.5


def _cloud(chance: Chance) -> Floats:
    """Opacity of a cloud: a row of soft puffs with a flat base, (h, w)."""
    rows, columns = np.arange(34.0)[:, None], np.arange(110.0)[None, :]
    density = np.zeros((34, 110))
    for _ in range(9):
        x, size = chance.between(28, 82), chance.between(7, 13)
        y = 25 - size * chance.between(0.4, 0.9)
        density += np.exp(-(((columns - x) / (1.5 * size)) ** 2 + ((rows - y) / (0.7 * size)) ** 2) * 1.5)
    base = np.clip((28 - rows) / 5, 0, 1)
    return np.asarray(chance.between(0.5, 0.85) * (1 - np.exp(-1.1 * density**1.5)) * base)


def _vivid(hue: float, value: float) -> Floats:
    """A saturated colour of the given hue (in turns)."""
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return np.asarray(value * (0.25 + 0.75 * wheel))

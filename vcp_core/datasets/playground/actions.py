"""The playground's eight actions. An action decides how a body moves, and not how it looks.

An action is a path over the whole video that never repeats. One quantity always changes in one direction (the
place across, up or down, or the radius of a spiral). So a clip from elsewhere in the video does not fit into
the blank. A path starts at a random point of its action and runs left or right, so that no single place gives
an action away.

Units: pixels of a 320 x 240 frame, frames, radians. `x` is the distance from the frame's middle. `height` is
the height of the body's lowest point above the ground. A body of radius 22 stays inside the 112 x 112 centre
crop of the 128 x 171 frame. A motion to and fro takes 14 to 38 frames, so that a clip of 16 frames shows its
kind (docs/decisions/2026-11-26-sample.md).

Legend: T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vcp_core.datasets.playground.chance import Chance

Floats = npt.NDArray[np.float64]
TAU = 2 * np.pi
GRID = 64  # paths are rounded to 1/64 px, so that a platform's last digit of a sine cannot reach the pixels


@dataclass(frozen=True, kw_only=True)
class Path:
    """The place and the rotation of a body in every frame: three arrays of length T."""

    x_T: Floats
    height_T: Floats
    angle_T: Floats


def bounce(t: Floats, chance: Chance) -> Path:
    """Falls and bounces, a little lower each time.

    >>> path = bounce(np.arange(100.0), Chance("a"))
    >>> bool(path.height_T.min() >= 0), bool(path.height_T[:50].max() > path.height_T[50:].max())
    (True, True)
    """
    gravity, keep = chance.between(1.1, 1.5), chance.between(0.95, 0.97)
    height, speed = chance.between(90, 118), chance.between(-1.5, 0.0)
    heights = []
    for _ in t:
        heights.append(height)
        speed -= gravity
        height += speed
        if height < 0:
            height, speed = -height * keep, -speed * keep
    return _spinning(_across(t, chance), np.array(heights), chance)


def roll(t: Floats, chance: Chance) -> Path:
    """Rolls along the ground and slows down.

    >>> path = roll(np.arange(100.0), Chance("a"))
    >>> steps_T = np.abs(np.diff(path.x_T))
    >>> float(path.height_T.max()), bool(steps_T[0] > steps_T[-1])
    (0.0, True)
    """
    far, fade = chance.between(74, 86), chance.between(1.15, 1.7)
    x = far * (1 - 2 * (1 - t / len(t)) ** fade)
    return Path(x_T=x, height_T=np.zeros_like(t), angle_T=x / chance.between(13, 17) + chance.between(0, TAU))


def throw(t: Floats, chance: Chance) -> Path:
    """Flies one high arc.

    >>> path = throw(np.arange(100.0), Chance("a"))
    >>> bool(path.height_T[0] < path.height_T.max() > path.height_T[-1])
    True
    """
    duration, peak = len(t) * chance.between(0.9, 1.25), chance.between(92, 122)
    u = np.clip(t / duration + chance.between(0.0, 0.15), 0, 1)
    return _spinning(_across(t, chance), 4 * peak * u * (1 - u), chance)


def rise(t: Floats, chance: Chance) -> Path:
    """Rises like a balloon, swaying quickly.

    >>> path = rise(np.arange(100.0), Chance("a"))
    >>> bool((np.diff(path.height_T) > 0).all())
    True
    """
    height = np.interp(t / len(t), (0, 1), (chance.between(0, 25), chance.between(95, 122)))
    sway = chance.between(20, 26) * np.sin(TAU * (t / chance.between(14, 18) + chance.between(0, 1)))
    x = chance.between(-25, 25) + chance.between(0.1, 0.3) * _across(t, chance) + sway
    return Path(x_T=x, height_T=height, angle_T=sway / 60 + chance.between(0, TAU))


def flutter(t: Floats, chance: Chance) -> Path:
    """Falls like a leaf: wide slow swings that drop in the middle and lift at the ends.

    >>> path = flutter(np.arange(100.0), Chance("a"))
    >>> bool(path.height_T[:10].min() > path.height_T[-10:].max())
    True
    """
    phase = TAU * (t / chance.between(30, 38) + chance.between(0, 1))
    swing = chance.between(34, 50) * np.sin(phase)
    fall = np.interp(t / len(t), (0, 1), (chance.between(96, 114), chance.between(8, 25)))
    x = chance.between(-18, 18) + swing
    return Path(x_T=x, height_T=fall - 8 * np.cos(2 * phase), angle_T=swing / 40 + chance.between(0, TAU))


def swing(t: Floats, chance: Chance) -> Path:
    """Swings like a pendulum that loses its force, under a support that wanders on.

    >>> path = swing(np.arange(100.0), Chance("a"))
    >>> bool(np.ptp(path.angle_T[:30]) > np.ptp(path.angle_T[-30:]))
    True
    """
    fade = np.exp(-t / (len(t) * chance.between(0.7, 1.1)))
    phase = TAU * (t / chance.between(20, 26) + chance.between(0, 1))
    theta = chance.between(0.45, 0.55) * fade * np.cos(phase)
    length = chance.between(85, 96)
    x = chance.between(0.34, 0.45) * _across(t, chance) + length * np.sin(theta)
    support = np.interp(t / len(t), (0, 1), chance.choice([(8.0, 72.0), (72.0, 8.0)]))
    height = support + chance.between(0, 12) + length * (1 - np.cos(theta))
    return Path(x_T=x, height_T=height, angle_T=theta + chance.between(0, TAU))


def spiral(t: Floats, chance: Chance) -> Path:
    """Circles, wider and wider or closer and closer, around a centre that wanders on.

    >>> path = spiral(np.arange(100.0), Chance("a"))
    >>> swings = np.ptp(path.height_T[:25]), np.ptp(path.height_T[-25:])
    >>> bool(max(swings) > 2 * min(swings))
    True
    """
    ends = chance.choice([(46.0, 9.0), (9.0, 46.0)])
    radius = np.interp(t / len(t), (0, 1), ends)
    phase = TAU * (t / chance.between(16, 22) + chance.between(0, 1))
    x = chance.between(0.3, 0.42) * _across(t, chance) + radius * np.cos(phase)
    return _spinning(x, chance.between(52, 70) + radius * np.sin(phase), chance)


def zigzag(t: Floats, chance: Chance) -> Path:
    """Goes straight up and straight down by turns, at one speed, with sharp corners.

    >>> path = zigzag(np.arange(100.0), Chance("a"))
    >>> speeds_T = np.abs(np.diff(path.height_T))
    >>> bool(np.isclose(speeds_T, np.median(speeds_T)).mean() > 0.8)  # all frames but those at corners
    True
    """
    low, high = chance.between(4, 30), chance.between(82, 116)
    u = (t / chance.between(16, 22) + chance.between(0, 1)) % 1.0
    return _spinning(_across(t, chance), low + (high - low) * np.abs(2 * u - 1), chance)


ACTIONS: dict[str, Callable[[Floats, Chance], Path]] = {
    action.__name__: action for action in (bounce, flutter, rise, roll, spiral, swing, throw, zigzag)
}


def draw_path(action: str, num_frames: int, chance: Chance) -> Path:
    """Draw a path of `action`, mirrored half of the time.

    >>> path = draw_path("roll", 100, Chance("a"))
    >>> len(path.x_T), bool((path.x_T * GRID % 1 == 0).all())
    (100, True)
    """
    path = ACTIONS[action](np.arange(num_frames, dtype=np.float64), chance)
    side = chance.choice([-1.0, 1.0])
    return Path(
        x_T=np.rint(path.x_T * side * GRID) / GRID,
        height_T=np.rint(path.height_T * GRID) / GRID,
        angle_T=np.rint(path.angle_T * side * 1024) / 1024,  # for the reason of GRID
    )


def _across(t: Floats, chance: Chance) -> Floats:
    """From left to right at one speed."""
    return np.interp(t / len(t), (0, 1), (chance.between(-80, -62), chance.between(62, 80)))


def _spinning(x_T: Floats, height_T: Floats, chance: Chance) -> Path:
    turn = chance.between(0.03, 0.09) * chance.choice([-1.0, 1.0])
    return Path(
        x_T=x_T,
        height_T=height_T,
        angle_T=turn * np.arange(len(x_T), dtype=np.float64) + chance.between(0, TAU),
    )

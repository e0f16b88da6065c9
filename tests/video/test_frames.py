"""Frames: against PIL, against slow twins, over pixel formats, and compiled against NumPy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED, needs_shared
from vcp_core.catalog.errors import UnsupportedVideo
from vcp_core.video import frames
from vcp_core.video.decode import iter_frames
from vcp_core.video.display import Turn
from vcp_core.video.frames import Geometry, frame_to_rgb
from vcp_core.video.resize import ONE, Axis, resize_plane, resized_axis, triangle_weights

compiled = pytest.mark.skipif(
    not frames.IS_COMPILED, reason="no compiled kernel here: no C compiler at install"
)

GEOMETRY = Geometry()
VIDEOS = [
    "av1_video.mkv",
    "bikes.mp4",
    "carphone_pristine.mp4",
    "demo.mp4",
    "h265_10bits.mp4",
    "nasa_13013.mp4",
    "test.avi",
    "test.mp4",
]


def slow_weights(size_in: int, size_out: int) -> np.ndarray:
    rows = []
    for i in range(size_out):
        centre, support = (i + 0.5) * size_in / size_out, max(1.0, size_in / size_out)
        row = [max(0.0, 1 - abs((j + 0.5 - centre) / support)) for j in range(size_in)]
        rows.append(np.array(row) / sum(row))
    return np.array(rows)


def slow_rgb(frame: av.VideoFrame) -> np.ndarray:
    """PROTOCOL 2 word by word, in float64, for 8 and 10 bit 4:2:0 that says nothing or BT.709, limited."""
    ten = frame.format.name == "yuv420p10le"
    kr, kb = (0.2126, 0.0722) if int(frame.colorspace) == 1 else (0.299, 0.114)
    planes = []
    for plane in frame.planes:
        dtype = np.uint16 if ten else np.uint8
        pixels = np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].astype(float)
        down, across = slow_weights(plane.height, 128), slow_weights(plane.width, 171)
        planes.append((down @ pixels @ across.T)[8:120, 30:142] / (4 if ten else 1))
    y, u, v = planes
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    kg = 1 - kr - kb
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / kg
    return np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255)


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_frames_agree_with_pil_and_with_a_slow_twin_in_float64(name: str) -> None:
    some = list(iter_frames(SHARED / "videos" / name))[::15]
    to_pil, to_twin = [], []
    for frame in some:
        ours = frame_to_rgb(frame, GEOMETRY).astype(float)
        # The RGB frame that PIL resizes is swscale's of yuv420p, as PROTOCOL 2 has it: from 10 bit straight
        # to RGB it interpolates chroma otherwise, which moves a saturated test pattern by 3.2 by itself.
        rgb = frame.reformat(format="yuv420p").to_image()
        theirs = np.asarray(rgb.resize((171, 128), Image.Resampling.BILINEAR))[8:120, 30:142]
        to_pil.append(np.abs(ours - theirs).mean())
        to_twin.append(np.abs(ours - slow_rgb(frame)).max())
    print(f"{name}: mean |ours - PIL| {np.mean(to_pil):.3f}, max |ours - twin| {max(to_twin):.0f} of 255")
    assert np.mean(to_pil) <= 2
    assert max(to_twin) <= 1


@pytest.mark.parametrize(("size_in", "size_out"), [(240, 128), (120, 128), (1080, 171), (100, 171), (1, 128)])
def test_weights_of_the_triangle_filter_equal_a_slow_twin(size_in: int, size_out: int) -> None:
    np.testing.assert_allclose(
        triangle_weights(size_in, size_out), slow_weights(size_in, size_out), atol=1e-12
    )


def axes(height: int, width: int) -> tuple[Axis, Axis]:
    (rows, columns), (top, left) = GEOMETRY.resize, GEOMETRY.offset
    return (
        resized_axis(height, rows, top, GEOMETRY.crop[0]),
        resized_axis(width, columns, left, GEOMETRY.crop[1]),
    )


@pytest.mark.parametrize("value", [0, 16, 128, 255])
@pytest.mark.parametrize("size", [(240, 320), (144, 176), (1080, 1920), (37, 53)])
def test_a_constant_plane_stays_exactly_constant(size: tuple[int, int], value: int) -> None:
    assert (resize_plane(np.full(size, value, np.uint8), *axes(*size)) == value).all()


def dense(axis: Axis, length: int) -> np.ndarray:
    """The whole matrix of an axis, zeros included, in integers."""
    matrix = np.zeros((len(axis.first), length), np.int64)
    for k, weights in enumerate(axis.weights):
        matrix[np.arange(len(axis.first)), axis.first + k] += weights.astype(np.int64)
    return matrix


@pytest.mark.parametrize("bits", [8, 16])
def test_the_arithmetic_is_exact_whatever_order_it_is_summed_in(bits: int) -> None:
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 1 << bits, (240, 320)).astype(np.uint8 if bits == 8 else np.uint16)
    down, across = axes(240, 320)
    used = plane[down.used, across.used].astype(np.int64)
    rows, columns = dense(down, used.shape[0]), dense(across, used.shape[1])
    exact = (rows @ used @ columns.T) / ONE**2  # integers: no order matters
    assert (resize_plane(plane, down, across) == exact).all()

    def in_another_order(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        y, x = rng.permutation(used.shape[0]), rng.permutation(used.shape[1])
        return np.asarray(rows[:, y] @ (used[:, x].astype(columns.dtype) @ columns[:, x].T)[y])

    floats = rows.astype(float), columns.astype(float)
    assert all((in_another_order(*floats) / ONE**2 == exact).all() for _ in range(3))
    rough = [
        triangle_weights(240, 128)[8:120, down.used].astype(np.float32),
        triangle_weights(320, 171)[30:142, across.used].astype(np.float32),
    ]
    naive = in_another_order(*rough)
    assert (naive != in_another_order(*rough)).any(), "any weights pass, so this test shows nothing"


def picture() -> np.ndarray:
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([x * 2, y * 2, 255 - x - y], -1).clip(0, 255).astype(np.uint8)


PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "gbrp", "yuva420p")
PACKED = ("nv12", "yuyv422", "rgb24", "bgra", "p010le", "yuv420p10be")


@pytest.mark.parametrize("pixel_format", PLANAR + PACKED)
def test_every_pixel_format_gives_the_same_picture(pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24")
    expected = np.asarray(frame.to_image().resize((171, 128), Image.Resampling.BILINEAR))[8:120, 30:142]
    ours = frame_to_rgb(frame.reformat(format=pixel_format), GEOMETRY)
    assert ours.shape == (112, 112, 3)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(float) - expected).mean() < 2.5


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "ya8", "monob"])
def test_grey_formats_give_three_equal_channels(pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format=pixel_format)
    rgb = frame_to_rgb(frame, GEOMETRY)
    assert (rgb[..., 0] == rgb[..., 1]).all()
    assert (rgb[..., 0] == rgb[..., 2]).all()
    assert rgb.std() > 10


def test_the_range_and_the_matrix_of_the_stream_are_obeyed() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 200, np.uint8), format="rgb24")
    grey = frame.reformat(format="yuv420p")
    grey.color_range = 2
    assert frame_to_rgb(grey, GEOMETRY)[0, 0, 0] < 195  # limited-range codes read as full range are darker
    green = av.VideoFrame.from_ndarray(np.full((96, 128, 3), (0, 200, 0), np.uint8), format="rgb24")
    as_601 = green.reformat(format="yuv420p")
    plain = frame_to_rgb(as_601, GEOMETRY)[50, 50]
    as_601.colorspace = 1
    assert abs(int(frame_to_rgb(as_601, GEOMETRY)[50, 50, 1]) - int(plain[1])) > 5


GEOMETRIES = [
    GEOMETRY,
    Geometry(resize=(256, 342), crop=(224, 224)),  # enlarges, and has heights that are no multiple of 4
    Geometry(resize=(64, 85), crop=(5, 7)),
]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_the_kernel_is_built_where_there_is_a_compiler() -> None:
    assert frames.IS_COMPILED, "run `python setup.py build_ext --inplace`, and read the compiler's messages"


@pytest.mark.slow
def test_an_installation_without_the_kernel_works() -> None:
    script = (
        "import sys; sys.modules['vcp_core.video._kernel'] = None\n"
        "from vcp_core.video import frames; print(frames.IS_COMPILED)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "False\n"), found.stderr


@compiled
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("pixel_format", PLANAR + PACKED + ("gray", "gray10le", "yuv444p16le", "gbrp16le"))
@pytest.mark.parametrize("full", [False, True])
def test_the_compiled_form_gives_the_same_bytes_as_numpy(
    monkeypatch: pytest.MonkeyPatch, pixel_format: str, geometry: Geometry, full: bool
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=pixel_format)
    frame.color_range = 2 if full else 1
    fast = frame_to_rgb(frame, geometry)
    monkeypatch.setattr(frames, "IS_COMPILED", False)
    assert (frame_to_rgb(frame, geometry) == fast).all()


@compiled
@pytest.mark.parametrize("turn", [Turn(True, False, True), Turn(False, True, True), Turn(True)], ids=str)
def test_the_compiled_form_gives_the_same_bytes_of_turned_frames(
    monkeypatch: pytest.MonkeyPatch, turn: Turn
) -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
    monkeypatch.setattr(frames, "turn_of", lambda _: turn)
    fast = frame_to_rgb(frame, GEOMETRY)
    monkeypatch.setattr(frames, "IS_COMPILED", False)
    assert (frame_to_rgb(frame, GEOMETRY) == fast).all()


@compiled
@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_the_compiled_form_gives_the_same_bytes_on_real_videos(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    some = list(iter_frames(SHARED / "videos" / name))[::15]
    with ThreadPoolExecutor(4) as pool:  # the kernel lets go of the interpreter's lock
        fast = list(pool.map(lambda frame: frame_to_rgb(frame, GEOMETRY), some))
    monkeypatch.setattr(frames, "IS_COMPILED", False)
    assert all((frame_to_rgb(frame, GEOMETRY) == rgb).all() for frame, rgb in zip(some, fast, strict=True))


@compiled
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"first": 209}, "outside the plane"),
        ({"first": -1}, "outside the plane"),
        ({"size": 111}, "an axis is"),
        ({"planes": 2}, "of 3 planes"),
        ({"kind": 7}, "of 3 planes"),
        ({"mirrored": True}, "rows without gaps"),
        ({"dtype": np.float16}, "uint8 or uint16"),
        ({"dtype": ">u2"}, "uint8 or uint16"),
        ({"dtype": np.int8}, "uint8 or uint16"),
        ({"weight": -1.0}, "from 0 to 65536"),
        ({"weight": np.nan}, "from 0 to 65536"),
        ({"out": np.int8}, "the result is uint8"),
    ],
)
def test_the_compiled_form_refuses_what_it_would_read_beside_the_plane(
    change: dict[str, Any], said: str
) -> None:
    axis = axes(240, 320)[0]
    first = np.full_like(axis.first, change.get("first", 0))[: change.get("size", 112)]
    plane = np.zeros((212, 212), change.get("dtype", np.uint8))[:, :: -1 if change.get("mirrored") else 1]
    weights = np.full_like(axis.weights, change.get("weight", 1.0))
    item = (plane, first, weights, first, weights)
    rgb = np.empty((112, 112, 3), change.get("out", np.uint8))
    with pytest.raises(ValueError, match=said):
        frames._kernel.planes_to_rgb(
            rgb, (item,) * change.get("planes", 3), change.get("kind", 0), (0.0,) * 9
        )


def test_an_unknown_colour_matrix_is_an_error_that_says_which() -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
    frame.colorspace = 8  # YCgCo
    with pytest.raises(UnsupportedVideo, match="matrix 8"):
        frame_to_rgb(frame, GEOMETRY)


def test_the_crop_is_where_torchvision_puts_it() -> None:
    assert GEOMETRY.offset == (8, 30)


def test_a_crop_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Geometry(resize=(100, 100))

"""Strips of frames of the videos behind a result, as pictures that a notebook shows. No torch.

Legend: H height, W width, C channels of a picture.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import InputError, NotAvailable
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.results.answers import Answer, answers
from vcp_core.results.types import Results
from vcp_core.video.decode import iter_frames
from vcp_core.video.display import turn_of
from vcp_core.video.frames import Geometry, frame_to_rgb

Picture = npt.NDArray[np.uint8]
HEIGHT = 72  # pixels of a strip; six frames of a 4:3 video are then 576 wide
WIDEST = 3 * HEIGHT  # pixels of one frame; a panorama is narrowed


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames of one video side by side, as a JPEG."""

    video: str
    num_frames: int
    jpeg: bytes

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.jpeg).decode()
        said = html.escape(f"{self.num_frames} frames of {self.video}")
        return f'<img src="data:image/jpeg;base64,{data}" alt="{said}" height="{HEIGHT}">'


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One answer with its pictures; `neighbour` is the nearest training video's, for retrieval."""

    answer: Answer
    strip: Strip
    neighbour: Strip | None = None


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Answers with their pictures. A notebook shows it as a table.

    Attributes:
        title: What is shown, in words.
        rows: The answers that are shown.
    """

    title: str
    rows: tuple[Shown, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = (f"  {one.answer.video}: {_in_words(one.answer)}" for one in self.rows)
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{one.strip._repr_html_()}{_below(one.neighbour)}</td>"
            f"<td>{html.escape(one.answer.video)}<br>{html.escape(_in_words(one.answer))}</td></tr>"
            for one in self.rows
        )
        return f"<div><p><b>{html.escape(self.title)}</b></p><table><tbody>{rows}</tbody></table></div>"


def gallery(
    results: Results,
    dataset: str | Path | Dataset,
    benchmark: str = "recognition",
    *,
    wrong: bool = True,
    most: int = 12,
    num_frames: int = 6,
) -> Gallery:
    """Show answers of recognition or retrieval with strips of frames, read from the local videos.

    If a video decodes only in part, its strip ends at the last decoded frame.

    Args:
        results: The results, with their predictions.
        dataset: The videos of these results: a name, a folder, or the result of `load_dataset`.
        benchmark: "recognition", or "retrieval", which also shows the nearest training video.
        wrong: Whether to show wrong answers; else right ones.
        most: Largest number of answers. They are spread evenly over all that there are.
        num_frames: Frames of a strip, spread evenly over the video.

    Returns:
        What a notebook shows as a table, if a cell ends with it.

    Raises:
        InputError: If the videos are not those of the results, or a number is not positive.
        NotAvailable: If the results hold no predictions of the benchmark, or it answers no classes.
        UnknownName: If the benchmark was not run.
    """
    if min(most, num_frames) < 1:
        raise InputError(f"most={most} and num_frames={num_frames}: both must be 1 or more.")
    dataset = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    _expect_same_videos(results, dataset)
    found = results.benchmark(benchmark)
    if found.predictions is None:
        raise NotAvailable(found.unavailable or f"These results hold no predictions of {benchmark}.")
    said = answers(found.predictions, {video.id: video.label for video in dataset.videos})
    chosen = [one for one in said if one.right is not wrong]
    kind = "wrong" if wrong else "right"
    return Gallery(
        title=f"{len(chosen)} of {len(said)} answers of {benchmark} are {kind}"
        + (f"; {most} of them:" if len(chosen) > most else ""),
        rows=tuple(
            Shown(
                answer=one,
                strip=strip(dataset, one.video, num_frames=num_frames),
                neighbour=strip(dataset, one.neighbour, num_frames=num_frames) if one.neighbour else None,
            )
            for one in _spread(chosen, most)
        ),
    )


def strip(dataset: Dataset, video_id: str, *, num_frames: int = 6) -> Strip:
    """Make the strip of one video: frames spread evenly from its first to its last, from left to right.

    Raises:
        InputError: If the dataset has no such video.
        UndecodableVideo: If no frame of the file can be decoded.
    """
    video = next((one for one in dataset.videos if one.id == video_id), None)
    if video is None:
        raise InputError(f"{dataset.name} has no video {video_id!r}.")
    wanted = np.linspace(0, video.num_frames - 1, num_frames).round().astype(int).tolist()
    pictures = list(_pictures(dataset.path(video), wanted))
    return Strip(video=video_id, num_frames=len(pictures), jpeg=_jpeg(np.concatenate(pictures, axis=1)))


def _expect_same_videos(results: Results, dataset: Dataset) -> None:
    measured = results.provenance.dataset.get("fingerprint")
    if measured != dataset.fingerprint:
        raise InputError(
            f"These results stand on other videos than {dataset.name}: their fingerprint is {measured}, and "
            f"that of {dataset.name} is {dataset.fingerprint}. Name the videos that were evaluated."
        )


def _spread(found: list[Answer], most: int) -> list[Answer]:
    """Take some, evenly: predictions are sorted by video, and the first ones are often of one class."""
    if len(found) <= most:
        return found
    return [found[index * len(found) // most] for index in range(most)]


def _pictures(path: Path, wanted: Iterable[int]) -> Iterator[Picture]:
    """Read these frames of a file, (HEIGHT, W, C), each as often as it is wanted."""
    times = list(wanted)
    for number, frame in enumerate(iter_frames(path)):
        if number in times:
            picture_HWC = frame_to_rgb(frame, _geometry(frame))
            for _ in range(times.count(number)):
                yield picture_HWC
        if number >= max(times):
            return


def _geometry(frame: av.VideoFrame) -> Geometry:
    """Scale a frame to the strip's height, with its own shape, and an even width, as JPEG's colours need."""
    height, width = (frame.width, frame.height) if turn_of(frame).transpose else (frame.height, frame.width)
    scaled = max(2, min(WIDEST, 2 * round(HEIGHT * width / height / 2)))
    return Geometry(resize=(HEIGHT, scaled), crop=(HEIGHT, scaled))


def _jpeg(picture_HWC: Picture) -> bytes:
    """Encode a picture. PyAV, which reads videos, encodes it: no other library is needed."""
    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = picture_HWC.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture_HWC, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for part in (frame, None) for packet in codec.encode(part))


def _in_words(answer: Answer) -> str:
    if answer.neighbour is not None:
        return f"is {answer.label}; nearest is {answer.neighbour}, {answer.answer}"
    return f"is {answer.label}" if answer.right else f"is {answer.label}, answered {answer.answer}"


def _below(neighbour: Strip | None) -> str:
    return f"<br>{neighbour._repr_html_()}" if neighbour else ""

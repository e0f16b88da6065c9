"""A map of the test videos in two dimensions: videos whose features are alike lie together. No torch.

The map shows neighbours. It does not show distances between clumps, nor the size of a clump: t-SNE spreads
every clump until its videos have room. docs/decisions/2026-11-30-map.md has the choice of the method.

Legend: N videos, D features, P principal components.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from vcp_core.benchmarks.grid import video_means
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import FeatureBank
from vcp_core.progress import OnUnits, ignore
from vcp_core.results.answers import RECOGNITION, RETRIEVAL, answers
from vcp_core.results.types import Predictions

Floats = npt.NDArray[np.floating[Any]]
SIDE = 10_000  # positions are whole numbers from 0 to SIDE, so that a map of 20,000 videos is a small text
MOST_VIDEOS = 20_000  # of a map: bench/map.py prints time and memory; of more videos, some are left out
COMPONENTS = 50  # principal components that neighbours are searched in, as t-SNE's authors do
PERPLEXITY = 30.0  # scikit-learn's; the number of neighbours that a video is held together with
FEWEST = 5  # with fewer videos t-SNE is skipped, and the first two components are the positions
EXAGGERATION = 12.0  # scikit-learn's; pulls clumps together at first, so that they can pass one another
# Standard deviation of the positions that t-SNE begins at. scikit-learn's, for components; and for a map that
# begins at another one. There nothing is exaggerated: that would move the clumps (bench/map.py).
BEGIN, BEGIN_LIKE = 1e-4, 10.0
UNITS = 3  # of progress: features, components, positions


class VideoMap(BaseModel):
    """Positions and answers of test videos. All columns have one entry per video, in one order.

    Attributes:
        classes: All classes, sorted.
        videos: Ids of the videos, sorted.
        groups: Group of each video, if it is known.
        labels: True class of each video, as its place in `classes`.
        answers: Answered class, likewise; None if there is none.
        right: Whether the answer is right; None if there is no answer.
        x: Position to the right, from 0 to 10,000.
        y: Position down, from 0 to 10,000.
        answered_by: The benchmark that gave the answers: recognition, else retrieval, else None.
        num_left_out: Test videos that are not on the map, because there are more than 20,000.
        versions: Versions of the packages that decide the positions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    videos: tuple[str, ...]
    groups: tuple[str | None, ...]
    labels: tuple[int, ...]
    answers: tuple[int | None, ...]
    right: tuple[bool | None, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]
    answered_by: str | None
    num_left_out: int = 0
    versions: dict[str, str] = {}

    @property
    def positions_N2(self) -> npt.NDArray[np.float64]:
        """The positions as an array (N, 2)."""
        return np.array([self.x, self.y], np.float64).T


# Another method, other numbers in it or other fields make another map. So they are part of the version.
_NUMBERS = (COMPONENTS, PERPLEXITY, EXAGGERATION, BEGIN, BEGIN_LIKE, FEWEST, MOST_VIDEOS, SIDE)
_METHOD = ["1", *_NUMBERS, *sorted(VideoMap.model_fields)]
MAP_VERSION = hashlib.sha256(repr(_METHOD).encode()).hexdigest()[:12]


def map_of(
    bank: FeatureBank,
    dataset: Dataset,
    protocol: Protocol,
    spec: BackboneSpec,
    predictions: Mapping[str, Predictions],
    *,
    like: VideoMap | None = None,
    on_units: OnUnits = ignore,
) -> VideoMap:
    """Make the map of one evaluation's test videos, from the features by which retrieval ranks.

    Args:
        bank: The features of the evaluation.
        dataset: The videos.
        protocol: The numbers of the evaluation.
        spec: The network.
        predictions: Of the evaluation, by benchmark.
        like: The map of another evaluation of these videos. The new map begins at its positions, and is
            turned onto it, so that a class lies at a similar place.
        on_units: Called with the number of units of work done since the last call; there are `UNITS`.
    """
    test = dataset.side("test")
    shown = _some(test)
    features_ND = video_means(bank, shown, protocol, spec, stage=spec.stages[-1])
    on_units(1)
    begin_N2 = None if like is None else like.positions_N2
    positions_N2 = positions(features_ND, begin_N2=begin_N2, on_units=on_units)
    answered, by = _answers(dataset, predictions)
    place = {name: number for number, name in enumerate(dataset.classes)}
    found = [answered.get(video.id, (None, None)) for video in shown]
    return VideoMap(
        classes=dataset.classes,
        videos=tuple(video.id for video in shown),
        groups=tuple(video.group for video in shown),
        labels=tuple(place[video.label] for video in shown),
        answers=tuple(None if answer is None else place[answer] for answer, _ in found),
        right=tuple(right for _, right in found),
        x=tuple(positions_N2[:, 0].tolist()),
        y=tuple(positions_N2[:, 1].tolist()),
        answered_by=by,
        num_left_out=len(test) - len(shown),
        versions={package: version(package) for package in ("scikit-learn", "numpy")},
    )


def positions(
    features_ND: Floats, *, begin_N2: Floats | None = None, on_units: OnUnits = ignore
) -> npt.NDArray[np.int64]:
    """Place features in the plane: principal components, then t-SNE. Whole numbers (N, 2), from 0 to SIDE.

    Features are scaled to length 1, so that neighbours are those of retrieval's cosine. All runs on one
    thread from a fixed seed: the same features give the same positions on the same machine with the same
    packages. Other processors round otherwise, and t-SNE makes small differences large. So a map is made
    once, and kept.

    Args:
        features_ND: A feature for each video; changed in place.
        begin_N2: Positions to begin at, and to be turned onto; the first two components if left out.
        on_units: Called with 1 after the components, and with 1 at the end.

    >>> clumps_ND = np.repeat([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 2, axis=0)
    >>> near_N2 = positions(clumps_ND + 0.01 * np.eye(6, 3))
    >>> near_N2.shape, int(near_N2.min()), int(near_N2.max())
    ((6, 2), 0, 10000)
    """
    # Loaded before the limit, which binds only the libraries that are there.
    import sklearn.decomposition
    import sklearn.manifold  # noqa: F401

    with threadpool_limits(1):
        components_NP = _components(features_ND)
        on_units(1)
        placed_N2: Floats
        if len(features_ND) < FEWEST:
            placed_N2 = components_NP[:, :2]
        elif begin_N2 is None:
            placed_N2 = _tsne(components_NP, _spread(components_NP[:, :2], BEGIN), EXAGGERATION)
        else:
            placed_N2 = _tsne(components_NP, _spread(begin_N2, BEGIN_LIKE), 1.0)
        if begin_N2 is not None:
            placed_N2 = turned(placed_N2, begin_N2)
        on_units(1)
    return _whole(placed_N2)


def _components(features_ND: Floats) -> npt.NDArray[np.float64]:
    """The first principal components of features of length 1, (N, P); at least two columns."""
    from sklearn.decomposition import PCA

    lengths_N1 = np.linalg.norm(features_ND, axis=1, keepdims=True)
    features_ND /= np.where(lengths_N1 > 0, lengths_N1, 1)
    size = min(COMPONENTS, *features_ND.shape)
    if np.ptp(features_ND, axis=0).max() == 0:  # a collapsed network: every video has one feature
        found_NP = np.zeros((len(features_ND), size))
    else:
        found_NP = PCA(size, random_state=0, copy=False).fit_transform(features_ND).astype(np.float64)
    return np.pad(found_NP, ((0, 0), (0, max(0, 2 - size))))


def _spread(given_N2: Floats, deviation: float) -> npt.NDArray[np.float32]:
    """Scale positions around zero. Videos that all lie at one point are moved apart a little."""
    centred_N2 = given_N2 - given_N2.mean(axis=0)
    spread = float(centred_N2.std())
    if spread == 0:
        centred_N2, spread = np.random.default_rng(0).normal(0, 1, centred_N2.shape), 1.0
    return np.asarray(centred_N2 * (deviation / spread), np.float32)


def _tsne(
    components_NP: npt.NDArray[np.float64], begin_N2: npt.NDArray[np.float32], exaggeration: float
) -> Floats:
    from sklearn.manifold import TSNE

    num_videos = len(components_NP)
    method = TSNE(
        2,
        perplexity=min(PERPLEXITY, (num_videos - 1) / 3),
        early_exaggeration=exaggeration,
        # scikit-learn's "auto" with its usual exaggeration. Without exaggeration, "auto" is 12 times that.
        learning_rate=max(num_videos / EXAGGERATION / 4, 50),
        max_iter=1000,
        init=begin_N2,
        random_state=0,
        n_jobs=1,
    )
    placed_N2: Floats = method.fit_transform(components_NP.astype(np.float32))
    return placed_N2


def turned(own_N2: Floats, onto_N2: Floats) -> npt.NDArray[np.float64]:
    """Turn and mirror positions about their centre, so that they lie as close to others as they can.

    The sum of squared distances is smallest (the orthogonal Procrustes problem). The size is not changed.

    >>> corner_N2 = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> quarter_N2 = corner_N2 @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> bool(np.allclose(turned(quarter_N2, corner_N2), corner_N2 - corner_N2.mean(axis=0)))
    True
    """
    own_N2 = np.asarray(own_N2, np.float64) - own_N2.mean(axis=0)
    left_22, _, right_22 = np.linalg.svd(own_N2.T @ (onto_N2 - onto_N2.mean(axis=0)))
    turned_N2: npt.NDArray[np.float64] = own_N2 @ left_22 @ right_22
    return turned_N2


def _whole(placed_N2: Floats) -> npt.NDArray[np.int64]:
    """Scale positions into the square from 0 to SIDE. Both axes keep one scale, and the middle is filled."""
    low_2, high_2 = placed_N2.min(axis=0), placed_N2.max(axis=0)
    reach = float((high_2 - low_2).max()) or 1.0
    scaled_N2 = (placed_N2 - (low_2 + high_2) / 2) / reach + 0.5
    whole_N2: npt.NDArray[np.int64] = np.rint(SIDE * scaled_N2).astype(np.int64)
    return whole_N2


def _some(videos: Sequence[Video]) -> Sequence[Video]:
    """All videos, or as many as a map holds, taken evenly: videos are sorted by id, and so by class."""
    if len(videos) <= MOST_VIDEOS:
        return videos
    return [videos[index * len(videos) // MOST_VIDEOS] for index in range(MOST_VIDEOS)]


def _answers(
    dataset: Dataset, predictions: Mapping[str, Predictions]
) -> tuple[dict[str, tuple[str | None, bool]], str | None]:
    """Answer and whether it is right, by video, and the benchmark that gave the answers."""
    for name in (RECOGNITION, RETRIEVAL):
        if name in predictions:
            labels = {video.id: video.label for video in dataset.side("train")}
            found = answers(predictions[name], labels)
            return {one.video: (one.answer, one.right) for one in found}, name
    return {}, None

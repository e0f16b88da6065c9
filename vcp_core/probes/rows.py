"""The standardised rows that a linear probe is fitted on, in bounded memory.

Legend: N rows (samples), D features.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import VcpbenchError

Floats = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]

CHUNK_BYTES = 64 << 20  # of float64 rows that are worked on at once
EXACT_BYTES = 128 << 20  # rows that fit into this are kept in float64, larger ones in float32
MEMORY_VARIABLE = "VCPBENCH_PROBE_MEMORY_MB"
DEFAULT_MEMORY_MB = 3072


class Source(Interface):
    """Rows of features that can be asked for by their numbers. A NumPy array is one.

    A source may make its rows when it is asked, as the heads of cloze do. Then the rows need no memory twice.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    def __getitem__(self, numbers: Any) -> Floats:
        """The rows of these numbers, (len(numbers), D)."""


class Moments(NamedTuple):
    """Mean and standard deviation (D,) of rows, and which columns are constant. Their deviation is 1."""

    mean_D: Array
    scale_D: Array
    is_constant_D: npt.NDArray[np.bool_]


def most_bytes() -> int:
    """Memory for the rows of a fit; `VCPBENCH_PROBE_MEMORY_MB` overrides the 3,072 MiB.

    Rows that need more are made anew for every pass, which takes longer.

    Raises:
        VcpbenchError: If the variable is not a whole number above 0.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, VCPBENCH_PROBE_MEMORY_MB="512"):
    ...     print(most_bytes() >> 20)
    512
    """
    chosen = os.environ.get(MEMORY_VARIABLE) or str(DEFAULT_MEMORY_MB)
    if not chosen.isdecimal() or int(chosen) == 0:
        raise VcpbenchError(
            f"{MEMORY_VARIABLE} is {chosen!r}. Set it to a whole number of MiB above 0, such as 2048."
        )
    return int(chosen) << 20


def kept_bytes(num_rows: int, num_columns: int) -> int:
    """Memory of the rows of a fit: all of them, or one chunk of them if they do not fit into `most_bytes`.

    >>> kept_bytes(1000, 512)
    4096000
    """
    entries = num_rows * num_columns
    wanted = entries * dtype_of(entries).itemsize
    return wanted if wanted <= most_bytes() else CHUNK_BYTES


def dtype_of(entries: int) -> np.dtype[np.floating[Any]]:
    """The type of so many numbers of rows: float64 if they fit into `EXACT_BYTES`, else float32."""
    return np.dtype(np.float64 if entries * 8 <= EXACT_BYTES else np.float32)


def spans(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Cut rows into chunks of `CHUNK_BYTES` in float64.

    >>> list(spans(5000, 2048))
    [slice(0, 4096, None), slice(4096, 5000, None)]
    """
    step = max(1, CHUNK_BYTES // (8 * num_columns))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def moments(source: Source, numbers_N: Indices) -> Moments:
    """Mean and standard deviation of some rows.

    Raises:
        ValueError: If a feature is NaN or infinite.

    >>> rows = moments(np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([0, 1]))
    >>> rows.mean_D.tolist(), rows.scale_D.tolist(), rows.is_constant_D.tolist()
    ([2.0, 7.0], [1.0, 1.0], [False, True])
    """
    parts = [numbers_N[span] for span in spans(len(numbers_N), source.shape[1])]
    mean_D = np.zeros(source.shape[1])
    for part in parts:
        mean_D += source[part].sum(axis=0, dtype=np.float64)
    mean_D /= len(numbers_N)
    if not np.isfinite(mean_D).all():
        raise ValueError(f"Column {np.isfinite(mean_D).argmin()} of the features holds NaN or infinity.")
    variance_D = np.zeros_like(mean_D)
    for part in parts:
        centred_ND = source[part] - mean_D
        variance_D += np.einsum("nd,nd->d", centred_ND, centred_ND)
    scale_D = np.sqrt(variance_D / len(numbers_N))
    # The deviation of a constant column is rounding noise. Dividing by noise would make a feature of it.
    is_constant_D = scale_D <= 1e-6 * np.maximum(np.abs(mean_D), 1e-6)
    return Moments(mean_D, np.where(is_constant_D, 1.0, scale_D), is_constant_D)


class StandardisedRows:
    """Rows of a source in a given order, less `mean_D`, divided by `scale_D`.

    Args:
        source: The rows.
        order_N: Numbers of the source's rows, in the order wanted.
        mean_D: Subtracted from each row.
        scale_D: Divides each row.
    """

    def __init__(self, source: Source, order_N: Indices, mean_D: Array, scale_D: Array) -> None:
        self._source, self._order_N = source, order_N
        self._mean_D, self._scale_D = mean_D, scale_D
        entries = len(order_N) * source.shape[1]
        self.dtype = dtype_of(entries)
        self._kept_ND: Floats | None = None
        if entries * self.dtype.itemsize <= most_bytes():
            kept_ND = np.empty((len(order_N), source.shape[1]), self.dtype)
            for span in spans(*self.shape):
                self._make(span, kept_ND[span])
            self._kept_ND = kept_ND

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self._order_N), len(self._mean_D)

    def chunks(self, start: int, stop: int) -> Iterator[tuple[slice, Floats]]:
        """Rows start..stop, a chunk at a time. The next chunk may reuse the memory."""
        buffer: Floats | None = None
        for part in spans(stop - start, self.shape[1]):
            span = slice(start + part.start, start + part.stop)
            if self._kept_ND is not None:
                yield span, self._kept_ND[span]
            else:
                if buffer is None:
                    buffer = np.empty((part.stop, self.shape[1]), self.dtype)
                rows = buffer[: part.stop - part.start]
                self._make(span, rows)
                yield span, rows

    def _make(self, span: slice, out: Floats) -> None:
        rows = self._source[self._order_N[span]] - self._mean_D  # in float64
        np.divide(rows, self._scale_D, out=out, casting="same_kind")

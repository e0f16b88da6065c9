"""The standardised rows that a linear probe is fitted on, in bounded memory.

Legend: N rows (samples), D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]

CHUNK_ROWS = 4096
EXACT_BYTES = 128 << 20  # rows that fit into this are kept in float64, larger ones in float32
MOST_BYTES = 3 << 30  # rows that do not fit into this are made anew for every pass


class Source(Interface):
    """Rows of features that can be asked for by their numbers. A NumPy array is one.

    A source may make its rows when it is asked, as the heads of cloze do. Then the rows need no memory twice.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    def __getitem__(self, numbers: Any) -> Floats:
        """The rows of these numbers, (len(numbers), D)."""


def spans(num_rows: int) -> Iterator[slice]:
    """Cut rows into chunks.

    >>> list(spans(5000))
    [slice(0, 4096, None), slice(4096, 5000, None)]
    """
    for start in range(0, num_rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, num_rows))


def moments(source: Source, numbers_N: Indices) -> tuple[Array, Array]:
    """Mean and standard deviation (D,) of some rows. The deviation of a constant column is 1."""
    parts = [numbers_N[span] for span in spans(len(numbers_N))]
    mean_D = np.zeros(source.shape[1])
    for part in parts:
        mean_D += source[part].sum(axis=0, dtype=np.float64)
    mean_D /= len(numbers_N)
    variance_D = np.zeros_like(mean_D)
    for part in parts:
        variance_D += ((source[part] - mean_D) ** 2).sum(axis=0)
    scale_D = np.sqrt(variance_D / len(numbers_N))
    # The deviation of a constant column is rounding noise. Dividing by noise would make a feature of it.
    constant_D = scale_D <= 1e-6 * np.maximum(np.abs(mean_D), 1e-6)
    return mean_D, np.where(constant_D, 1.0, scale_D)


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
        self.dtype = np.dtype(np.float64 if entries * 8 <= EXACT_BYTES else np.float32)
        self._kept_ND: Floats | None = None
        if entries * self.dtype.itemsize <= MOST_BYTES:
            kept_ND = np.empty((len(order_N), source.shape[1]), self.dtype)
            for span in spans(len(order_N)):
                self._make(span, kept_ND[span])
            self._kept_ND = kept_ND

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self._order_N), len(self._mean_D)

    def chunks(self, start: int, stop: int) -> Iterator[tuple[slice, Floats]]:
        """Rows start..stop, a chunk at a time. The next chunk may reuse the memory."""
        buffer: Floats | None = None
        for part in spans(stop - start):
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

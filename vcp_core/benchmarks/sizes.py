"""The sizes of probes and rankings, which decide the time and the memory of scoring."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vcp_core.probes.ranking import BLOCK_BYTES, CHUNK_BYTES
from vcp_core.probes.solver import fit_bytes


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A linear probe, fitted once for each L2 strength and once on all rows.

    Attributes:
        rows: Training rows.
        columns: Numbers of a row.
        classes: Classes.
        fits: How often it is fitted.
        held: Numbers of float32 that are held in memory beside the rows: the features that rows are made of.

    >>> probe = Probe(rows=1000, columns=512, classes=10, fits=4, held=0)
    >>> probe.num_values
    2048000
    """

    rows: int
    columns: int
    classes: int
    fits: int
    held: int

    @property
    def num_values(self) -> int:
        """Numbers that the fits read: rows x columns x fits. Their time grows with it."""
        return self.rows * self.columns * self.fits

    @property
    def memory_bytes(self) -> int:
        """Memory of a fit, about; `VCPBENCH_PROBE_MEMORY_MB` bounds the part of the rows."""
        return 4 * self.held + fit_bytes(self.rows, self.columns, self.classes)

    def times(self, factor: float) -> Probe:
        """The same probe on `factor` times as many videos."""
        return replace(self, rows=round(factor * self.rows), held=round(factor * self.held))


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Every query ranks the gallery.

    Attributes:
        queries: Rows that rank.
        gallery: Rows that are ranked.
        columns: Numbers of a row.
    """

    queries: int
    gallery: int
    columns: int
    fits = 1  # as of a probe: the units of progress that it reports

    @property
    def num_values(self) -> int:
        """Numbers that it reads."""
        return (self.queries + self.gallery) * self.columns

    @property
    def pairs(self) -> int:
        """The work in pairs of a query and a gallery row."""
        return self.queries * self.gallery

    @property
    def memory_bytes(self) -> int:
        """Memory of the features, of one chunk of similarities, and of one block of the gallery."""
        features = 4 * (self.queries + self.gallery) * self.columns
        return (
            features + min(CHUNK_BYTES, 16 * self.pairs) + min(BLOCK_BYTES, 8 * self.gallery * self.columns)
        )

    def times(self, factor: float) -> Ranking:
        """The same ranking of `factor` times as many videos."""
        return replace(self, queries=round(factor * self.queries), gallery=round(factor * self.gallery))

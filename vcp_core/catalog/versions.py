"""Versions of the code that decides scores. Protocols and installed packages have versions of their own."""

from __future__ import annotations

from vcp_core.catalog.benchmarks import BENCHMARKS

FRAMES_VERSION = "planes-triangle-1"  # of colour conversion and resize; every protocol names it
FEATURES_VERSION = "4"  # raise it when the same weights and clips would give other features
# Raise it when the same features would give other scores, intervals, p-values or differences.
# tests/catalog/test_versions.py notices most changes.
SCORING_VERSION = "3"


def engine() -> str:
    """Name the version of all code that decides scores, with the benchmarks that it runs.

    Two results can be compared, and share a leaderboard, if their videos, protocol hashes and engines agree.

    >>> engine()
    'planes-triangle-1/4/3/cloze,recognition,retrieval'
    """
    return "/".join([FRAMES_VERSION, FEATURES_VERSION, SCORING_VERSION, ",".join(sorted(BENCHMARKS))])

"""Versions of what decides the numbers beside the protocol and the packages."""

from __future__ import annotations

from vcp_core.catalog.benchmarks import BENCHMARKS

FRAMES_VERSION = "planes-triangle-1"  # of colour conversion and resize; a number of every protocol
FEATURES_VERSION = "3"  # raise it when the same weights and clips would give other digits
# Raise it when the same features would give other scores, intervals, p-values or differences.
# tests/catalog/test_versions.py notices most changes.
SCORING_VERSION = "2"


def engine() -> str:
    """The version of all that makes scores, and the benchmarks that it runs.

    Results share a board, and are compared, where their videos, their protocol's hash and their engine agree.

    >>> engine()
    'planes-triangle-1/3/2/cloze,recognition,retrieval'
    """
    return "/".join([FRAMES_VERSION, FEATURES_VERSION, SCORING_VERSION, ",".join(sorted(BENCHMARKS))])

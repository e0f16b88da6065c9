"""Versions of what decides the numbers beside the protocol and the packages."""

from __future__ import annotations

# Raise it when the same features would give other scores, intervals, p-values or differences. Results and
# comparisons of two versions are never mixed. tests/test_versions.py notices most changes.
SCORING_VERSION = "1"

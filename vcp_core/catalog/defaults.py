"""The dataset and the protocol of an evaluation that names neither.

The library, a server, its pages and its client have the same defaults. The client (`vcpbench_client`) imports
nothing from here, so it has a copy of its own.
"""

from __future__ import annotations

DEFAULT_DATASET = "playground-136"  # needs no download, and shows differences of 20 points within minutes
DEFAULT_PROTOCOL = "quick-v1"

"""What is evaluated on, and by which numbers, where neither is named; cheap to import.

The same here, on a server, on its pages and in its client (`vcpbench_client`, which has a copy of its own).
"""

from __future__ import annotations

DEFAULT_DATASET = "playground-136"  # there without a download; tells differences of 20 points in minutes
DEFAULT_PROTOCOL = "quick-v1"

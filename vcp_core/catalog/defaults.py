"""What is evaluated on, and by which numbers, where neither is named; cheap to import.

The same here, on a server, on its pages and in its client (`vcpbench_client`, which has a copy of its own).
"""

from __future__ import annotations

DEFAULT_DATASET = "playground-64"  # quick, and there without a download
DEFAULT_PROTOCOL = "quick-v1"

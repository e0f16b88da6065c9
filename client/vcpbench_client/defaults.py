"""What is meant where nothing is named: the same for every command, method and CI."""

from __future__ import annotations

import os

DATASET, PROTOCOL = "playground-136", "quick-v1"  # the server's own, in `vcp_core.catalog`
DATASET_VARIABLE, PROTOCOL_VARIABLE = "VCPBENCH_DATASET", "VCPBENCH_PROTOCOL"
LINK_DAYS = 14  # until a link expires; the server's default, too


def dataset() -> str:
    """`VCPBENCH_DATASET`, else `DATASET`."""
    return os.environ.get(DATASET_VARIABLE) or DATASET


def protocol() -> str:
    """`VCPBENCH_PROTOCOL`, else `PROTOCOL`."""
    return os.environ.get(PROTOCOL_VARIABLE) or PROTOCOL

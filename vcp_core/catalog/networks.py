"""Say which network of a checkpoint file was used, from the checkpoint's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 10  # the most other networks that the sentence names


@dataclass(frozen=True, kw_only=True)
class NetworkUsed:
    """The network of a file that was used, and the networks that were not.

    Attributes:
        used: The value of `--prefix` that names the used network.
        others: The values of `--prefix` that name the other networks.
        why: Why this network was used, or a fact about it; "" in old reports, which do not keep it.
    """

    used: str
    others: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        """A sentence for people.

        >>> print(NetworkUsed(used="state_dict.", others=("ema.",), why="as --prefix asked"))
        network 'state_dict.' of the file: as --prefix asked. Also there, and not used: 'ema.'.
        """
        shown = ", ".join(map(repr, self.others[:SHOWN]))
        more = f" and {len(self.others) - SHOWN} more" if len(self.others) > SHOWN else ""
        why = f": {self.why}" if self.why else ""
        also = f" Also there, and not used: {shown}{more}." if self.others else ""
        return f"network {self.used!r} of the file{why}.{also}"


def network_used(report: Mapping[str, Any] | None) -> NetworkUsed | None:
    """Read from a checkpoint's report which network was used.

    Args:
        report: Plain values of a `CheckpointReport`, of any version. None for random weights, which have no
            report.

    Returns:
        The network; None if the file held only one, and the report says nothing about it.

    >>> network_used({"wrapper": "", "prefix": "", "others": []})
    >>> network_used({"wrapper": "state_dict", "prefix": "student.", "others": ["teacher."]}).used
    'state_dict.student.'
    """
    if report is None or not (report.get("others") or report.get("why")):
        return None
    before = f"{report['wrapper']}." if report.get("wrapper") else ""
    used = report.get("network") or f"{before}{report.get('prefix', '')}" or "."
    return NetworkUsed(used=used, others=tuple(report["others"]), why=report.get("why", ""))

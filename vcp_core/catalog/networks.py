"""Which network of a checkpoint file was used, as its report says it, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 10  # other networks that a sentence names


@dataclass(frozen=True, kw_only=True)
class NetworkUsed:
    """One of several networks in a file, or the only one where something is known of it.

    Attributes:
        used: The `--prefix` that names it.
        others: The `--prefix` of the others.
        why: Why this one, or what is known of it; "" in reports from before this was kept.
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
    """What a checkpoint's report says of the network that was used.

    Args:
        report: Plain values of a `CheckpointReport`, of any version; None or a control's without one.

    Returns:
        None where the file held one network, and nothing is known of it.

    >>> network_used({"wrapper": "", "prefix": "", "others": []})
    >>> network_used({"wrapper": "state_dict", "prefix": "student.", "others": ["teacher."]}).used
    'state_dict.student.'
    """
    if report is None or not (report.get("others") or report.get("why")):
        return None
    before = f"{report['wrapper']}." if report.get("wrapper") else ""
    used = report.get("network") or f"{before}{report.get('prefix', '')}" or "."
    return NetworkUsed(used=used, others=tuple(report["others"]), why=report.get("why", ""))

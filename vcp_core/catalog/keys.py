"""How people's checkpoints name the weights of one network: our keys, and theirs.

A network has one set of keys here, those of its modules, and canonical files hold no others. Where the same
network is published under other names, a scheme renames our keys to theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KeyScheme:
    """One way to name a backbone's keys.

    Attributes:
        name: Whose way it is ("torchvision").
        renames: Pattern and replacement (as of `re.sub`), applied in this order to a key of ours.
        heads: Beginnings of names that the scheme gives to the head inside a module of the backbone.
    """

    name: str
    renames: tuple[tuple[str, str], ...] = ()
    heads: tuple[str, ...] = ()

    def rename(self, key: str) -> str:
        """The scheme's name of a key of ours.

        >>> TORCHVISION_S3D.rename("blocks.2.0.weight")
        'features.2.0.weight'
        """
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key


VCPBENCH = KeyScheme(name="vcpbench")
VCOP = KeyScheme(name="VCOP")
TORCHVISION = KeyScheme(name="torchvision")
TORCHVISION_S3D = KeyScheme(name="torchvision", renames=((r"^blocks\.", "features."),))

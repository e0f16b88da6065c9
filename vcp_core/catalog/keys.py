"""How published checkpoints name the weights of a network.

A network has one set of keys of our own, the names of its modules, and canonical files hold only these. Other
projects publish the same network with other names. A key scheme renames our keys to theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KeyScheme:
    """One way to name a backbone's keys.

    Attributes:
        name: The project that names keys this way ("torchvision").
        renames: Pairs of a pattern and its replacement (as in `re.sub`), applied to our key in this order.
        heads: Beginnings of names that belong to the head, though they lie inside a module of the backbone.
    """

    name: str
    renames: tuple[tuple[str, str], ...] = ()
    heads: tuple[str, ...] = ()

    def rename(self, key: str) -> str:
        """Rename one of our keys to the scheme's key.

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
PYTORCH_I3D = KeyScheme(name="pytorch-i3d")
PYTORCHVIDEO = KeyScheme(name="PyTorchVideo", heads=("blocks.5.",))
SLOWFAST = KeyScheme(
    name="SlowFast",
    renames=(
        (r"^blocks\.0\.conv\.", "s1.pathway0_stem.conv."),
        (r"^blocks\.0\.norm\.", "s1.pathway0_stem.bn."),
        *(
            (rf"^blocks\.{stage}\.res_blocks\.(\d+)\.", rf"s{stage + 1}.pathway0_res\1.")
            for stage in range(1, 5)
        ),
        (r"\.branch1_conv\.", ".branch1."),
        (r"\.branch1_norm\.", ".branch1_bn."),
        (r"\.branch2\.conv_([abc])\.", r".branch2.\1."),
        (r"\.branch2\.norm_([abc])\.", r".branch2.\1_bn."),
    ),
)
MMACTION2 = KeyScheme(
    name="MMAction2",
    renames=(
        (r"^blocks\.0\.conv\.", "conv1.conv."),
        (r"^blocks\.0\.norm\.", "conv1.bn."),
        (r"^blocks\.(\d)\.res_blocks\.", r"layer\1."),
        (r"\.branch1_conv\.", ".downsample.conv."),
        (r"\.branch1_norm\.", ".downsample.bn."),
        *((rf"\.branch2\.conv_{letter}\.", f".conv{n}.conv.") for n, letter in enumerate("abc", start=1)),
        *((rf"\.branch2\.norm_{letter}\.", f".conv{n}.bn.") for n, letter in enumerate("abc", start=1)),
    ),
)

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

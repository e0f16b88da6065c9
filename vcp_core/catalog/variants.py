"""Variants: facts about a network that no tensor of its checkpoint shows, so a user names them.

Strides, dilation, poolings and the order of the colour channels leave no trace in names and shapes. A variant
is a word for some of them, such as `--variant tclr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog.keys import HARA_2018
from vcp_core.catalog.normalisation import IMAGENET


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A form of a network that has the names and shapes of its usual form.

    Attributes:
        name: The word that users type.
        says: What differs from the usual form, in words.
        source: Where this form comes from.
        bgr: Whether the network expects the channels in the order blue, green, red. None leaves the order to
            the key scheme.
        arguments: Values of the network's class that differ from the usual ones.
        facts: Facts of the key scheme that differ (`KeyScheme.normalisation`, `KeyScheme.epsilon`).
        last_strides: As `BackboneSpec.last_strides`, if it differs.
        input: The clips of this form, if they differ (`vcp_core.catalog.inputs`).
    """

    name: str
    says: str
    source: str
    bgr: bool | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    last_strides: tuple[int, int] | None = None
    input: str | None = None


BGR = Variant(
    name="bgr",
    says="channels in the order blue, green, red, as OpenCV reads frames",
    source="OpenCV's VideoCapture",
    bgr=True,
)
RGB = Variant(
    name="rgb",
    says="channels in the order red, green, blue",
    source="readers of video other than OpenCV's",
    bgr=False,
)
POOL1 = Variant(
    name="pool1",
    says="a max pooling over pixels after the stem",
    source="github.com/facebookresearch/VMZ, use_pool1 in pt/vmz/models/r2plus1d.py",
    arguments={"stem": "factored, pooled"},
    last_strides=(8, 32),
)
TCLR = Variant(
    name="tclr",
    says="layer4 dilates time instead of striding it; BGR; pixel values from 0 to 1",
    source="github.com/DAVEISHAN/TCLR, tclr_pretraining/model.py and dl_tclr.py",
    bgr=True,
    arguments={"convolutions": ("full", "full", "full", "dilated")},
    facts={"normalisation": None},
    last_strides=(4, 16),
)
TSN = Variant(
    name="tsn",
    says="no pooling over frames, and padding before the pooling over pixels, as in MMAction2's TSN",
    source="MMAction2's configs/recognition/tsn, and configs/recognition/c2d (nopool)",
    arguments={"pooled_t": 1, "stem_padding": 1},
    last_strides=(1, 32),
)
CVPR2018 = Variant(
    name="cvpr2018",
    says="pixel values from 0 to 255, minus the means of ActivityNet, as Hara trained until 2018",
    source=HARA_2018.source,
    facts={"normalisation": HARA_2018.normalisation},
)
RSPNET = Variant(
    name="rspnet",
    says="ImageNet's normalisation",
    source="github.com/PeihaoChen/RSPNet, config/dataset/normalization.libsonnet",
    facts={"normalisation": IMAGENET},
)
BE = Variant(
    name="be",
    says="ImageNet's normalisation",
    source="github.com/FingerRec/BE, src/Contrastive/augment/config.py",
    facts={"normalisation": IMAGENET},
)
X3D_XS = Variant(
    name="xs",
    says="clips of X3D-XS: 4 frames, every 12th, of 160 x 160",
    source="PySlowFast's configs/Kinetics/X3D_XS.yaml",
    input="frames=4,stride=12,resize=182x243,crop=160",
)
X3D_S = Variant(
    name="s",
    # 13 frames in training: `adjacent` exchanges quarters of a clip.
    says="clips of X3D-S: 12 frames, every 6th, of 160 x 160",
    source="PySlowFast's configs/Kinetics/X3D_S.yaml, which trains with 13 frames",
    input="frames=12,stride=6,resize=182x243,crop=160",
)

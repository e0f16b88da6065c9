"""Variants: facts about a network that no tensor of its checkpoint shows, so a user names them.

Strides, dilation, poolings and the order of the colour channels leave no trace in names and shapes. A variant
is a word for some of them, such as `--variant tclr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A form of a network that has the names and shapes of its usual form.

    Attributes:
        name: The word that users type.
        says: What differs from the usual form, in words.
        source: Where this form comes from.
        bgr: Whether the network expects the channels in the order blue, green, red.
        arguments: Values of the network's class that differ from the usual ones.
        facts: Facts of the key scheme that differ (`KeyScheme.normalisation`, `KeyScheme.epsilon`).
        last_strides: As `BackboneSpec.last_strides`, if it differs.
    """

    name: str
    says: str
    source: str
    bgr: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    last_strides: tuple[int, int] | None = None


BGR = Variant(
    name="bgr",
    says="channels in the order blue, green, red, as OpenCV reads frames",
    source="OpenCV's VideoCapture",
    bgr=True,
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

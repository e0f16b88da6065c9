"""The operations that vcpbench runs. A program with any other operation is refused by name.

The names are torch's own (ATen): `name.overload`. Programs hold them as torch.export writes them, and as
`run_decompositions` does. To add an operation, add its name here, and a network with it in tests/graphs.

An operation is here only if it is a function of its arguments: it draws nothing at random, reads no memory
that nobody wrote, and the shape of its result does not depend on the numbers in a tensor.
"""

from __future__ import annotations

LAYERS = """
    conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding
    convolution.default conv_transpose2d.input conv_transpose3d.input
    linear.default addmm.default mm.default bmm.default baddbmm.default matmul.default einsum.default
    scaled_dot_product_attention.default
    batch_norm.default _native_batch_norm_legit_no_training.default instance_norm.default
    layer_norm.default native_layer_norm.default group_norm.default native_group_norm.default rms_norm.default
    dropout.default dropout_.default feature_dropout.default alpha_dropout.default native_dropout.default
    embedding.default
"""
POOLS = """
    max_pool1d.default max_pool2d.default max_pool3d.default
    max_pool2d_with_indices.default max_pool3d_with_indices.default
    avg_pool1d.default avg_pool2d.default avg_pool3d.default
    adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default
    _adaptive_avg_pool2d.default _adaptive_avg_pool3d.default
    adaptive_max_pool2d.default adaptive_max_pool3d.default
    upsample_nearest2d.vec upsample_nearest3d.vec upsample_bilinear2d.vec upsample_trilinear3d.vec
    upsample_nearest2d.default upsample_nearest3d.default
    upsample_bilinear2d.default upsample_trilinear3d.default
"""
ACTIVATIONS = """
    relu.default relu_.default relu6.default relu6_.default hardtanh.default hardtanh_.default
    leaky_relu.default leaky_relu_.default elu.default elu_.default selu.default selu_.default
    gelu.default silu.default silu_.default mish.default softplus.default prelu.default _prelu_kernel.default
    hardswish.default hardswish_.default hardsigmoid.default hardsigmoid_.default glu.default
    sigmoid.default sigmoid_.default tanh.default tanh_.default
    softmax.int _softmax.default log_softmax.int _log_softmax.default
"""
ARITHMETIC = """
    add.Tensor add.Scalar add_.Tensor add_.Scalar sub.Tensor sub.Scalar sub_.Tensor sub_.Scalar rsub.Scalar
    mul.Tensor mul.Scalar mul_.Tensor mul_.Scalar div.Tensor div.Scalar div.Tensor_mode
    div_.Tensor div_.Scalar
    floor_divide.default remainder.Scalar addcmul.default pow.Tensor_Scalar pow.Tensor_Tensor square.default
    sqrt.default rsqrt.default reciprocal.default exp.default log.default neg.default abs.default sign.default
    sin.default cos.default erf.default floor.default round.default
    clamp.default clamp_.default clamp_min.default clamp_min_.default clamp_max.default clamp_max_.default
    maximum.default minimum.default
    eq.Scalar eq.Tensor ne.Scalar ne.Tensor lt.Scalar lt.Tensor le.Scalar le.Tensor
    gt.Scalar gt.Tensor ge.Scalar ge.Tensor
    logical_not.default logical_and.default logical_or.default
    bitwise_not.default bitwise_and.Tensor bitwise_or.Tensor
    where.self where.ScalarOther where.ScalarSelf where.Scalar
    masked_fill.Scalar masked_fill.Tensor masked_fill_.Scalar
"""
REDUCTIONS = """
    mean.default mean.dim sum.default sum.dim_IntList amax.default amin.default max.dim min.dim
    any.default any.dim all.dim var.dim var.correction std.dim std.correction var_mean.correction
    linalg_vector_norm.default norm.ScalarOpt_dim logsumexp.default cumsum.default prod.dim_int argmax.default
"""
SHAPES = """
    view.default reshape.default _unsafe_view.default view_as.default reshape_as.default
    flatten.using_ints unflatten.int permute.default transpose.int t.default movedim.int movedim.intlist
    squeeze.default squeeze.dim squeeze.dims unsqueeze.default
    expand.default expand_as.default broadcast_to.default
    slice.Tensor select.int narrow.default split.Tensor split_with_sizes.default split.sizes chunk.default
    unbind.int unfold.default diagonal.default
    cat.default concat.default stack.default repeat.default repeat_interleave.self_int tile.default
    pad.default constant_pad_nd.default replication_pad2d.default replication_pad3d.default
    reflection_pad2d.default reflection_pad3d.default roll.default flip.default pixel_shuffle.default
    slice_scatter.default select_scatter.default index.Tensor index_select.default gather.default
    triu.default tril.default
"""
COPIES = """
    copy.default copy_.default fill.Scalar fill_.Scalar zero_.default
    clone.default contiguous.default detach.default detach_.default alias.default lift_fresh_copy.default
    to.dtype to.dtype_layout to.device to.other type_as.default _to_copy.default
    zeros.default ones.default full.default eye.default arange.default arange.start arange.start_step
    linspace.default scalar_tensor.default zeros_like.default ones_like.default full_like.default
    new_zeros.default new_ones.default new_full.default
"""

ATEN: tuple[str, ...] = tuple(
    " ".join((LAYERS, POOLS, ACTIVATIONS, ARITHMETIC, REDUCTIONS, SHAPES, COPIES)).split()
)
# Some of these give their argument back, although torch's schema does not say so.
_UNSAID = """
    dropout.default feature_dropout.default alpha_dropout.default type_as.default _unsafe_view.default
    einsum.default contiguous.default to.dtype to.dtype_layout to.device to.other pad.default matmul.default
    tile.default repeat.default adaptive_avg_pool1d.default adaptive_avg_pool2d.default
    adaptive_avg_pool3d.default instance_norm.default prelu.default roll.default native_dropout.default
    pixel_shuffle.default
"""
UNSAID_VIEWS = frozenset(_UNSAID.split())
# Plain arithmetic of sizes: the number of clips, times the number of frames, and the like.
SIZES = ("add", "sub", "mul", "floordiv", "mod", "neg")

# Why an operation that somebody may ask for is not here, by the beginning of its name.
_RANDOM = "draws at random, and features must be the same each time"
_UNWRITTEN = "reads memory that nobody wrote"
_BY_DATA = "gives a shape that depends on the numbers in a tensor"
REASONS = {
    **dict.fromkeys(
        ("rand", "bernoulli", "multinomial", "normal", "poisson", "uniform", "exponential"), _RANDOM
    ),
    **dict.fromkeys(("empty", "new_empty", "resize", "set_"), _UNWRITTEN),
    "as_strided": "reads memory by strides, past the tensor that it is given",
    **dict.fromkeys(
        ("nonzero", "masked_select", "unique", "item", "_local_scalar_dense", "bincount"), _BY_DATA
    ),
    "repeat_interleave": _BY_DATA,
    "native_batch_norm": "is a batch norm of train mode. Call model.eval() before torch.export.export",
    "_native_batch_norm_legit": "is a batch norm of train mode. Call model.eval() before torch.export.export",
    "_batch_norm_with_update": "is a batch norm of train mode. Call model.eval() before torch.export.export",
}


def why_not(name: str) -> str:
    """Say why an operation is not in the table.

    >>> why_not("aten.rand_like.default")
    'draws at random, and features must be the same each time'
    >>> why_not("mylib.fast_conv.default")
    'is a custom operation: its code is not in the file'
    """
    space, _, rest = name.partition(".")
    if space == "higher_order":
        return "is a higher-order operation, such as control flow"
    if space == "size":
        return "is more than plain arithmetic of sizes"
    if space != "aten":
        return "is a custom operation: its code is not in the file"
    found = [reason for begin, reason in REASONS.items() if rest.startswith(begin)]
    return found[0] if found else "is not in the table"

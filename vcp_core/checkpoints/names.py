"""Names of tensors: the words that wrappers put into names, and tensors that no forward pass reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

# A wrapper keeps the wrapped module as a child of this name, so the name becomes one part of every key.
WRAPPERS = {
    "module": "DataParallel or DistributedDataParallel",  # torch/nn/parallel
    "_orig_mod": "torch.compile",  # torch/_dynamo/eval_frame.py, OptimizedModule
    "_checkpoint_wrapped_module": "activation checkpointing",  # torch/distributed/algorithms/_checkpoint
    "_fsdp_wrapped_module": "FullyShardedDataParallel",  # torch/distributed/fsdp
    "_fpw_module": "FullyShardedDataParallel of torch 1.11",  # torch/distributed/fsdp, FlattenParamsWrapper
    "_forward_module": "Lightning Fabric",  # lightning/fabric/wrappers.py, _FabricModule
}
# Batch-norm counts its training steps. The profiler thop registers the other two in every layer.
UNREAD = ("num_batches_tracked", "total_ops", "total_params")


def is_unread(name: str) -> bool:
    """Tell whether the forward pass of a frozen network ignores this tensor.

    >>> is_unread("bn1.num_batches_tracked"), is_unread("bn1.running_var")
    (True, False)
    """
    return name.rpartition(".")[2] in UNREAD


def tails(name: str, *, longest: int, wrappers: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield every end of a name that may be a key: its position, and its text without wrappers' words.

    Args:
        name: Name of a tensor.
        longest: Number of parts of the longest key. A hostile name may have very many parts, and each end is
            a copy of the name.
        wrappers: Words to leave out.

    >>> list(tails("net._orig_mod.conv1.module.weight", longest=2, wrappers=("module", "_orig_mod")))
    [(27, 'weight'), (14, 'conv1.weight')]
    """
    end, kept = len(name), list[str]()
    while end >= 0 and len(kept) < longest:
        begin = name.rfind(".", 0, end) + 1
        part, end = name[begin:end], begin - 1
        if part not in wrappers:
            kept.insert(0, part)
            yield begin, ".".join(kept)


def without(name: str, wrappers: Collection[str]) -> str:
    """Remove the wrappers' words from a name.

    >>> without("conv1.module.weight", ("module",))
    'conv1.weight'
    """
    return ".".join(part for part in name.split(".") if part not in wrappers)


def wrappers_in(name: str) -> set[str]:
    """List the wrappers' words that are parts of a name.

    >>> sorted(wrappers_in("module.conv1._orig_mod.weight"))
    ['_orig_mod', 'module']
    """
    return WRAPPERS.keys() & set(name.split("."))

"""Names of tensors: the words that wrappers put into names, and tensors that no forward pass reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vcp_core.catalog.errors import NotACheckpoint

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
# The search for prefixes copies the beginning of a name at each of its dots. So the work for one name is at
# most their product, and a name of 4 MB, all dots, took 100 s. Names of the known trainers have at most 150
# characters and 15 parts.
MAX_CHARACTERS = 1_000
MAX_PARTS = 64


def expect_short(name: str) -> None:
    """Refuse the name of a tensor that is too long or too deep to be a trainer's.

    Raises:
        NotACheckpoint: If it is. The message says which limit, and by how much.

    >>> expect_short("net.conv1.weight")
    >>> try:
    ...     expect_short("." * 70)
    ... except NotACheckpoint as error:
    ...     print(str(error).partition(";")[0])
    the name of one tensor has 71 parts between dots
    """
    for number, most, unit in (
        (len(name), MAX_CHARACTERS, "characters"),
        (name.count(".") + 1, MAX_PARTS, "parts between dots"),
    ):
        if number > most:
            raise NotACheckpoint(
                f"the name of one tensor has {number:,} {unit}; at most {most:,} are read. "
                "Save the state_dict of the network itself."
            )


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

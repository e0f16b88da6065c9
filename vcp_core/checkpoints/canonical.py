"""The canonical file: weights as float32 safetensors, contiguous, with the backbone's own keys only.

A graph has a canonical file of another form (`vcp_core.graphs.canonical`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vcp_core import graphs
from vcp_core.backbones import Backbone, allocate, expect, key_shapes
from vcp_core.catalog.errors import CheckpointMismatch, DamagedCheckpoint, NonFiniteWeights, Private
from vcp_core.catalog.files import whole
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.readings import resolve
from vcp_core.checkpoints.match import Match, own_keys
from vcp_core.checkpoints.report import listed

MAX_STEPS = 1 << 62  # a larger number is no count of training steps
# A view may have more elements than its storage: a stride of 0 repeats them. Networks inflated from 2D to 3D
# repeat a kernel in time, at most 7 times. But 869 bytes could become 110 MB of weights.
MAX_REPEATS = 16
FREE_ELEMENTS = 4096  # of one tensor, however few are stored: a layer's biases may all be one number
MAX_COMPARED = 1 << 31  # elements; 8 GB of float32 take about 4 s
MAX_COMPARISONS = 500_000  # each takes some 4 microseconds, however small the tensors are


def canonical_tensors(tensors: Mapping[str, Tensor], match: Match) -> dict[str, Tensor]:
    """Make the backbone's state dict from a file's tensors: float32, and int64 for `num_batches_tracked`.

    Raises:
        CheckpointMismatch: If a weight is not of a floating-point type, or has far more elements than are
            stored for it.
        NonFiniteWeights: If a weight is NaN or infinite as float32, or a variance is below zero. The message
            names the keys and counts the weights.

    >>> from types import SimpleNamespace
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> scheme, names = BACKBONES["r3d_tiny"].keys[0], {"bn1.bias": "module.bn1.bias"}
    >>> match = SimpleNamespace(
    ...     backbone="r3d_tiny", scheme=scheme, names=names, right=("bn1.bias",), steps=()
    ... )
    >>> canonical_tensors({"module.bn1.bias": torch.ones(2).half(), "head.bias": torch.ones(5)}, match)
    {'bn1.bias': tensor([1., 1.])}
    """
    state = {key: tensors[match.names[key]] for key in match.right}
    integers = [f"{key} ({_dtype(value)})" for key, value in state.items() if not value.is_floating_point()]
    if integers:
        raise CheckpointMismatch(
            f"weights of {match.backbone} that are not floating point: {listed(integers)}. "
            "Quantised networks cannot be evaluated; save the weights before quantisation."
        )
    _refuse_repeated(state)
    state = {key: value.to(torch.float32).contiguous() for key, value in state.items()}
    # After the conversion: a float64 weight may be finite, and too large for float32.
    broken = _counted((key, ~torch.isfinite(value)) for key, value in state.items())
    if broken:
        raise NonFiniteWeights(
            f"NaN or infinity in {len(broken)} of {len(state)} keys: {listed(broken)}. "
            "The training diverged, or a number did not fit its type. Use an earlier checkpoint."
        )
    _refuse_negative_variances(state)
    counted = {key: steps_of(tensors, match, key) for key in match.steps}
    steps = {key: torch.tensor(count or 0, dtype=torch.int64) for key, count in counted.items()}
    parts: dict[str, list[Tensor]] = {}
    own = own_keys(match.backbone, match.scheme)
    for key, value in (state | steps).items():
        parts.setdefault(own[key], []).append(value)
    joined = {key: torch.cat(values) if len(values) > 1 else values[0] for key, values in parts.items()}
    if not match.scheme.flat:
        return joined
    shapes = key_shapes(match.backbone)
    return {key: value.reshape(shapes[key]) for key, value in joined.items()}


def steps_of(tensors: Mapping[str, Tensor], match: Match, key: str) -> int | None:
    """Read how many training steps a batch-norm layer counted; None if the file holds no valid count.

    >>> from types import SimpleNamespace
    >>> match = SimpleNamespace(names={"bn1.num_batches_tracked": "module.bn1.num_batches_tracked"})
    >>> steps_of({"module.bn1.num_batches_tracked": torch.tensor(300)}, match, "bn1.num_batches_tracked")
    300
    >>> steps_of({}, match, "bn1.num_batches_tracked") is None
    True
    """
    value = tensors.get(match.names.get(key, ""))
    return None if value is None else count_of(value)


def count_of(tensor: Tensor) -> int | None:
    """Read the whole number in a tensor of one element; None for any other tensor.

    >>> count_of(torch.tensor(7)), count_of(torch.tensor([1, 2]))
    (7, None)
    """
    if tensor.numel() != 1 or tensor.is_complex():
        return None
    count = tensor.item()  # a float can be NaN, and fails both comparisons then
    return int(count) if 0 <= count < MAX_STEPS else None


def are_equal(first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors hold the same numbers in the same type.

    >>> are_equal(torch.ones(2), torch.ones(2)), are_equal(torch.ones(2), torch.ones(2, dtype=torch.float64))
    (True, False)
    >>> nan = torch.tensor([float("nan")])
    >>> are_equal(nan, nan)
    False
    """
    # `torch.equal` alone compares numbers of two types, and calls 1.0 in half and in float equal.
    return first.dtype == second.dtype and torch.equal(first, second)


class Comparisons:
    """Compares tensors of a file by `are_equal`, with a ceiling on the work that one file can cause.

    >>> compare = Comparisons({"a": torch.ones(2), "b": torch.ones(2)})
    >>> compare("a", "b")
    True
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors, self._elements, self._number = tensors, 0, 0

    def __call__(self, first: str, second: str) -> bool:
        """Tell whether two tensors, given by name, hold the same numbers in the same type.

        Raises:
            CheckpointMismatch: If the comparisons of this file reach `MAX_COMPARISONS` or `MAX_COMPARED`.
        """
        self._number += 1
        self._elements += self._tensors[first].numel()
        if self._number > MAX_COMPARISONS or self._elements > MAX_COMPARED:
            raise CheckpointMismatch(
                f"telling its networks apart takes more than {MAX_COMPARISONS:,} comparisons of tensors, or "
                f"of {MAX_COMPARED:,} numbers. Save the state_dict of one network."
            )
        return are_equal(self._tensors[first], self._tensors[second])


def _refuse_repeated(state: Mapping[str, Tensor]) -> None:
    """Refuse weights that have far more elements than the file stores for them."""
    stored: dict[int, int] = {}  # elements of each storage, which several weights may share
    needed = {key: max(value.numel() - FREE_ELEMENTS, 0) for key, value in state.items()}
    for key, value in state.items():
        storage = value.untyped_storage()
        held = storage.nbytes() // value.element_size()
        stored[storage.data_ptr()] = held
        if needed[key] > MAX_REPEATS * held:
            raise CheckpointMismatch(
                f"{key} has {value.numel():,} elements, and the file stores {held:,} of them. A view may "
                f"repeat an element at most {MAX_REPEATS} times. Save clones: "
                "{key: value.clone() for key, value in model.state_dict().items()}."
            )
    if sum(needed.values()) > MAX_REPEATS * sum(stored.values()):
        raise CheckpointMismatch(
            f"its weights have {sum(value.numel() for value in state.values()):,} elements, and the file "
            f"stores {sum(stored.values()):,} of them, which several weights share. They may be used at most "
            f"{MAX_REPEATS} times. Save clones: "
            "{key: value.clone() for key, value in model.state_dict().items()}."
        )


def _refuse_negative_variances(state: Mapping[str, Tensor]) -> None:
    negative = _counted((key, value < 0) for key, value in state.items() if key.endswith("running_var"))
    if negative:
        raise NonFiniteWeights(
            f"variances below zero in {len(negative)} keys: {listed(negative)}. "
            "A batch-norm layer takes their square root, which does not exist. "
            "The file was changed after training, so save it again."
        )


def _counted(wrong: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Say of every key how many of its numbers are wrong, if any are."""
    return [f"{key} ({count:,} of {at.numel():,})" for key, at in wrong if (count := int(at.sum()))]


def weight_dtypes(tensors: Mapping[str, Tensor], match: Match) -> tuple[str, ...]:
    """List the types of the backbone's weights in the file, sorted.

    >>> from types import SimpleNamespace
    >>> match = SimpleNamespace(right=("a", "b"), names={"a": "net.a", "b": "net.b"})
    >>> one = torch.ones(1)
    >>> weight_dtypes({"net.a": one, "net.b": one.half(), "head": one.int()}, match)
    ('float16', 'float32')
    """
    return tuple(sorted({_dtype(tensors[match.names[key]]) for key in match.right}))


def write_canonical(path: Path, backbone: str, state: Mapping[str, Tensor]) -> None:
    """Write a state dict, whole or not at all. The same weights give the same bytes.

    Args:
        path: The file.
        backbone: Name of the backbone.
        state: Its weights.

    Raises:
        StorageError: If the disk is full or the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, keys in (("a", ("fc.bias", "conv.bias")), ("b", ("conv.bias", "fc.bias"))):
    ...         write_canonical(Path(folder) / name, "r3d_tiny", {key: torch.ones(2) for key in keys})
    ...     (Path(folder) / "a").read_bytes() == (Path(folder) / "b").read_bytes()
    True
    """
    # One key: safetensors writes several in any order, and the same weights could give other bytes.
    data = safetensors.torch.save(dict(state), metadata={"backbone": backbone})
    with whole(path) as part:
        part.write_bytes(data)


def write_network(path: Path, network: Backbone) -> None:
    """Write the canonical file of a network that was built here, such as a control. It may be on a device.

    Raises:
        StorageError: As `write_canonical`.
    """
    if isinstance(network, graphs.Graph):
        named = zip(network.program.weights, network.weights(), strict=True)
        graphs.write_canonical(path, network.program, {one.name: tensor.cpu() for one, tensor in named})
        return
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_canonical(path, network.spec.name, state)


def read_canonical(
    path: Path,
    *,
    graph: GraphFacts | None = None,
    scheme: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> Backbone:
    r"""Load the network of a file that `write_canonical` or `write_network` wrote, in eval mode on the CPU.

    Args:
        path: The file.
        graph: The facts of the graph in it; None for a network of a family.
        scheme: The key scheme of the original file, whose facts hold; None for the backbone's first.
        variant: The form of the network, if no tensor shows it.
        input_spec: The declared input of the network.

    Raises:
        UnknownName: If the backbone has no such key scheme or variant.
        DamagedCheckpoint: If the file is not whole.
        InputError: If the declared input is not valid, or the network cannot take it.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"\x08" + bytes(7) + b"{}"), file.flush()
    ...     try:
    ...         read_canonical(Path(file.name))
    ...     except DamagedCheckpoint as error:
    ...         print(error.text().partition(": ")[2])
    not whole (Error while deserializing header: invalid header length). Ingest the checkpoint again.
    """
    if graph is not None:
        contents = graphs.read_canonical(path)
        spec = resolve(graph, variant=variant, input_spec=input_spec)
        return graphs.Graph(contents.program, contents.weights, spec)
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            backbone = allocate(resolve(file.metadata()["backbone"], scheme=scheme, variant=variant))
            backbone.load_state_dict(
                {key: file.get_tensor(key) for key in backbone.state_dict()}, strict=True
            )
    except safetensors.SafetensorError as error:
        said, advice = Private(str(error)), "). Ingest the checkpoint again."
        raise DamagedCheckpoint("not whole (", said, advice, path=path) from error
    return expect(backbone, input_spec)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

"""Read the archive of torch.export.save into a program, without torch.export.

Source: torch/export/pt2_archive/_package.py for the archive (torch 2.9 and later write weights as raw bytes).
Stack traces, names of values and guards are not read. An expression of a size is never evaluated: the run
computes sizes from the nodes that torch.export writes beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vcp_core.catalog.errors import DamagedCheckpoint, GraphError, GraphTooLarge, NotACheckpoint
from vcp_core.catalog.names import counted, printable
from vcp_core.graphs.archive import Archive
from vcp_core.graphs.documents import MAX_BYTES, parse
from vcp_core.graphs.operations import OF_THE_RUN
from vcp_core.graphs.payloads import Payload, payload_of
from vcp_core.graphs.program import Argument, Kind, Node, Program, Ref, Weight, Word
from vcp_core.graphs.schema import (
    DTYPE_NAMES,
    MEMORY_FORMAT_NAMES,
    STRIDED,
    VERSION,
    names_in,
    operation_of,
    plain,
    results_of,
)

MAX_NODES = 20_000  # decomposed video transformers have about 3,000
MAX_NAME = 500  # characters of a weight's name
MAX_SIDE = 4_096  # frames and pixels of a clip; a declared input has at most 64 and 320
FIRST_TORCH = (2, 9)
RE_EXPORT = (
    "Export it again with torch 2.9 or later: torch.export.save(torch.export.export(...), 'model.pt2')."
)
MODEL = "models/model.json"
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
PAYLOADS = {
    WEIGHTS: f"{WEIGHTS}model_weights_config.json",
    CONSTANTS: f"{CONSTANTS}model_constants_config.json",
}
_OTHERS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|models/model\.json"
    r"|data/(?:weights|constants)/\w+(?:\.json)?|data/sample_inputs/model\.pt|extra/.+"
)
_COMPARISONS = frozenset(f"size.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge"))
_DROPPED = ("aten._assert", "aten.sym_constrain_range")  # checks of torch.export that compute nothing


def read_exported(archive: Archive) -> tuple[Program, dict[str, Payload]]:
    """Read an archive's program, and where each of its weights lies.

    Returns:
        The program, not yet checked against the table, and the payload of each weight by its name.

    Raises:
        NotACheckpoint: If it is another kind of archive.
        GraphError: If the program cannot be evaluated as it was exported.
        GraphTooLarge: If it is larger than is read.
        DamagedCheckpoint: If it makes no sense.
    """
    _expect_exported(archive)
    try:
        model = parse(archive.read(MODEL, most_bytes=MAX_BYTES), "model.json")
        _expect_version(model)
        return _Reader(archive, model).read()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise DamagedCheckpoint(
            f"its description of the network makes no sense ({type(error).__name__}). {RE_EXPORT}"
        ) from error


def is_exported(names: Iterable[str]) -> bool:
    """Tell whether an archive with these names, without its outer folder, comes from torch.export.

    >>> is_exported(["archive_format", "models/model.json"]), is_exported(["data.pkl", "version"])
    (True, False)
    """
    names = set(names)
    return not names.isdisjoint({"archive_format", MODEL, "serialized_exported_program.json"})


def _expect_exported(archive: Archive) -> None:
    names = archive.entries
    if any("aotinductor" in name or name.endswith((".so", ".cubin")) for name in names):
        raise GraphError(
            "it holds compiled code (AOTInductor), which is never loaded. Save the exported program itself: "
            "torch.export.save(exported, 'model.pt2').",
            reason="compiled",
        )
    if "serialized_exported_program.json" in names or (
        is_exported(names) and not set(PAYLOADS.values()) <= set(names)
    ):
        raise GraphError(
            f"it was exported by torch before 2.9, which wrote weights as pickles. {RE_EXPORT}",
            reason="version",
        )
    if not is_exported(names) or MODEL not in names:
        raise NotACheckpoint(f"a zip archive, and not a program of torch.export. {RE_EXPORT}")
    unknown = [name for name in names if not _OTHERS.fullmatch(name)]
    if unknown:
        raise GraphError(
            f"an entry of it is not one of torch.export.save: {printable(unknown[0])[:100]}. {RE_EXPORT}",
            reason="entries",
        )
    texts = {
        name: archive.read(name, most_bytes=100).decode("ascii", "replace").strip()
        for name in ("archive_format", "archive_version", "byteorder")
        if name in names
    }
    if texts.get("byteorder") != "little":
        raise GraphError(
            "its weights are not in little-endian byte order. Export it on a machine with x86 or ARM "
            "processors.",
            reason="byte_order",
        )
    if (texts.get("archive_format"), texts.get("archive_version")) != ("pt2", "0"):
        raise GraphError(f"its archive is of a version that is not read. {RE_EXPORT}", reason="version")


def _expect_version(model: Mapping[str, Any]) -> None:
    version = str(model.get("torch_version", ""))
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    if found is None or (int(found[1]), int(found[2])) < FIRST_TORCH:
        raise GraphError(f"it was exported by torch {printable(version)[:40]}. {RE_EXPORT}", reason="version")
    if model["schema_version"]["major"] != VERSION:
        major = int(model["schema_version"]["major"])
        raise GraphError(
            f"its schema is of version {major}, and version {VERSION} is read. {RE_EXPORT}",
            reason="version",
        )


class _Reader:
    """Reads one model: numbers its values in the order in which they appear."""

    def __init__(self, archive: Archive, model: Mapping[str, Any]) -> None:
        module = model["graph_module"]
        self._archive, self._graph, self._signature = archive, module["graph"], module["signature"]
        self._calls = module["module_call_graph"]
        self._numbers: dict[str, int] = {}
        self._following = 0

    def read(self) -> tuple[Program, dict[str, Payload]]:
        if len(self._graph["nodes"]) > MAX_NODES:
            raise GraphTooLarge(
                f"it has {len(self._graph['nodes']):,} operations, and at most {MAX_NODES:,} are read. "
                "Export the backbone alone, without loops over frames or tokens.",
                most=MAX_NODES,
            )
        outputs = self._outputs()
        nodes = self._needed_nodes()
        read = {name for node in nodes for name in names_in(node["inputs"])}
        clips, weights, payloads = self._inputs(read | set(outputs))
        clip_shape = self._clip_shape(clips)
        self._number([name for name, _ in weights])
        self._number([clips])
        made = tuple(map(self._node, nodes))
        program = Program(
            weights=tuple(weight for _, weight in weights),
            clip_shape=clip_shape,
            nodes=made,
            outputs=tuple(self._numbers[name] for name in outputs),
        )
        return program, payloads

    def _number(self, names: Iterable[str | None]) -> None:
        """Give values the next numbers. A result without a name is never read."""
        for number, name in enumerate(names, self._following):
            if name in self._numbers:
                raise ValueError("a value is made twice")
            if name is not None:
                self._numbers[name] = number
            self._following = number + 1

    def _inputs(self, read: set[str]) -> tuple[str, list[tuple[str, Weight]], dict[str, Payload]]:
        """The input of clips, and each weight that is read, with its payload."""
        configs = {
            folder: parse(self._archive.read(name, most_bytes=MAX_BYTES), name)["config"]
            for folder, name in PAYLOADS.items()
        }
        clips: list[str] = []
        weights: list[tuple[str, Weight]] = []
        payloads: dict[str, Payload] = {}
        for spec in self._signature["input_specs"]:
            ((kind, said),) = spec.items()
            if kind == "user_input":
                ((form, what),) = said["arg"].items()
                clips.append(what["name"] if form == "as_tensor" else "")
                continue
            if kind not in ("parameter", "buffer", "tensor_constant"):
                raise GraphError(
                    f"it takes an input that is no tensor of the file ({printable(kind)[:40]}). Custom "
                    "objects cannot come with a file.",
                    reason="inputs",
                )
            value, name = said["arg"]["name"], str(said[f"{kind}_name"])
            if value not in read:  # heads that the outputs do not need, and counts of training steps
                continue
            folder = WEIGHTS if kind == "parameter" or said.get("persistent") else CONSTANTS
            if name in payloads or len(name) > MAX_NAME:
                raise ValueError("a weight's name stands twice, or is too long")
            payloads[name] = payload_of(configs[folder], name, folder, self._archive)
            short: Kind = "constant" if kind == "tensor_constant" else kind
            payload = payloads[name]
            weights.append((value, Weight(name=name, kind=short, dtype=payload.dtype, shape=payload.shape)))
        if len(clips) != 1 or not clips[0]:
            raise GraphError(
                f"its forward pass takes {counted(len(clips), 'input')}, and vcpbench gives clips alone: one "
                "tensor (B, 3, T, H, W). Wrap it in a module that makes the other inputs from the clips.",
                reason="inputs",
            )
        return clips[0], weights, payloads

    def _clip_shape(self, clips: str) -> tuple[int, int, int, int]:
        meta = self._graph["tensor_values"][clips]
        batch, *rest = meta["sizes"]
        numbers = [size.get("as_int") for size in rest]
        if "as_expr" not in batch:
            raise GraphError(
                f"it takes batches of {int(batch['as_int'])} clips only. Export it with a free number of "
                "clips: torch.export.export(model, (clips,), "
                "dynamic_shapes=({0: torch.export.Dim('clips')},)).",
                reason="static_batch",
            )
        if len(rest) != 4 or not all(type(number) is int and number > 0 for number in numbers):
            raise GraphError(
                "its clips are not (B, 3, T, H, W) with fixed T, H and W. Export it with one size of clips, "
                "and with a free number of them alone.",
                reason="clip_shape",
            )
        if max(numbers) > MAX_SIDE:
            raise GraphTooLarge(
                f"its clips are {' x '.join(map(str, numbers))}, and no side may be above {MAX_SIDE:,}. "
                "Export it with smaller clips.",
                most=MAX_SIDE,
            )
        if numbers[0] != 3:
            raise GraphError(
                f"its clips have {numbers[0]} channels, and vcpbench gives RGB: (B, 3, T, H, W).",
                reason="clip_shape",
            )
        if DTYPE_NAMES.get(meta["dtype"]) != "float32":
            raise GraphError(
                "its clips are not float32. Call model.float() before torch.export.export; vcpbench runs it "
                "in bf16 if that is asked for.",
                reason="clip_dtype",
            )
        return (numbers[0], numbers[1], numbers[2], numbers[3])

    def _outputs(self) -> list[str]:
        """The names of the values that the program gives."""
        names = []
        for spec in self._signature["output_specs"]:
            ((kind, said),) = spec.items()
            if kind.endswith("_mutation"):
                raise GraphError(
                    "its forward pass changes its own buffers, parameters or input. Call model.eval() before "
                    "torch.export.export, and write no tensor of the module in forward().",
                    reason="train_mode" if kind == "buffer_mutation" else "mutation",
                )
            if kind != "user_output" or "as_tensor" not in said["arg"]:
                raise GraphError(
                    "an output of it is no tensor. Return one feature map, or a tuple with one for each "
                    "stage.",
                    reason="outputs",
                )
            names.append(said["arg"]["as_tensor"]["name"])
        self._expect_flat()
        if not names or len(set(names)) < len(names):
            raise GraphError(
                "it has no output, or gives one value twice. Return one feature map, or a tuple with one for "
                "each stage.",
                reason="outputs",
            )
        return names

    def _expect_flat(self) -> None:
        """Refuse outputs in dictionaries, or in tuples of tuples."""
        (root,) = [call for call in self._calls if call["fqn"] == ""]
        _, spec = parse(str(root["signature"]["out_spec"]).encode(), "the form of its output")
        children = spec["children_spec"]
        nested = any(child["children_spec"] for child in children)
        if nested or (children and spec["type"] not in ("builtins.tuple", "builtins.list")):
            form = "nested" if nested else printable(str(spec["type"]))[:60]
            raise GraphError(
                f"its output is {form}. The order of stages would be a guess. Return one feature map, or a "
                "tuple with one for each stage, first to last.",
                reason="outputs",
            )

    def _needed_nodes(self) -> list[Mapping[str, Any]]:
        """The nodes that compute something: without checks, and comparisons of sizes for them."""
        nodes = [node for node in self._graph["nodes"] if not operation_of(node).startswith(_DROPPED)]
        read = {name for node in nodes for name in names_in(node["inputs"])}
        return [
            node
            for node in nodes
            if operation_of(node) not in _COMPARISONS or not read.isdisjoint(results_of(node))
        ]

    def _node(self, node: Mapping[str, Any]) -> Node:
        arguments: list[tuple[str, Argument]] = []
        for one in node["inputs"]:
            ((form, value),) = one["arg"].items()
            if form in ("as_device", "as_layout") or one["name"] in OF_THE_RUN:
                if form == "as_layout" and value != STRIDED:
                    raise GraphError(
                        f"an operation of it ({operation_of(node)}) makes a sparse tensor, which is not run.",
                        reason="arguments",
                    )
                continue  # the run says them
            arguments.append((str(one["name"]), self._argument(form, value)))
        results = results_of(node)
        self._number(results)
        return Node(operation=operation_of(node), arguments=tuple(arguments), num_results=len(results))

    def _argument(self, form: str, value: Any) -> Argument:
        if form == "as_tensor":
            return Ref(self._numbers[value["name"]])
        if form in ("as_tensors", "as_optional_tensors", "as_sym_ints"):
            return tuple(self._item(one) for one in value)
        if form in ("as_sym_int", "as_optional_tensor"):
            return self._item(value)
        if form == "as_none":
            return None
        if form in ("as_int", "as_bool", "as_string", "as_float"):
            return plain(form, value)
        if form in ("as_ints", "as_bools", "as_floats"):
            return tuple(plain(form.removesuffix("s"), one) for one in value)
        if form == "as_scalar_type" and value in DTYPE_NAMES:
            return Word("dtype", DTYPE_NAMES[value])
        if form == "as_memory_format" and value in MEMORY_FORMAT_NAMES:
            return Word("memory_format", MEMORY_FORMAT_NAMES[value])
        what = "a graph inside the graph" if form == "as_graph" else f"of the form {printable(form)[:40]}"
        raise GraphError(
            f"an argument in it is {what}, which is not run. Sizes are numbers, or products and sums of the "
            "number of clips.",
            reason="arguments",
            form=printable(form)[:40],
        )

    def _item(self, one: Mapping[str, Any]) -> Argument:
        """An item of a list of tensors, or of sizes."""
        if "name" in one:
            return Ref(self._numbers[one["name"]])
        ((form, value),) = one.items()
        if form == "as_name":
            return Ref(self._numbers[value])
        if form == "as_tensor":
            return Ref(self._numbers[value["name"]])
        return None if form == "as_none" else plain(form, value)

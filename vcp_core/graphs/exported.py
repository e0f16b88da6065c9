"""Read the archive of torch.export.save into a program, without torch.export.

Source: torch/_export/serde/schema.py, schema version 8 (torch 2.6 to 2.14), and
torch/export/pt2_archive/_package.py for the archive (torch 2.9 and later, which write weights as raw bytes).
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
from vcp_core.graphs.payloads import Payload, payload_of
from vcp_core.graphs.program import Argument, Kind, Node, Program, Ref, Weight, Word

MAX_NODES = 20_000  # decomposed video transformers have about 3,000
MAX_NAME = 500  # characters of a weight's name
SCHEMA = 8
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
_DTYPES = {  # schema.ScalarType
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_MEMORY_FORMATS = {  # schema.MemoryFormat
    1: "contiguous_format",
    2: "channels_last",
    3: "channels_last_3d",
    4: "preserve_format",
}
_STRIDED = 7  # schema.Layout
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
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
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
    if model["schema_version"]["major"] != SCHEMA:
        major = int(model["schema_version"]["major"])
        raise GraphError(
            f"its schema is of version {major}, and version {SCHEMA} is read. {RE_EXPORT}",
            reason="version",
        )


class _Reader:
    """Reads one model: numbers its values in the order in which they appear."""

    def __init__(self, archive: Archive, model: Mapping[str, Any]) -> None:
        module = model["graph_module"]
        self._archive, self._graph, self._signature = archive, module["graph"], module["signature"]
        self._calls = module["module_call_graph"]
        self._numbers: dict[str, int] = {}

    def read(self) -> tuple[Program, dict[str, Payload]]:
        if len(self._graph["nodes"]) > MAX_NODES:
            raise GraphTooLarge(
                f"it has {len(self._graph['nodes']):,} operations, and at most {MAX_NODES:,} are read. "
                "Export the backbone alone, without loops over frames or tokens.",
                most=MAX_NODES,
            )
        outputs = self._outputs()
        nodes = self._needed_nodes()
        read = {name for node in nodes for name in _names_in(node["inputs"])}
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

    def _number(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._numbers:
                raise ValueError("a value is made twice")
            self._numbers[name] = len(self._numbers)

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
            payloads[name] = payload_of(configs[folder], name, folder, self._archive, _DTYPES)
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
        if numbers[0] != 3:
            raise GraphError(
                f"its clips have {numbers[0]} channels, and vcpbench gives RGB: (B, 3, T, H, W).",
                reason="clip_shape",
            )
        if _DTYPES.get(meta["dtype"]) != "float32":
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
        nodes = [node for node in self._graph["nodes"] if not _operation(node).startswith(_DROPPED)]
        read = {name for node in nodes for name in _names_in(node["inputs"])}
        return [
            node
            for node in nodes
            if _operation(node) not in _COMPARISONS or not read.isdisjoint(_results(node))
        ]

    def _node(self, node: Mapping[str, Any]) -> Node:
        arguments: list[tuple[str, Argument]] = []
        for one in node["inputs"]:
            ((form, value),) = one["arg"].items()
            if form in ("as_device", "as_layout") or one["name"] in _OF_THE_RUN:
                if form == "as_layout" and value != _STRIDED:
                    raise GraphError(
                        f"an operation of it ({_operation(node)}) makes a sparse tensor, which is not run.",
                        reason="arguments",
                    )
                continue  # the run says them
            arguments.append((str(one["name"]), self._argument(form, value)))
        results = _results(node)
        self._number(results)
        return Node(operation=_operation(node), arguments=tuple(arguments), num_results=len(results))

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
            return _plain(form, value)
        if form in ("as_ints", "as_bools", "as_floats"):
            return tuple(_plain(form.removesuffix("s"), one) for one in value)
        if form == "as_scalar_type" and value in _DTYPES:
            return Word("dtype", _DTYPES[value])
        if form == "as_memory_format" and value in _MEMORY_FORMATS:
            return Word("memory_format", _MEMORY_FORMATS[value])
        what = "a graph inside the graph" if form == "as_graph" else f"of the form {printable(form)[:40]}"
        raise GraphError(
            f"an argument in it is {what}, which is not run. Sizes are numbers, or products and sums of the "
            "number of clips.",
            reason="arguments",
            form=form[:40],
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
        return None if form == "as_none" else _plain(form, value)


_OF_THE_RUN = frozenset({"pin_memory", "non_blocking", "cudnn_enabled", "cudnn_enable", "device", "layout"})


def _operation(node: Mapping[str, Any]) -> str:
    """The name of a node's operation, such as "aten.conv3d.default" or "size.mul"."""
    target = str(node["target"])
    if target.startswith("_operator."):
        return f"size.{target.removeprefix('_operator.')}"
    return target.removeprefix("torch.ops.")


def _results(node: Mapping[str, Any]) -> list[str]:
    """The names of the values that a node gives. A list of tensors counts as its items."""
    names = []
    for output in node["outputs"]:
        ((form, value),) = output.items()
        if form == "as_tensors":
            names += [one["name"] for one in value]
        elif form in ("as_sym_int", "as_sym_bool"):
            names.append(value["as_name"])
        elif form == "as_tensor":
            names.append(value["name"])
        elif form == "as_none":
            names.append(f"none {len(names)} of {node['outputs'][0]}")
        else:
            raise GraphError(
                f"{_operation(node)} in it gives a result of the form {printable(form)[:40]}, which is not "
                "run.",
                reason="results",
            )
    return names


def _names_in(inputs: Any) -> set[str]:
    """All names of values in a node's arguments."""
    found: set[str] = set()
    waiting = [one["arg"] for one in inputs]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            found.update(one[key] for key in ("name", "as_name") if isinstance(one.get(key), str))
    return found


def _plain(form: str, value: Any) -> Argument:
    """A number, a text or a truth value, of the type that its form says."""
    if form == "as_float" and value in ("Infinity", "-Infinity"):
        return float(value)
    kinds = {"as_int": (int,), "as_bool": (bool,), "as_string": (str,), "as_float": (float, int)}
    # Not isinstance: a bool is an int in Python.
    if type(value) not in kinds[form]:
        raise ValueError("an argument is not of its type")
    found: Argument = float(value) if form == "as_float" else value
    return found

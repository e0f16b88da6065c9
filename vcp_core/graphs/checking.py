"""Check a program against the table before any of it runs."""

from __future__ import annotations

from vcp_core.catalog.errors import GraphError, UnknownOperation
from vcp_core.catalog.names import counted, printable
from vcp_core.graphs.operations import OF_THE_RUN, WORDS, Operation, operations
from vcp_core.graphs.program import Argument, Node, Program, Ref, Word, read_by, references
from vcp_core.graphs.table import why_not

MOST_LISTED = 5  # operations that a message explains
TRAIN_FLAGS = ("train", "training", "dropout_p")
NORMS_WITH_FLAG = {"aten.instance_norm.default": "use_input_stats"}


def check(program: Program) -> None:
    """Check that each operation is in the table, and gets arguments of its types.

    Raises:
        UnknownOperation: If an operation is not in the table. The message names all of them.
        GraphError: If an operation trains, changes a weight or the clips in place, or has an argument that
            it does not take.

    >>> from vcp_core.graphs.program import Program
    >>> node = Node(operation="aten.relu_.default", arguments=(("self", Ref(0)),))
    >>> try:
    ...     check(Program(weights=(), clip_shape=(3, 16, 112, 112), nodes=(node,), outputs=(1,)))
    ... except GraphError as error:
    ...     print(str(error).partition(". ")[0])
    operation 1 (aten.relu_.default) changes the clips in place, which later operations or batches read
    """
    _expect_known(program)
    _refuse_training(program)  # first: train mode changes buffers in place, too
    table = operations()
    sizes: set[int] = set()
    # Values that may share memory with a weight or the clips, and whose memory that is.
    borrowed = dict.fromkeys(range(program.clips), "a weight") | {program.clips: "the clips"}
    for at, (node, results) in enumerate(program.steps(), 1):
        operation, where = table[node.operation], f"operation {at} ({node.operation})"
        _expect_numbers(node, operation, results, where)
        _expect_arguments(node, operation, sizes, where)
        shared = {borrowed[value] for value in _shared(node, operation) if value in borrowed}
        if operation.writes is not None and shared:
            raise GraphError(
                f"{where} changes {min(shared)} in place, which later operations or batches read. Use its "
                "form without the underscore (x = relu(x)).",
                reason="in_place",
                operation=node.operation,
            )
        if shared:
            borrowed |= dict.fromkeys(results, min(shared))
        if operation.gives_size:
            sizes.update(results)
    last = program.clips + 1 + sum(node.num_results for node in program.nodes)
    if any(not program.clips < value < last or value in sizes for value in program.outputs):
        raise GraphError(
            "an output of it is an input, a weight or a size, and not a result. Return feature maps.",
            reason="outputs",
        )


def _expect_numbers(node: Node, operation: Operation, results: range, where: str) -> None:
    """Check that a node reads only what came before it, and gives as many results as its operation."""
    if any(not 0 <= value < results.start for value in read_by(node)):
        raise GraphError(f"{where} reads a value that comes after it. Export it again.", reason="order")
    if operation.num_results not in (None, node.num_results):
        raise GraphError(
            f"{where} gives {counted(operation.num_results or 0, 'result')}, and the file says "
            f"{node.num_results}. Export it again.",
            reason="results",
        )


def _expect_known(program: Program) -> None:
    table = operations()
    unknown = list(dict.fromkeys(node.operation for node in program.nodes if node.operation not in table))
    if unknown:
        said = [f"{printable(name)[:100]} {why_not(name)}" for name in unknown[:MOST_LISTED]]
        more = f"; and {len(unknown) - MOST_LISTED} more" if len(unknown) > MOST_LISTED else ""
        raise UnknownOperation(
            f"{counted(len(unknown), 'operation')} of it cannot be run: {'; '.join(said)}{more}. Rewrite the "
            "forward pass without them, or try exported.run_decompositions(). To ask for an operation, open "
            "an issue with its name and the network's paper.",
            operations=[printable(name)[:100] for name in unknown[:100]],
        )


def _expect_arguments(node: Node, operation: Operation, sizes: set[int], where: str) -> None:
    given = dict(node.arguments)
    unknown = [name for name in given if name not in operation.parameters or name in OF_THE_RUN]
    missing = [
        name
        for name, one in operation.parameters.items()
        if one.required and name not in given and name not in OF_THE_RUN
    ]
    if unknown or missing or len(given) < len(node.arguments):
        what = f"has no argument {printable(unknown[0])[:100]!r}" if unknown else "lacks an argument"
        raise GraphError(f"{where} {what}. Export it again with torch 2.9 or later.", reason="arguments")
    for name, argument in node.arguments:
        one = operation.parameters[name]
        if not (argument is None and one.optional) and not _fits(argument, one.kind, sizes):
            raise GraphError(
                f"{where} takes {one.kind} as {name}, and the file gives something else. Export it again "
                "with torch 2.9 or later.",
                reason="arguments",
                argument=name,
            )


def _fits(argument: Argument, kind: str, sizes: set[int]) -> bool:
    """Tell whether an argument is of a type of torch's schema."""
    if kind.startswith("List["):
        inner = kind[len("List[") : -1]
        if isinstance(argument, tuple):
            return all(
                (one is None and inner.startswith("Optional["))
                or _fits(one, inner.removeprefix("Optional[").removesuffix("]"), sizes)
                for one in argument
            )
        return inner == "int" and _fits(argument, inner, sizes)  # one number for all dimensions
    if isinstance(argument, Ref):
        return kind in ("int", "number") if argument.value in sizes else kind == "Tensor"
    if isinstance(argument, Word):
        wanted = {"ScalarType": "dtype", "MemoryFormat": "memory_format"}.get(kind)
        return argument.kind == wanted and argument.name in WORDS[argument.kind]
    if isinstance(argument, bool):
        return kind in ("bool", "number")
    if isinstance(argument, int):
        return kind in ("int", "number", "float", "Tensor") and -(1 << 63) <= argument < 1 << 63
    if isinstance(argument, float):
        return kind in ("float", "number", "Tensor")  # torch takes x + 1.5 as an addition of tensors
    return isinstance(argument, str) and kind == "str"


def _refuse_training(program: Program) -> None:
    for at, node in enumerate(program.nodes, 1):
        given, where = dict(node.arguments), f"operation {at} ({node.operation})"
        # None, too: torch takes it for true in a dropout.
        flags = [name for name in TRAIN_FLAGS if given.get(name, 0) is None or given.get(name)]
        stats = NORMS_WITH_FLAG.get(node.operation)
        # An instance norm takes the statistics of each clip. It is in train mode only if it keeps them, too.
        if flags or (stats and given.get(stats) and given.get("running_mean") is not None):
            raise GraphError(
                f"{where} is in train mode, where clips of one batch change each other or numbers are drawn "
                "at random. Call model.eval() before torch.export.export.",
                reason="train_mode",
                operation=node.operation,
            )
        if "batch_norm" in node.operation and given.get("running_mean") is None:
            raise GraphError(
                f"{where} has no running statistics, so clips of one batch change each other. Use a batch "
                "norm with track_running_stats=True in eval mode.",
                reason="train_mode",
                operation=node.operation,
            )


def _shared(node: Node, operation: Operation) -> set[int]:
    """The values whose memory a node's result may share."""
    return {
        value
        for name, argument in node.arguments
        if operation.parameters[name].aliased
        for value in references(argument)
    }

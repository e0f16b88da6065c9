"""Any network as a checkpoint: archives of torch.export (.pt2), run by a table of operations.

A .pt2 file holds a network's operations and its weights. `torch.export.load` runs code of the file, so it
never sees one. Nothing in this package unpickles, evaluates an expression, or looks up a name of the file.

read_graph(path)                   the program and the weights of a foreign file, checked
write_canonical(path, ...)         the canonical file: safetensors, with the program as JSON
read_canonical(path)               the program and the weights of a canonical file
facts_of(program, weights, ...)    what is known of a graph without its program
build_graph(program, weights)      the network as a backbone, after a run without numbers
expect_alone(network, clips)       check that a clip's features do not depend on its batch

    archive.py      zip archives, strictly
    documents.py    JSON, with limits before it is parsed
    schema.py       the words of torch.export's schema
    exported.py     from an archive to a program
    declared.py     the input and the stages that a file declares
    payloads.py     weights from raw bytes
    reading.py      all of these for one path
    program.py      a network as data
    table.py        the names of the operations that are run
    operations.py   what these operations are in torch
    checking.py     a program against the table
    costs.py        multiply-adds of an operation
    surveying.py     shapes, work and memory, by a run without numbers
    running.py      a run
    backbone.py     the network as a backbone
    folding.py      a faster form, without batch norms
    usage.py         what each weight is for, and random weights
    calibration.py  statistics of training clips for random weights
    alone.py        a clip alone against the clip in a batch
    canonical.py    the canonical file
"""

from __future__ import annotations

from vcp_core.graphs.alone import expect_alone
from vcp_core.graphs.backbone import Graph, build_graph, facts_of
from vcp_core.graphs.canonical import is_canonical_graph, read_canonical, write_canonical
from vcp_core.graphs.program import Program
from vcp_core.graphs.reading import GraphContents, read_graph
from vcp_core.graphs.surveying import Survey, load_meta_kernels, survey
from vcp_core.graphs.usage import Used, uses

__all__ = [
    "Graph",
    "GraphContents",
    "Program",
    "Survey",
    "Used",
    "build_graph",
    "expect_alone",
    "facts_of",
    "is_canonical_graph",
    "load_meta_kernels",
    "read_canonical",
    "read_graph",
    "survey",
    "uses",
    "write_canonical",
]

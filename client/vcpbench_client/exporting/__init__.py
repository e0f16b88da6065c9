"""Export a network of yours as a .pt2 archive, with your code, your torch and your weights.

No other part of the client imports torch or runs a user's code. `vcpbench export` and
`vcpbench_client.export` are the two ways in (docs/networks.md).

    making.py    the steps below in their order
    building.py  import a function, and call it
    weights.py   load a file of weights into a network
    inputs.py    the clips that a network takes, in the words of an input spec
    cutting.py   end a network at its stages
    tracing.py   torch.export, and what its errors mean
    checking.py  what a server would refuse
    table.py     the operations that a server runs: a copy of vcp_core/graphs/table.py
    archive.py   write a file, and compare it with the network
"""

try:
    import torch as torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "Exporting needs torch 2.9 or later in this environment. Run: pip install 'vcpbench-client[export]'",
        name=error.name,
    ) from None

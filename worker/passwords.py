"""Take passwords out of the environment that this process was started with.

The kernel shows that environment in /proc to every process of the same user. The child that reads foreign
files is one, if the worker is an ordinary user's and the kernel lacks the walls. So the worker starts itself
once more, without its passwords, and hands them over through a pipe.
"""

from __future__ import annotations

import json
import os
import sys

VARIABLES = (
    "VCPBENCH_DATABASE_URL",
    "VCPBENCH_BROKER_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "OTEL_EXPORTER_OTLP_HEADERS",
)
PIPE = "VCPBENCH_PASSWORDS_PIPE"  # the number of its end to read from


def hide() -> None:
    """Start this program anew without passwords in its environment, or take them over from the first start.

    Call it before any other work and any thread: the caller begins again, as the same process. Afterwards
    `os.environ` has the passwords, and /proc does not.
    """
    if PIPE in os.environ:
        with open(int(os.environ.pop(PIPE)), encoding="utf-8") as pipe:
            os.environ.update(json.load(pipe))
        return
    passwords = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    if not passwords:
        return
    read, write = os.pipe()
    with open(write, "w", encoding="utf-8") as pipe:
        json.dump(passwords, pipe)  # a pipe holds 64 KiB
    os.set_inheritable(read, True)
    os.execve(sys.executable, sys.orig_argv, {**os.environ, PIPE: str(read)})  # noqa: S606 - itself

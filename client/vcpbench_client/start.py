"""The first steps of the `vcpbench` command, in which Ctrl-C is one line and no traceback."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130  # the shell's exit code for SIGINT


def main() -> None:
    """Load the command line and run it."""
    # Left alone where somebody ignores the signal, as nohup and a shell's background do.
    watched = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if watched:
        signal.signal(signal.SIGINT, _leave)
    from vcpbench_client import cli

    run = cli.load()
    if watched:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    finally:
        if watched:  # the exit code stands, and an interpreter that ends has nothing to interrupt
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:
    """End at once: nothing has begun, and KeyboardInterrupt may become any error inside an import."""
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()

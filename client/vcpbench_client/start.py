"""The first steps of the `vcpbench` command, in which Ctrl-C is one line and no traceback.

A KeyboardInterrupt inside an import may come out as any error: numpy turns it into a RecursionError. None is
raised there. While the command line itself is loaded, Ctrl-C ends the process at once, for nothing has begun.
Once a command runs, Ctrl-C waits until the import that is under way has ended.
"""

from __future__ import annotations

import _thread
import gc
import os
import signal
import time

TYPE_CHECKING = False  # as typing's: this module must be loaded before Ctrl-C can be one line
if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130  # the shell's exit code for SIGINT
AGAIN_S = 0.05


def main() -> None:
    """Load the command line and run it."""
    # Left alone where somebody ignores the signal, as nohup and a shell's background do.
    watched = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if watched:
        signal.signal(signal.SIGINT, _leave)
    from vcpbench_client import cli

    run = cli.load()
    if watched:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        run()
    finally:
        gc.freeze()  # Python would look through all of torch once more before it ends
        if watched:  # the exit code stands, and an interpreter that ends has nothing to interrupt
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _thread.start_new_thread(_send_again, ())
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _send_again() -> None:
    time.sleep(AGAIN_S)
    _thread.interrupt_main()


if __name__ == "__main__":
    main()

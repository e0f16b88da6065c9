"""`python -m worker`; with `--health`, say whether this machine's workers have been seen lately."""

import sys

from worker.app import health, main

if __name__ == "__main__":
    sys.exit(health() if sys.argv[1:] == ["--health"] else main())

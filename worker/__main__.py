"""`python -m worker`; with `--health`, say whether this machine's workers have been seen lately."""

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["--health"]:
        from worker.health import health as main
    else:
        from worker.passwords import hide

        hide()
        from worker.app import main
    sys.exit(main())

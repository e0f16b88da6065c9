"""`python -m worker`: a worker.

With `--deliver`, it only sends the deliveries of webhooks. With `--health`, it says whether this machine's
workers have been seen lately.
"""

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["--health"]:
        from worker.health import health as main
    elif sys.argv[1:] == ["--deliver"]:
        from worker.deliveries import main
    else:
        from worker.passwords import hide

        hide()
        from worker.app import main
    sys.exit(main())

"""`python -m proxy` is `sidelog`."""

import sys

from proxy.cli.app import main

if __name__ == "__main__":
    sys.exit(main())

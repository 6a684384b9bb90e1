"""`python -m proxy` is `sidelog`."""

import sys

if __name__ == "__main__":
    from proxy.process.own_packages import leave_current_directory

    leave_current_directory(sys.path)

    from proxy.cli.app import main

    sys.exit(main())

"""How many files and sockets a process may have open. Standard library only.

The soft limit is 1 024 on most systems, for the sake of programs that use select(2); we do not. It
is inherited, so the root process raises it for all.
"""

import resource
from typing import Final

_SHARE_OF_CLIENTS: Final = 0.75
"""The others are for upstreams, the store, and ourselves."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one, where the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # a hard limit without end is not always one that may be set
        pass


def max_client_connections() -> int:
    """Return how many connections of clients leave room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    return max(1, int(soft * _SHARE_OF_CLIENTS))

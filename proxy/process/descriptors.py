"""How many files and sockets a process may have open. Standard library only.

The soft limit is 1 024 on most systems, for the sake of programs that use select(2); we do not. It
is inherited, so the root process raises it for all.
"""

import resource
from typing import Final

OWN_DESCRIPTORS: Final = 64
"""What a process has open without a client, generously: sockets, the store, the log."""
_OF_WORKER: Final = 8
"""What supervisor and collector have open for each worker: sockets and rings, twice in a reload."""
_SHARE_OF_CLIENTS: Final = 0.75
"""The others are for upstreams, the store, and ourselves."""


class DescriptorLimitError(Exception):
    """Too few files may be open; the message says how many, and what raises the limit."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one, where the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # a hard limit without end is not always one that may be set
        pass


def least_descriptors(workers: int) -> int:
    """Return how many open files a process must be allowed to have, so that sidelog can run."""
    return OWN_DESCRIPTORS + _OF_WORKER * workers


def check_descriptor_limit(workers: int) -> None:
    """Check that sidelog can run with the limit that there is.

    Raises:
        DescriptorLimitError: it would not get to its store, or start a worker.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = least_descriptors(workers)
    if soft != resource.RLIM_INFINITY and soft < least:
        raise DescriptorLimitError(
            f"a process may have {soft} open files, and sidelog needs at least {least}: raise the "
            "limit with ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit"
        )


def max_client_connections() -> int:
    """Return how many connections of clients leave room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    return max(1, int(soft * _SHARE_OF_CLIENTS))

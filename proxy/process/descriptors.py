"""The limit of open files and sockets of a process. Standard library only.

The soft limit is 1 024 on most systems, for the sake of programs that use select(2); sidelog does
not. The limit is inherited, so the root process raises it for all.
"""

import resource
from typing import Final

OWN_DESCRIPTORS: Final = 64
"""Descriptors of a process without a client, generously: sockets, the store, the log."""
_OF_WORKER: Final = 8
"""Descriptors of supervisor and collector per worker: sockets and rings, twice during a reload."""
_SHARE_OF_CLIENTS: Final = 0.75
"""Share of clients. The rest is for upstreams, the store, and sidelog itself."""


class DescriptorLimitError(Exception):
    """Too few files may be open. The message names the number and the setting that raises the
    limit.
    """


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one if the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # an unlimited hard limit cannot always be set
        pass


def least_descriptors(workers: int) -> int:
    """Return the least number of open files with which sidelog can run."""
    return OWN_DESCRIPTORS + _OF_WORKER * workers


def check_descriptor_limit(workers: int) -> None:
    """Check that sidelog can run with the current limit.

    Raises:
        DescriptorLimitError: it could not open its store, or start a worker.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = least_descriptors(workers)
    if soft != resource.RLIM_INFINITY and soft < least:
        raise DescriptorLimitError(
            f"a process may have {soft} open files, and sidelog needs at least {least}: raise the "
            "limit with ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit"
        )


def max_client_connections() -> int:
    """Return the number of client connections that leaves room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    return max(1, int(soft * _SHARE_OF_CLIENTS))

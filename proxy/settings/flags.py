"""The flags of `sidelog serve`, each with its setting and help. Standard library only.

They are not in `model.py`, which takes the help from here, so that the command line can show help
without importing the declarations. Invariant: a flag only sets the setting of its name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Flag(NamedTuple):
    """One flag."""

    option: str
    metavar: str
    help: str
    value: str = ""
    """Value that a flag without an argument sets."""
    default: str = ""
    """Text of the default in the help, if there is one."""


FLAGS: Final[Mapping[str, Flag]] = {
    "proxy.upstream": Flag(
        "--upstream", "URL", "catch-all route `default`: http://…, https://… or unix:/path"
    ),
    "proxy.listen": Flag(
        "--listen",
        "ADDRESS",
        "address of the data port, host:port; 0.0.0.0:8080 or [::]:8080 for all, unix:/path for a "
        "Unix socket",
        "",
        "127.0.0.1:8080",
    ),
    "proxy.data_port": Flag(
        "--no-data-port",
        "",
        "only admin port, API and UI, over a store that others write; no workers, and nothing is "
        "deleted by age or size",
        "false",
    ),
    "admin.listen": Flag(
        "--admin-listen", "HOST:PORT", "address of the admin port, host:port", "", "127.0.0.1:8090"
    ),
    "storage.url": Flag(
        "--storage",
        "URL",
        "where records are: sqlite:///FILE (relative to the data directory; four slashes: "
        "absolute), postgresql:// or clickhouse://USER:PASSWORD@HOST/DATABASE, which sidecars may "
        "share, or memory:",
        "",
        "sqlite:///sidelog.db",
    ),
    "data_dir": Flag(
        "--data-dir",
        "DIR",
        "data directory: the store, the admin token and everything else that lasts",
        "",
        "SIDELOG_DATA_DIR, STATE_DIRECTORY, ./sidelog-data",
    ),
    "proxy.workers": Flag(
        "--workers", "N", "number of worker processes; 0: everything in one process", "", "1"
    ),
    "log.level": Flag(
        "--log-level", "LEVEL", "minimum severity: debug, info, warn or error", "", "info"
    ),
}
"""Setting → its flag, in the order of `--help`."""

"""Imports each module in a process of its own: `python -m tests.support.import_each`, for
tests/test_modules.py.

Reads a JSON object from stdin: module → modules that are imported after it, in forks of its
process; "" is the process in which nothing of ours is imported. Prints the modules that could be
imported, one a line, in no order.
"""

import gc
import importlib
import json
import os
import sys
import traceback
from typing import Final

NOT_OURS: Final = (
    *(
        "aiohttp.web",
        "asyncpg",
        "click",
        "httptools",
        "msgspec",
        "orjson",
        "prometheus_client",
        "re2",
        "rich.table",
    ),
    "uvloop",
)
"""What takes long, and is imported once for all."""


def import_below(above: str, below: dict[str, list[str]]) -> None:
    """Import the modules that come after one, each in a fork, and what comes after them in turn."""
    for module in below.get(above, []):
        pid = os.fork()
        if not pid:
            try:
                importlib.import_module(module)
            except BaseException:
                traceback.print_exc()
                os._exit(1)

            os.write(1, f"{module}\n".encode())
            import_below(module, below)
            os._exit(0)

        os.waitpid(pid, 0)


if __name__ == "__main__":
    for name in NOT_OURS:
        importlib.import_module(name)
    gc.disable()  # it would copy what all have in common
    import_below("", json.load(sys.stdin))

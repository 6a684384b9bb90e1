"""Version and build of sidelog, readable without an installation.

Packaging reads the version here.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final, Literal

VERSION: Final = "1.0.0"

Build = Literal["pure", "compiled"]
"""Form of the data plane: Python source, or the same source compiled by mypyc (`setup.py`)."""


def _build() -> Build:
    found = find_spec("proxy.ring.ring")
    if found is not None and (found.origin or "").endswith(tuple(EXTENSION_SUFFIXES)):
        return "compiled"
    return "pure"


BUILD: Final = _build()

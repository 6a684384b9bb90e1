"""How much repeated text is remembered: bounded in bytes, as a client may send a new User-Agent of 8 KiB each time."""

import sys
from typing import Final

MAX_REMEMBERED_BYTES: Final = 16 << 20
"""Of one direction: ids of texts, or texts of ids. Room for 50 000 ordinary values."""
_ENTRY_BYTES: Final = 150
"""Beside the text: its place, key and number."""


def entry_bytes(text: str) -> int:
    """Return what a text takes that is remembered."""
    return _ENTRY_BYTES + sys.getsizeof(text)

r"""Decode one-letter escapes (`\n`, `\"`, `\\`) with arrays: in one pass, however many there
are.
"""

from typing import Final

import numpy as np

from proxy.enrich.redact.octets import BACKSLASH
from proxy.enrich.redact.patterns.escaped import ESCAPED

_IS_READ: Final = np.zeros(256, np.bool_)
_MEANING: Final = np.zeros(256, np.uint8)
for _letter, _meaning in ESCAPED.items():
    _IS_READ[ord(_letter)] = True
    _MEANING[ord(_letter)] = ord(_meaning)


def without_backslashes(text: bytes) -> bytes:
    """Return a text with its one-letter escapes decoded; the same object if nothing changes."""
    octets = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(octets == BACKSLASH)
    # In a run of backslashes every second one is escaped by the one before it.
    numbers = np.arange(len(places))
    begins_run = np.diff(places, prepend=-2) != 1
    run_begins = np.maximum.accumulate(np.where(begins_run, numbers, 0))
    places = places[(numbers - run_begins) % 2 == 0]

    places = places[places + 1 < len(octets)]
    letters = octets[places + 1]
    is_read = _IS_READ[letters]
    places = places[is_read]
    if not len(places):
        return text

    said = octets.copy()
    said[places + 1] = _MEANING[letters[is_read]]
    is_kept = np.ones(len(octets), np.bool_)
    is_kept[places] = False
    return said[is_kept].tobytes()

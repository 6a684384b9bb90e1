"""The signature of a cell of the index of words, read whole."""

from array import array
from collections import defaultdict

from storage.search.index.segment import MANY, ROW_BITS


def rows_by_term(signature: bytes) -> dict[int, set[int]]:
    """Return of each term the rows that have it, `MANY` for all."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for number in array("I", signature):
        found[number >> ROW_BITS].add(number & MANY)
    return dict(found)

"""One writer's knowledge of repeated text, for which rows have ids of the table `dictionary`.

Clients choose many values, so each has the day of its last look-up, and retention deletes values of
days without rows. The writer forgets all ids once a day, and looks each up again at its next use.

Invariant: the ids are committed, or belong to the running transaction; a backend forgets them if
that fails. No row starts on a later day than the values it uses.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from storage.record import Record
from storage.relational.rollups import DIMENSIONS, LIMITED, dimensions_of
from storage.relational.sql import CODED, DICTIONARY_KINDS
from storage.relational.usage import DIMENSIONS as USAGE_DIMENSIONS
from storage.relational.writes import packing
from storage.relational.writes.remembered import MAX_REMEMBERED_BYTES, entry_bytes

_CALLED: Final = USAGE_DIMENSIONS[len(LIMITED) :]


class Combination(NamedTuple):
    """The ids of repeated text that occurs in few combinations."""

    ids: tuple[int | None, ...]
    """In the order of `packing.COMBINED`, then the id of the origin."""
    rollup: tuple[int, ...]
    """The dimensions of rollups, 0 for null; methods that clients invented are 0."""
    error_type: int
    """0 for null."""


class Dictionary:
    """Text to id, by column and by combination."""

    def __init__(self, null: int | None) -> None:
        """Make an empty one; `null` stands for null in a row."""
        self._null = null
        self._day = 0
        self._ids_bytes = 0
        self._combinations: dict[packing.Combined, Combination] = {}
        self.ids: dict[str, dict[str | None, int | None]] = {}
        """Column → text → id."""
        self.forget()

    @property
    def day(self) -> int:
        """The day of the current batch, since the epoch."""
        return self._day

    def forget(self) -> None:
        """Forget all ids: a transaction failed, or the store may have been replaced."""
        self._ids_bytes = 0
        self._combinations.clear()
        self.ids = {column: self._column(column) for column in DICTIONARY_KINDS}

    def begin(self, day: int) -> None:
        """Begin a batch whose rows start on this day or earlier."""
        is_new_day = day > self._day
        self._day = day
        if is_new_day or self._ids_bytes > MAX_REMEMBERED_BYTES:
            self.forget()

    def remember(self, column: str, text: str, number: int) -> None:
        self.ids[column][text] = number
        self._ids_bytes += entry_bytes(text)

    def combination(self, record: Record) -> Combination:
        """Return the ids of the combination of dictionary texts in a record. Store the texts first,
        so that each has an id.
        """
        key = packing.combined_of(record)
        found = self._combinations.get(key)
        if found is None:
            return self._combine(key)
        return found

    def usage(self, record: Record, combination: Combination) -> tuple[int, ...]:
        """Return the keys by which the usage of a call is counted."""
        called = (self.ids[column][getattr(record, column)] or 0 for column in _CALLED)
        return (*combination.rollup[: len(LIMITED)], *called)

    def _column(self, column: str) -> dict[str | None, int | None]:
        """Make the ids of a column; only the id of null is known."""
        return {None: self._null}

    def _combine(self, key: packing.Combined) -> Combination:
        ids = [self._id_of(*value) for value in zip(packing.COMBINED, key, strict=False)]
        rollup = dimensions_of(ids[: len(DIMENSIONS)], key[packing.METHOD])
        found = Combination((*ids, self.ids["origin"][origin_of(key)]), rollup, ids[-1] or 0)
        if len(self._combinations) >= packing.MAX_COMBINATIONS:
            self._combinations.clear()
        if len(key[packing.METHOD] or "") <= packing.MAX_METHOD_CHARACTERS:
            self._combinations[key] = found
        return found

    def _id_of(self, column: str, text: str | None) -> int | None:
        if column in CODED:
            return packing.code_of(column, text)
        return self.ids[column][text]


def origin_of(key: Sequence[Any]) -> str:
    """Write the origin of a combination."""
    return packing.pack_origin(key[len(packing.COMBINED) :])

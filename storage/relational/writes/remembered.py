"""Repeated text that is remembered: bounded in bytes, as a client may send a new User-Agent of 8
KiB each time.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from storage.relational.sql import Fetches

MAX_REMEMBERED_BYTES: Final = 16 << 20
"""Of one direction: ids of texts, or texts of ids. Room for 50 000 ordinary values."""
_ENTRY_BYTES: Final = 150
"""Beside the text: its place, key and number."""


Texts = Mapping[int | None, str | None]
"""Id → text."""


def entry_bytes(text: str) -> int:
    """Return what a text takes that is remembered."""
    return _ENTRY_BYTES + sys.getsizeof(text)


class Names:
    """Id to text, for readers; never stale, because readers see committed ids only and no id is
    given twice.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._texts_bytes = 0

    def forget(self) -> None:
        """Remember nothing: the store may have been replaced."""
        self._texts = {}
        self._texts_bytes = 0

    async def load(self, statements: Fetches, ids: Iterable[int | None]) -> Texts:
        """Find the text of ids; null and 0 are null."""
        wanted = {number for number in ids if number}
        remembered = self._texts  # of this store
        names = {number: remembered[number] for number in wanted if number in remembered}
        if unknown := list(wanted - names.keys()):
            found = await _read(statements, unknown)
            self._remember(remembered, found)
            names |= found

        # None where retention deleted the text, and the row with it, since the reader saw the row.
        return {number: names.get(number or 0) for number in (None, 0, *wanted)}

    def _remember(self, remembered: dict[int, str], found: Mapping[int, str]) -> None:
        """Remember texts, or nothing any more where that is too much."""
        remembered.update(found)
        if remembered is self._texts:
            self._texts_bytes += sum(map(entry_bytes, found.values()))
            if self._texts_bytes > MAX_REMEMBERED_BYTES:
                self.forget()


async def _read(statements: Fetches, ids: list[int]) -> dict[int, str]:
    dialect = statements.dialect
    among = dialect.among.format("id", dialect.placeholder(1))
    sql = f"SELECT id, value FROM {dialect.schema}dictionary WHERE {among}"
    rows = await statements.fetch(sql, (dialect.number_list(ids),))
    return dict(rows)

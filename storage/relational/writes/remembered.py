"""Remembered repeated text, bounded in bytes: a client may send a new User-Agent of 8 KiB each
time.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from storage.relational.sql import Fetches

MAX_REMEMBERED_BYTES: Final = 16 << 20
"""Bytes in one direction: ids of texts, or texts of ids. Room for 50 000 ordinary values."""
_ENTRY_BYTES: Final = 150
"""Bytes besides the text: its entry, key and number."""


Texts = Mapping[int | None, str | None]
"""Id → text."""


def entry_bytes(text: str) -> int:
    """Return the bytes that a remembered text takes."""
    return _ENTRY_BYTES + sys.getsizeof(text)


class Names:
    """Id to text, for readers; never stale, because readers see only committed ids, and ids are not
    reused.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._texts_bytes = 0

    def forget(self) -> None:
        """Forget all texts: the store may have been replaced."""
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

        # None if retention deleted the text, together with the row, since the reader saw the row.
        return {number: names.get(number or 0) for number in (None, 0, *wanted)}

    def _remember(self, remembered: dict[int, str], found: Mapping[int, str]) -> None:
        """Remember texts; forget all of them if they are too many."""
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

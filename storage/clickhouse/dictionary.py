"""Repeated text as numbers that nobody has to ask for: 63 bits of a hash of its column and itself.

Strategy: every sidecar makes the same number of the same text, so the table `dictionary` is only for the way back, and
for looking at the text itself. A value is inserted before the first row that has it; to insert it twice is harmless.

Invariant: a number stands for one text of one column; a value that would get the number of another one is refused.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.native import Column
from storage.errors import StorageRejected
from storage.relational.sql import CALL_KINDS, DIMENSIONS, TOOL_KINDS
from storage.relational.writes.packing import ORIGIN_KIND
from storage.relational.writes.remembered import RememberedNames

DICTIONARY: Final = """CREATE TABLE IF NOT EXISTS dictionary (id Int64, kind UInt16, value String)
ENGINE = ReplacingMergeTree ORDER BY id"""
KINDS: Final = {column: kind for kind, column in enumerate(DIMENSIONS)} | TOOL_KINDS | CALL_KINDS | ORIGIN_KIND
_MAX_REMEMBERED: Final = 100_000
"""Values of which it is known that they are stored, and numbers that are remembered: 20 MB of each at most."""
_MAX_REMEMBERED_LETTERS: Final = 200
TRUSTED_S: Final = 600.0
"""How long the table is believed to have what it was seen to have: a server that loses its newest parts in a power cut,
or is restored, says nothing of it. What is stored again names all rows that have its number."""

Values = dict[int, tuple[str, str]]
"""Number → column and text."""


def text_id(column: str, text: str | None) -> int:
    """Return the number of a text, 0 for null.

    Raises:
        ValueError: The text has a lone surrogate.
    """
    if text is None:
        return 0
    return _remembered(column, text) if len(text) <= _MAX_REMEMBERED_LETTERS else _hashed(column, text)


def _hashed(column: str, text: str) -> int:
    digest = blake2b(text.encode(), digest_size=8, salt=KINDS[column].to_bytes(2, "big")).digest()
    return int.from_bytes(digest, "big") >> 1 or 1


_remembered: Final = lru_cache(_MAX_REMEMBERED)(_hashed)


class Dictionary:
    """What one store knows to be in the table."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._stored: set[int] = set()
        self._trusted_until = clock() + TRUSTED_S

    async def learn(self, values: Values) -> None:
        """Store values that are not stored yet.

        Raises:
            StorageRejected: One has the number of another text.
        """
        if self._clock() >= self._trusted_until:
            self._stored.clear()
            self._trusted_until = self._clock() + TRUSTED_S
        new = {number: value for number, value in values.items() if number not in self._stored}
        if not new:
            return
        known = await self.texts(new)
        for number, (column, text) in new.items():
            if known.get(number, text) != text:
                raise StorageRejected(f"{column} {text[:100]!r} has the number of another text, {number}")
        missing = {number: value for number, value in new.items() if number not in known}
        if missing:
            kinds = [KINDS[column] for column, _ in missing.values()]
            texts = [text for _, text in missing.values()]
            columns = (
                Column("id", "Int64", list(missing)),
                Column("kind", "UInt16", kinds),
                Column("value", "String", texts),
            )
            await self._link.insert("dictionary", columns, limit_s=LIMIT_S)
        self._link.expect("dictionary", "id", list(new))
        if len(self._stored) + len(new) > _MAX_REMEMBERED:
            self._stored.clear()
        self._stored |= new.keys()

    async def texts(self, numbers: Iterable[int]) -> Mapping[int, str]:
        """Look up the text of numbers; those that are not stored are left out."""
        wanted = [number for number in set(numbers) if number]
        if not wanted:
            return {}
        rows = await self._link.fetch("SELECT id, value FROM dictionary WHERE id IN $1", (wanted,), limit_s=LIMIT_S)
        return dict(rows)


class Names:
    """Number to text, for readers; a number never stands for anything else."""

    def __init__(self) -> None:
        self._remembered = RememberedNames()

    async def load(self, link: Link, numbers: Iterable[int | None]) -> Mapping[int | None, str | None]:
        """Find the text of numbers; null and 0 are null."""
        wanted = {number for number in numbers if number}
        names = self._remembered.known(wanted)
        if missing := list(wanted - names.keys()):
            rows = await link.fetch("SELECT id, value FROM dictionary WHERE id IN $1", (missing,), limit_s=LIMIT_S)
            found: dict[int, str] = dict(rows)
            self._remembered.add(found)
            names |= found
        # None where retention was quicker than this reader: the row is gone too.
        answer: dict[int | None, str | None] = {number: names.get(number) for number in wanted}
        answer[None] = answer[0] = None
        return answer

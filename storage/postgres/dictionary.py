"""Repeated text as small numbers: looked up in memory, kept in the table `dictionary`.

Strategy: values are found by a digest, because they may be longer than an index can hold. New
values are committed before the batch that brings them, in a transaction of their own, so that
sidecars with the same new value wait for each other briefly. A value whose batch then fails stays
unused. Clients choose many values, so each carries the day it was last looked up for, and retention
deletes those of days without rows. The writer forgets all of them once a day, and looks each up
again when it is next used.

Invariant: the writer remembers committed ids only, and forgets them with the connection it learned
them over. No row starts on a later day than the values it uses.
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import Final
from uuid import UUID

from storage.postgres.connection import BEGIN, Connection, transaction
from storage.postgres.text import escape
from storage.relational.sql import DICTIONARY_KINDS, Texts
from storage.relational.writes.remembered import MAX_REMEMBERED_BYTES, entry_bytes

_LEARN: Final = (
    "WITH given AS ("
    "SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS given (digest, kind, value)), "
    "made AS ("
    "INSERT INTO sidelog.dictionary (digest, kind, value, used_day) "
    "SELECT digest, kind, value, $4 FROM given "
    "WHERE NOT EXISTS (SELECT FROM sidelog.dictionary AS known WHERE known.digest = given.digest) "
    "ORDER BY digest ON CONFLICT (digest) DO NOTHING RETURNING digest, id), "
    "old AS (SELECT known.id FROM sidelog.dictionary AS known JOIN given USING (digest) "
    "WHERE known.used_day < $4 ORDER BY known.digest FOR UPDATE OF known), "
    "used AS (UPDATE sidelog.dictionary AS known "
    "SET used_day = $4 FROM old WHERE known.id = old.id "
    "RETURNING known.digest, known.id) "
    "SELECT digest, id FROM made UNION ALL SELECT digest, id FROM used UNION ALL "
    "SELECT known.digest, known.id FROM sidelog.dictionary AS known JOIN given USING (digest) "
    "WHERE known.used_day >= $4"
)

Value = tuple[str, str]
"""Column and text."""


class Dictionary:
    """Text to id, for the one writer."""

    def __init__(self) -> None:
        self._ids_bytes = 0
        self._day = 0
        self.ids: dict[str, dict[str | None, int | None]] = {}
        """Column → text → id; null has none."""
        self.forget()

    def forget(self) -> None:
        """Remember nothing: the server may have been replaced."""
        self._ids_bytes = 0
        self.ids = {column: {None: None} for column in DICTIONARY_KINDS}

    def begin(self, day: int) -> bool:
        """Begin a batch whose newest row starts on a day, at the latest; returns whether all ids
        were forgotten.

        They are forgotten on a new day, and when they take too much memory.
        """
        is_new_day = day > self._day
        self._day = day
        if is_stale := is_new_day or self._ids_bytes > MAX_REMEMBERED_BYTES:
            self.forget()
        return is_stale

    async def learn(self, connection: Connection, values: Collection[Value]) -> None:
        """Find or make the ids of values that are not remembered. Outside a transaction."""
        missing = {digest(column, text): (column, text) for column, text in values}
        while missing:
            rows = sorted(
                (key, DICTIONARY_KINDS[column], escape(text))
                for key, (column, text) in missing.items()
            )
            async with transaction(connection, BEGIN):
                found = await connection.fetch(
                    _LEARN, *map(list, zip(*rows, strict=True)), self._day
                )

            # Only the next query sees what another sidecar inserted, looked up or deleted
            # meanwhile.
            for key, number in found:
                column, text = missing.pop(key)
                self.ids[column][text] = number
                self._ids_bytes += entry_bytes(text)


async def find(connection: Connection, wanted: Texts) -> dict[str, dict[str, int]]:
    """Look up the ids of a filter's values, by column; unknown values are left out."""
    found: dict[str, dict[str, int]] = {column: {} for column in wanted}
    digests = {
        digest(column, text): (column, text) for column, values in wanted.items() for text in values
    }
    if digests:
        sql = "SELECT digest, id FROM sidelog.dictionary WHERE digest = ANY($1::uuid[])"
        for key, number in await connection.fetch(sql, list(digests)):
            column, text = digests[key]
            found[column][text] = number

    return found


def digest(column: str, text: str) -> UUID:
    """Make the key of a value: 128 bits of its column's number and its text."""
    return UUID(
        bytes=blake2b(
            text.encode(), digest_size=16, salt=DICTIONARY_KINDS[column].to_bytes(2, "big")
        ).digest()
    )

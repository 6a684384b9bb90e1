"""Repeated text as small numbers in Postgres: looked up for a whole batch, before its transaction.

Strategy: values are found by a digest, because they may be longer than an index can hold. New
values are committed before the batch that brings them, in a transaction of their own, so that
sidecars with the same new value wait for each other briefly. A value whose batch then fails stays
unused. Ids are forgotten with the connection that they were learned over.
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

from storage.postgres.connection import BEGIN, Connection, transaction
from storage.relational.sql import DICTIONARY_KINDS, Texts
from storage.relational.writes import dictionary

_LEARN: Final = (
    "WITH given AS ("
    "SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::varchar[]) AS given (digest, kind, value)), "
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

Value = tuple[str, str | None]
"""Column and text."""


class Dictionary(dictionary.Dictionary):
    """Text to id, for the one writer."""

    def __init__(self) -> None:
        super().__init__(null=None)

    async def learn(self, connection: Connection, values: Collection[Value]) -> None:
        """Find or make the ids of values that are not remembered. Outside a transaction."""
        missing = {
            digest(column, text): (column, text)
            for column, text in values
            if text is not None and text not in self.ids[column]
        }
        while missing:
            rows = sorted(
                (key, DICTIONARY_KINDS[column], text) for key, (column, text) in missing.items()
            )
            async with transaction(connection, BEGIN):
                found = await connection.fetch(
                    _LEARN, *map(list, zip(*rows, strict=True)), self.day
                )

            # Only the next query sees what another sidecar inserted, looked up or deleted
            # meanwhile.
            for key, number in found:
                self.remember(*missing.pop(key), number)


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


def digest(column: str, text: str) -> bytes:
    """Make the key of a value: 128 bits of its column's number and its text."""
    salt = DICTIONARY_KINDS[column].to_bytes(2, "big")
    return blake2b(text.encode(), digest_size=16, salt=salt).digest()

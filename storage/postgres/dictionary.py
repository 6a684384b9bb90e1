"""Repeated text as small numbers in Postgres, looked up for a whole batch before its transaction.

Strategy: values are found by a digest, because they may be too long for an index. New values are
committed before their batch, in a transaction of their own, so that sidecars with the same new
value wait only briefly for each other. If the batch then fails, its new values stay unused. Ids are
forgotten when their connection is closed.
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
    """Text → id, for the one writer."""

    def __init__(self) -> None:
        super().__init__(null=None)

    async def learn(self, connection: Connection, values: Collection[Value]) -> None:
        """Look up or create the ids of values that are not cached. Outside a transaction."""
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

            # Values that another sidecar changed meanwhile are only visible to the next query.
            for key, number in found:
                self.remember(*missing.pop(key), number)


async def find(connection: Connection, wanted: Texts) -> dict[str, dict[str, int]]:
    """Return the ids of a filter's values, by column; unknown values are left out."""
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
    """Return the key of a value: 128 bits of its column's number and its text."""
    salt = DICTIONARY_KINDS[column].to_bytes(2, "big")
    return blake2b(text.encode(), digest_size=16, salt=salt).digest()

"""The layout of the database: numbered migrations in a schema of its own, applied in order under an
advisory lock.

Invariant: the newest number in `sidelog.migrations` is that of the newest migration applied, and
the digest beside each number is that of its statements. A database with a higher number than this
program knows, or with another digest, is left untouched.
"""

import hashlib
import re
from typing import Final

from storage.errors import SchemaBeforeRelease, SchemaTooNew, SchemaTooOld, StorageUnavailable
from storage.postgres.connection import BEGIN, Connection, transaction
from storage.postgres.partitions import LOCK
from storage.relational.migrations import read_migrations

_ENCODING: Final = "UTF8"
_LOCK_WAIT_MS: Final = 10_000
_COMMENT_OR_SPACE: Final = re.compile(r"--[^\n]*|\s+")


def migrations() -> list[str]:
    """Read the migrations; the first makes version 1."""
    return read_migrations("storage.postgres.migrations")


async def migrate(connection: Connection) -> int:
    """Bring the database to the newest layout; returns its version.

    Raises:
        SchemaTooNew: A newer program wrote it.
        SchemaBeforeRelease: One before 1.0 did.
        StorageUnavailable: It keeps text in another encoding than UTF-8.
    """
    scripts = migrations()
    # A role may have its own.
    limits = f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}; SET LOCAL statement_timeout = 0"

    begin = f"{BEGIN}; {limits}; SELECT pg_advisory_xact_lock({LOCK})"
    async with transaction(connection, begin):
        encoding = await connection.fetchval(
            "SELECT pg_encoding_to_char(encoding) FROM pg_database "
            "WHERE datname = current_database()"
        )
        if encoding != _ENCODING:
            raise StorageUnavailable(
                f"the database keeps text as {encoding}, {_ENCODING} is needed"
            )

        version = await read_version(connection)
        if version > len(scripts):
            raise SchemaTooNew(version, len(scripts))

        await _refuse_unreleased(connection, scripts[:version])
        if version == 0:
            # Not asked for when it is there already: that needs a right on the whole database.
            await connection.execute(
                "CREATE SCHEMA IF NOT EXISTS sidelog; "
                "CREATE TABLE sidelog.migrations (version integer PRIMARY KEY, digest text NOT "
                "NULL)"
            )

        for number, script in enumerate(scripts[version:], version + 1):
            await connection.execute(script)
            await connection.execute(
                "INSERT INTO sidelog.migrations (version, digest) VALUES ($1, $2)",
                number,
                _digest(script),
            )

    return len(scripts)


async def check_layout(connection: Connection) -> int:
    """Return the layout's version, changing nothing.

    Raises:
        SchemaTooNew: A newer program wrote it.
        SchemaBeforeRelease: One before 1.0 did.
        SchemaTooOld: An older one did, or none.
    """
    newest = len(migrations())
    async with transaction(connection, "BEGIN READ ONLY"):
        version = await read_version(connection)
        await _refuse_unreleased(connection, migrations()[:version])
    if version > newest:
        raise SchemaTooNew(version, newest)
    if version < newest:
        raise SchemaTooOld(version, newest)

    return version


async def read_version(connection: Connection) -> int:
    """Read the number of the newest migration applied; 0 in a database that was never used."""
    if await connection.fetchval("SELECT to_regclass('sidelog.migrations')") is None:
        return 0
    return int(
        await connection.fetchval("SELECT coalesce(max(version), 0) FROM sidelog.migrations")
    )


async def _refuse_unreleased(connection: Connection, scripts: list[str]) -> None:
    """Compare the migrations that were applied with ours: before 1.0 they changed under the same
    number.

    Raises:
        SchemaBeforeRelease: One was another, or its digest was not kept.
    """
    if not scripts:
        return
    has_digests = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = 'sidelog.migrations'::regclass "
        "AND attname = 'digest' AND NOT attisdropped)"
    )
    if has_digests:
        rows = await connection.fetch(
            "SELECT version, digest FROM sidelog.migrations ORDER BY version"
        )
        applied = {row["version"]: row["digest"] for row in rows}
        if all(applied.get(number) == _digest(script) for number, script in enumerate(scripts, 1)):
            return

    raise SchemaBeforeRelease


def _digest(script: str) -> str:
    """Digest the statements of a migration, without comments and whatever their blanks."""
    return hashlib.sha256(_COMMENT_OR_SPACE.sub(" ", script).encode()).hexdigest()

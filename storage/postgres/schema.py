"""The layout of the database: numbered migrations in a separate schema, applied in order under an
advisory lock.

Invariant: the newest number in `sidelog.migrations` belongs to the newest applied migration. A
database with a higher number than this program knows is left untouched.
"""

from typing import Final

from storage.errors import SchemaTooNew, SchemaTooOld, StorageUnavailable
from storage.postgres.connection import BEGIN, Connection, transaction
from storage.postgres.partitions import LOCK
from storage.relational.migrations import read_migrations

_ENCODING: Final = "UTF8"
_LOCK_WAIT_MS: Final = 10_000


def migrations() -> list[str]:
    """Return the migrations in order; the first makes version 1."""
    return read_migrations("storage.postgres.migrations")


async def migrate(connection: Connection) -> int:
    """Migrate the database to the newest layout; return its version.

    Raises:
        SchemaTooNew: A newer program wrote it.
        StorageUnavailable: Its encoding is not UTF-8.
    """
    scripts = migrations()
    # A role may have limits of its own.
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

        if version == 0:
            # Create the schema only if it is missing, since that needs a privilege on the whole
            # database.
            await connection.execute(
                "CREATE SCHEMA IF NOT EXISTS sidelog; "
                "CREATE TABLE sidelog.migrations (version integer PRIMARY KEY)"
            )

        for number, script in enumerate(scripts[version:], version + 1):
            await connection.execute(script)
            await connection.execute("INSERT INTO sidelog.migrations (version) VALUES ($1)", number)

    return len(scripts)


async def check_layout(connection: Connection) -> int:
    """Return the layout's version without changing anything.

    Raises:
        SchemaTooNew: A newer program wrote it.
        SchemaTooOld: An older one did, or the database was never used.
    """
    newest = len(migrations())
    async with transaction(connection, "BEGIN READ ONLY"):
        version = await read_version(connection)
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

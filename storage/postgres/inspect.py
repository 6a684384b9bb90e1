"""Inspection of a database that changes nothing in it, for `sidelog doctor`."""

from dataclasses import dataclass

from storage.postgres.connection import (
    Address,
    close,
    connect,
    find_statement_cache_size,
    transaction,
    translated,
)
from storage.postgres.schema import migrations, read_version


@dataclass(frozen=True, slots=True)
class Inspection:
    """Version, layout and state of a database."""

    server_version: str
    encoding: str
    layout: int
    """0 if sidelog has never used the database."""
    newest_layout: int
    """The layout to which this program migrates it."""
    is_pooled: bool
    """True if the connection goes through a pooler, so that statements cannot stay prepared."""
    may_create: bool
    """True if the schema exists, or this user may create it."""
    is_read_only: bool
    """True if the server is a replica, or was made read-only, for example by a provider whose disk
    is nearly full.
    """
    clock_s: float
    """The server's clock, Unix seconds."""


async def inspect(address: Address) -> Inspection:
    """Connect to a database and inspect it.

    Raises:
        StorageUnavailable: It cannot be reached, or refuses the user.
    """
    with translated():
        connection = await connect(address, statement_cache_size=0)
        try:
            is_pooled = await find_statement_cache_size(connection, address) == 0
            async with transaction(connection, "BEGIN READ ONLY"):
                [row] = await connection.fetch(
                    "SELECT current_setting('server_version') AS version, "
                    "pg_encoding_to_char(encoding) AS encoding, "
                    "pg_is_in_recovery() OR "
                    "current_setting('default_transaction_read_only')::boolean AS is_read_only, "
                    "extract(epoch FROM clock_timestamp())::float8 AS clock_s, "
                    "to_regnamespace('sidelog') IS NOT NULL "
                    "OR has_database_privilege(current_database(), 'CREATE') AS may_create "
                    "FROM pg_database WHERE datname = current_database()"
                )
                layout = await read_version(connection)
        finally:
            await close(connection)

    return Inspection(
        server_version=row["version"],
        encoding=row["encoding"],
        layout=layout,
        newest_layout=len(migrations()),
        is_pooled=is_pooled,
        may_create=row["may_create"],
        is_read_only=row["is_read_only"],
        clock_s=row["clock_s"],
    )

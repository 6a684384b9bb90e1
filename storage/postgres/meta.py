"""Values that belong to the store as a whole, as text, in the table `meta`."""

from storage.postgres.connection import Connection
from storage.postgres.text import escape, unescape


async def read_meta(connection: Connection, name: str) -> str | None:
    """Read one value; None when there is none."""
    value = await connection.fetchval("SELECT value FROM sidelog.meta WHERE name = $1", escape(name))
    return None if value is None else unescape(value)


async def put_meta(connection: Connection, name: str, value: str, *, replace: bool) -> str:
    """Keep one value, unless there is one and it shall not be replaced; answers what is kept."""
    conflict = "DO UPDATE SET value = excluded.value" if replace else "DO NOTHING"
    await connection.execute(
        f"INSERT INTO sidelog.meta (name, value) VALUES ($1, $2) ON CONFLICT (name) {conflict}",  # noqa: S608 - two literals
        escape(name),
        escape(value),
    )
    kept = await read_meta(connection, name)
    assert kept is not None
    return kept

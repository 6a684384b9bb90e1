"""Postgres connections that reconnect by themselves, with the driver's errors translated to storage
errors.

Strategy: everything runs in transactions. Each is opened together with its settings in one round
trip (`SET LOCAL`), so that no state is left in a session: a pooler in transaction mode may run the
next transaction in a different session. A connection is opened on demand, and again after it broke.
Every connection escapes text and takes ids as bytes, so that callers convert neither.

Invariant: after a failed or cancelled transaction, its connection is idle again or closed.
"""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlencode

import asyncpg

from storage.errors import StorageRejected, StorageUnavailable
from storage.postgres.text import decode, encode
from storage.relational.by_id import ID_BYTES
from storage.relational.session import ReadBudget

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Begins a transaction that writes. It must see the rows that it waited for, so it does not use the
default isolation level of the database.
"""
CONNECT_S: Final = 5.0
MAX_IDLE_S: Final = 120.0
"""Idle time after which a connection is reopened: firewalls silently drop those idle for four
minutes, and a query over a dropped one would wait for its time limit.
"""
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")
_ABANDON_S: Final = 2.0
_CLOSE_S: Final = 2.0
_STATEMENTS: Final = 200
"""Statements kept prepared: all of a store, with room for filters of many shapes."""
_LEAST_LIMIT_MS: Final = 250
"""Shorter limits are lifted after their statement; lifting all would cost a round trip each."""
_VALUE_CLASSES: Final = ("22", "23")
"""Data exceptions and integrity violations: the value's fault (SQLSTATE, first two characters)."""
_TOO_COMPLEX: Final = "54000"
"""Program limit exceeded: a value is too large for the server."""
_SEQUENCE_USED_UP: Final = "2200H"
"""In the class of data exceptions, but not the fault of a value."""
_NUMBERED_BY_SERVER: Final = ("dictionary_pkey", "blocks_", "tool_calls_pkey")
"""Constraints on numbers from a sequence. They fail if the sequence was set back, for example by
logical replication: that does not copy sequences.
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a database."""

    dsn: str
    """URL in the driver's form, credentials included."""
    location: str
    """For messages: host, port and database, without credentials."""
    statement_cache_size: int | None
    """Statements kept prepared on a connection, 0 behind a pooler in transaction mode; None:
    detect.
    """

    @classmethod
    def of(cls, url: SplitResult) -> "Address":
        """Return the address for a store's URL, already validated: the driver's own options, and
        `statement_cache_size`.
        """
        options = dict(parse_qsl(url.query))
        size = options.pop("statement_cache_size", None)
        host = url.netloc.rpartition("@")[2] or options.get("host", "localhost")
        return cls(
            # The driver parses it as libpq does: several hosts, sockets, certificates, PGPASSWORD
            # and .pgpass.
            dsn=url._replace(query=urlencode(options)).geturl(),
            location=f"{host}{url.path}",
            statement_cache_size=None if size is None else int(size),
        )


async def connect(address: Address, *, statement_cache_size: int) -> Connection:
    """Open a connection; the caller closes it."""
    connection = await asyncpg.connect(
        address.dsn,
        timeout=CONNECT_S,
        statement_cache_size=statement_cache_size,
        server_settings={"application_name": "sidelog"},
    )
    try:
        async with asyncio.timeout(CONNECT_S):
            await set_codecs(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def set_codecs(connection: Connection) -> None:
    """Make a connection convert text as `storage.postgres.text` does, and ids from and to 16 bytes."""
    # The driver has a form of its own for `text[]`: statements say `varchar[]`.
    codecs = (("text", encode, decode), ("varchar", encode, decode), ("uuid", _checked_id, bytes))
    # The driver asks the server for the types, in one transaction because a pooler lends a session
    # only for that long.
    async with transaction(connection, "BEGIN READ ONLY"):
        for name, encoder, decoder in codecs:
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=encoder, decoder=decoder, format="binary"
            )


def _checked_id(value: bytes) -> bytes:
    # The server would report a shorter one as a protocol error, not as a wrong value.
    if len(value) != ID_BYTES:
        raise ValueError(f"an id has {ID_BYTES} bytes, not {len(value)}")
    return value


async def find_statement_cache_size(connection: Connection, address: Address) -> int:
    """Return how many statements may be kept prepared: 0 behind a pooler.

    A pooler is recognised by the process id that it sends at connect time: it differs from the
    server's own.
    """
    if address.statement_cache_size is not None:
        return address.statement_cache_size
    async with transaction(connection, "BEGIN READ ONLY"):
        process_id = await connection.fetchval("SELECT pg_backend_pid()")
    if process_id == connection.get_server_pid():
        return _STATEMENTS

    return 0


@asynccontextmanager
async def transaction(connection: Connection, begin: str) -> AsyncIterator[Connection]:
    """Run a transaction that starts with the text `begin`; it is rolled back when the body fails."""
    try:
        await connection.execute(begin)
        yield connection
        await connection.execute("COMMIT")
    except BaseException:
        await abandon(connection)
        raise


async def abandon(connection: Connection) -> None:
    """Roll back the open transaction of a connection; if that fails, close the connection."""
    async with _terminating(connection, _ABANDON_S):
        # After a cancellation the driver first waits until the server has acknowledged it.
        await connection.execute("ROLLBACK")


async def close(connection: Connection) -> None:
    async with _terminating(connection, _CLOSE_S):
        await connection.close()


@asynccontextmanager
async def _terminating(connection: Connection, timeout_s: float) -> AsyncIterator[None]:
    """Terminate a connection if the body fails or runs out of time."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise


class Link:
    """A connection that is opened on demand, and again after it broke. Used by one caller at a
    time.
    """

    def __init__(
        self, address: Address, statement_cache_size: int, on_connect: Callable[[], object]
    ) -> None:
        """Make a link that is not connected.

        `on_connect` is called after each connect, to forget data cached over an older connection: a
        replica without the newest commits may have replaced the server.
        """
        self._address = address
        self._statement_cache_size = statement_cache_size
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._used_at_s = -math.inf
        self.is_closed = False

    async def open(self) -> Connection:
        """Return an open connection; raises the driver's errors."""
        if self.is_closed:
            raise StorageUnavailable("the store is closed")
        if time.monotonic() - self._used_at_s > MAX_IDLE_S:
            self.drop()
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._address, statement_cache_size=self._statement_cache_size
            )
            self._on_connect()

        self._used_at_s = time.monotonic()
        return self._connection

    def expire(self) -> None:
        """Reconnect before the next use, as the address may resolve to another server by now."""
        self._used_at_s = -math.inf

    def drop(self) -> None:
        """Close the connection without the protocol's goodbye, as the server may not answer."""
        if self._connection is not None:
            self._connection.terminate()

    async def close(self) -> None:
        self.is_closed = True
        connection = self._connection
        self._connection = None
        if connection is not None and not connection.is_closed():
            await close(connection)


@contextmanager
def translated() -> Iterator[None]:
    """Translate exceptions of the driver, and of encoding values, to storage errors."""
    try:
        yield
    except asyncpg.PostgresError as error:
        message = error.args[0]  # without the server's detail: it may be a row
        if _is_about_a_value(error.sqlstate, error.constraint_name):
            raise StorageRejected(f"postgres refused a value: {message}") from error
        raise StorageUnavailable(f"postgres: {message}") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # A refused certificate is both an OSError and a ValueError, and not the fault of a value.
        if isinstance(error, ValueError) and not isinstance(
            error, asyncpg.ClientConfigurationError | OSError
        ):
            raise StorageRejected(f"a value cannot be stored: {error}") from error
        # A timeout has no text of its own.
        reason = _ERRNO.sub("", str(error)) or "no answer in time"
        raise StorageUnavailable(f"postgres: {reason}") from error
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise StorageRejected(f"a value cannot be stored: {error!r}") from error


def _is_about_a_value(sqlstate: str | None, constraint: str | None) -> bool:
    if sqlstate is None or sqlstate == _SEQUENCE_USED_UP:
        return False
    if (constraint or "").startswith(_NUMBERED_BY_SERVER):
        return False
    return sqlstate[:2] in _VALUE_CLASSES or sqlstate == _TOO_COMPLEX


class _Limit:
    """The statement limit that budgets have set in a transaction, in ms; None: the transaction's
    own limit applies.
    """

    ms: int | None = None


class Budget(ReadBudget):
    """Time budget of a read within a transaction.

    The server limits each statement to the rest of the budget when the limit was set. Setting it
    costs a round trip, and a search has hundreds of statements, so it is only set again once a
    fifth of it has passed. Lifting it for a query outside the budget would also cost a round trip;
    instead, a query that the limit ended is run again without it.
    """

    def __init__(self, seconds: float, limit: _Limit | None = None) -> None:
        super().__init__(seconds)
        self._limit = limit or _Limit()

    def another(self, seconds: float) -> Self:
        return type(self)(seconds, self._limit)

    async def fetch(
        self,
        connection: Connection,
        sql: str,
        parameters: tuple[Any, ...],
        *,
        is_part: bool = False,
    ) -> list[asyncpg.Record] | None:
        """Run a query and fetch all rows; None if the budget ended it."""
        if self.begin_query(is_part=is_part):
            return await self.fetch_whole(connection, sql, parameters)
        rest_ms = int(self.rest_s * 1000)
        limit = self._limit
        if rest_ms <= 0:
            return None

        if limit.ms is None or not limit.ms >= rest_ms >= max(limit.ms * 4 // 5, _LEAST_LIMIT_MS):
            if limit.ms is None:
                before = "SAVEPOINT slice"
            else:
                before = "ROLLBACK TO SAVEPOINT slice"
            await connection.execute(f"{before}; SET LOCAL statement_timeout = {rest_ms}")
            limit.ms = rest_ms

        rows = None
        with suppress(asyncpg.QueryCanceledError):
            rows = await connection.fetch(sql, *parameters)
        if rows is None or limit.ms < _LEAST_LIMIT_MS:
            # So short a limit would also end queries outside the budget.
            await self._lift(connection)
        return rows

    async def fetch_whole(
        self, connection: Connection, sql: str, parameters: tuple[Any, ...]
    ) -> list[asyncpg.Record]:
        """Run a query outside the budget, and fetch all rows."""
        try:
            return await connection.fetch(sql, *parameters)
        except asyncpg.QueryCanceledError:
            if self._limit.ms is None:
                raise

        await self._lift(connection)
        return await connection.fetch(sql, *parameters)

    async def _lift(self, connection: Connection) -> None:
        await connection.execute("ROLLBACK TO SAVEPOINT slice")
        self._limit.ms = None

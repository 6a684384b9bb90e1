"""Send statements to ClickHouse servers over HTTP. The only module of `storage` that uses an HTTP
client (aiohttp).

Strategy: the host of an address that answered last is asked first. If no connection can be made,
the next one is tried. A statement that was sent is never sent again here, because its outcome is
unknown, but the next statement after a failure goes to another host. The server holds back its
answer until it is complete (`wait_end_of_query`), so the status tells how the statement ended. In a
cluster the table `records` covers all shards; a link to one shard replaces this name in statements,
not in values, with that of the shard's own table.

Invariant: every statement has a time limit, on the server and here, and its answer a size limit.
Errors are those of `storage.clickhouse.wire.answers`. No session is used on the server, so
statements share nothing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, TypedDict, TypeVar

import aiohttp

from storage.clickhouse.wire.address import Address
from storage.clickhouse.wire.answers import Away, error_of
from storage.clickhouse.wire.literals import identifier, render
from storage.clickhouse.wire.native import (
    Column,
    NotNative,
    Written,
    block_of,
    read_blocks,
    write_columns,
)
from storage.errors import StorageError, StorageRejected, StorageUnavailable

LIMIT_S: Final = 10.0
"""Time limit of a statement unless another is given, and of other waits for the server."""
CONNECT_S: Final = 5.0
GRACE_S: Final = 2.0
"""Time added to the server's limit when waiting for an answer."""
MAX_ANSWER_BYTES: Final = 256 << 20
_MAX_STATEMENT_BYTES: Final = 256 << 20
_MAX_CONNECTIONS: Final = 8
_IDLE_S: Final = 2.0
"""Idle time after which a connection is closed. Servers close theirs after 3 s and more, and a
statement sent at that moment is lost.
"""
_PIECE_BYTES: Final = 1 << 20
_OK: Final = 200
RECORDS: Final = "records"
_RECORDS: Final = re.compile(rf"\b{RECORDS}\b")

Row = tuple[Any, ...]
S = TypeVar("S")
T = TypeVar("T")


@contextmanager
def refusing() -> Iterator[None]:
    """Turn errors of encoding values into `StorageRejected`, while rows are written."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise StorageRejected(f"a value cannot be stored: {error!r}") from error


async def at_once(work: Callable[[S], Awaitable[T]], things: Iterable[S]) -> list[T]:
    """Run a function on several things concurrently.

    Raises:
        StorageError: One of the calls failed; all have ended.
    """

    async def attempt(thing: S) -> T | StorageError:
        try:
            return await work(thing)
        except StorageError as error:
            return error

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(attempt(thing), name="at_once") for thing in things]
    done: list[T] = []
    for result in [task.result() for task in running]:
        if isinstance(result, StorageError):
            raise result
        done.append(result)

    return done


class _Request(TypedDict, total=False):
    params: dict[str, str]
    data: bytes | AsyncIterator[memoryview]
    headers: dict[str, str]
    allow_redirects: bool


class Link:
    """Runs statements on a server or its replicas, any number at a time. Connections are opened on
    demand.
    """

    def __init__(
        self, address: Address, max_answer_bytes: int = MAX_ANSWER_BYTES, *, is_read_only: bool = False,
        own_records: str = RECORDS,
    ) -> None:  # fmt: skip
        """Prepare a link; if read-only, the server refuses statements that change something.

        Args:
            address: The servers, of one shard if they belong to a cluster.
            max_answer_bytes: Largest answer.
            is_read_only: Whether nothing may be changed.
            own_records: Name of the servers' own table of records.
        """
        self.address = address
        self._own_records = own_records
        self.each: list[Link] = [self]
        """One link to each replica."""

        if address.cluster and len(address.hosts) > 1:
            alone = [replace(address, hosts=(host,)) for host in address.hosts]
            self.each = [
                Link(one, max_answer_bytes, is_read_only=is_read_only, own_records=own_records)
                for one in alone
            ]

        self.is_replicated = len(self.each) > 1
        # Level 2 still accepts settings with a statement, such as its time limit.
        if is_read_only:
            self.settings = {"readonly": "2"}
        else:
            self.settings = {}
        """Settings of every statement."""
        self._max_answer_bytes = max_answer_bytes
        self.hosts = list(address.hosts)
        """Hosts in the order in which they are tried."""
        self._client: aiohttp.ClientSession | None = None
        self.is_closed = False

    async def fetch(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        limit_s: float = LIMIT_S,
        settings: dict[str, str] | None = None,
    ) -> list[Row]:
        """Run a query and return its rows.

        Args:
            sql: Without a format; see `storage.clickhouse.wire.literals.render`.
            parameters: Parameters of the query.
            limit_s: Time limit.
            settings: Further settings of the server for the query.

        Raises:
            StorageUnavailable: It can be tried again; `answers.OutOfTime`: it took too long.
            StorageRejected: A parameter has no literal, or the server refuses it.
        """
        answer = await self._post(
            f"{self._rendered(sql, parameters)} FORMAT Native", b"", limit_s, settings
        )
        try:
            return read_blocks(answer)[1]
        except NotNative as error:
            raise StorageUnavailable(f"clickhouse: {error}") from error

    async def fetch_each(self, sql: str, parameters: Sequence[Any] = ()) -> list[list[Row] | None]:
        """Run a query on each replica; None for those without a connection."""

        async def ask(link: Link) -> list[Row] | None:
            with suppress(Away):
                return await link.fetch(sql, parameters)
            return None

        return await at_once(ask, self.each)

    @property
    def current(self) -> "Link":
        """Link to the replica in use."""
        if self.hosts:
            return self.to(self.hosts[0])
        return self

    def to(self, host: str) -> "Link":
        """Return the link to the replica with this host; without replicas, return this link."""
        return next((link for link in self.each if link.hosts == [host]), self)

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        limit_s: float = LIMIT_S,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Run a statement without an answer; see `fetch`. After an error it is unknown whether it
        ran.
        """
        await self._post(self._rendered(sql, parameters), b"", limit_s, settings)

    async def insert(
        self,
        table: str,
        columns: Sequence[Column],
        *,
        limit_s: float = LIMIT_S,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Insert rows, given as columns with the types of the table; see `execute`.

        Raises:
            StorageRejected: A value does not fit its column: nothing was sent.
        """
        with refusing():
            written = write_columns(columns)
        await self.send(table, written, limit_s=limit_s, settings=settings)

    async def send(
        self,
        table: str,
        *parts: Written,
        limit_s: float = LIMIT_S,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Insert one block of encoded columns; see `execute`."""
        names = ", ".join(identifier(name) for part in parts for name in part.names)
        sql = self._rendered(f"INSERT INTO {table} ({names}) FORMAT Native", ())
        await self._post(sql, block_of(*parts), limit_s, settings)

    async def close(self) -> None:
        """Close all connections. Running statements are abandoned here, and continue on the server."""
        self.is_closed = True
        client = self._client
        self._client = None
        if client is not None:
            await client.close()
        for link in self.each:
            if link is not self:
                await link.close()

    async def _post(
        self, sql: str, data: bytes, limit_s: float, settings: dict[str, str] | None
    ) -> bytes:
        if self.is_closed:
            raise StorageUnavailable("the store is closed")
        parameters = {
            "database": self.address.database,
            "wait_end_of_query": "1",
            "max_execution_time": str(max(1, round(limit_s))),
            "max_query_size": str(_MAX_STATEMENT_BYTES),
            **self.settings,
            **(settings or {}),
        }
        body = sql.encode()
        if data:
            parameters["query"], body = sql, data
        reasons = []
        for host in list(self.hosts):
            try:
                answer = await self._answer(host, parameters, body, limit_s)
            except Away as error:
                reasons.append(str(error))
                continue
            except StorageUnavailable as error:
                # Subclasses report a problem with a table or a statement; the plain class may be
                # the host's fault.
                if type(error) is StorageUnavailable and self.hosts[0] == host:
                    self.hosts = [*self.hosts[1:], host]
                raise

            self.prefer(host)
            return answer

        raise Away(
            f"clickhouse: {'; '.join(reasons) or f'no host of this shard of {self.address.cluster} is known'}"
        )

    async def _answer(
        self, host: str, parameters: dict[str, str], body: bytes, limit_s: float
    ) -> bytes:
        try:
            async with asyncio.timeout(limit_s + GRACE_S):
                return await self._ask(host, parameters, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Away(f"{host}: {error}") from error
        except TimeoutError as error:
            raise StorageUnavailable(
                f"clickhouse: no answer from {host} within {limit_s + GRACE_S:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise StorageUnavailable(
                f"clickhouse: {host}: {str(error) or type(error).__name__}"
            ) from error

    async def _ask(self, host: str, parameters: dict[str, str], body: bytes) -> bytes:
        async with self._opened().post(host, **_request(parameters, body)) as response:
            answer = bytearray()
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                answer += piece
                if len(answer) > self._max_answer_bytes:
                    raise StorageUnavailable(
                        f"clickhouse: an answer is larger than {self._max_answer_bytes} bytes"
                    )

            if response.status != _OK:
                raise error_of(bytes(answer), response.status)

            return bytes(answer)

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                # Use the system's resolver: aiohttp's own starts a thread that never ends.
                connector=aiohttp.TCPConnector(
                    resolver=aiohttp.ThreadedResolver(),
                    limit=_MAX_CONNECTIONS,
                    keepalive_timeout=_IDLE_S,
                ),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
                headers={
                    "X-ClickHouse-User": self.address.user,
                    "X-ClickHouse-Key": self.address.password,
                    # Otherwise a profile of the server may compress answers.
                    "Accept-Encoding": "identity",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )

        return self._client

    def prefer(self, host: str) -> None:
        """Send the next queries to this replica first, until another one is preferred."""
        if self.hosts[0] != host:
            self.hosts = [host, *(other for other in self.hosts if other != host)]

    def _rendered(self, sql: str, parameters: Sequence[Any]) -> str:
        try:
            return render(_RECORDS.sub(self._own_records, sql), parameters)
        except (ValueError, TypeError) as error:
            raise StorageRejected(f"a value cannot be stored: {error}") from error


def _request(parameters: dict[str, str], body: bytes) -> _Request:
    request: _Request = {"params": parameters, "data": body, "allow_redirects": False}
    if len(body) > _PIECE_BYTES:
        # Sending a large body in one piece would block the loop.
        request["data"] = _pieces(body)
        request["headers"] = {"Content-Length": str(len(body))}
    return request


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield memoryview(body)[start : start + _PIECE_BYTES]

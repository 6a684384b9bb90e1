"""Statements to a ClickHouse server over HTTP, by aiohttp: the one place of `storage` that knows an HTTP client.

Strategy: of the hosts of an address the one that answered last is asked. Where no connection can be made the next one
is tried; a statement that was sent is never sent again here, because nobody knows what became of it. The server holds
an answer back until it is whole (`wait_end_of_query`), so a status says how the statement ended.

Invariant: every statement has an end, on the server and here, and the answer's size a bound. Errors are those of
`storage.clickhouse.answers`. No session is used on the server: two statements share nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, TypedDict, TypeVar

import aiohttp

from storage.clickhouse.address import Address
from storage.clickhouse.answers import NotThere, error_of
from storage.clickhouse.literals import identifier, render
from storage.clickhouse.native import Column, NotNative, Written, block_of, read_blocks, write_columns
from storage.errors import StorageRejected, StorageUnavailable

LIMIT_S: Final = 10.0
"""Of a statement that sidelog needs for itself, and of other waits for the server."""
CONNECT_S: Final = 5.0
GRACE_S: Final = 2.0
"""How much longer than the server's limit an answer is waited for."""
MAX_ANSWER_BYTES: Final = 256 << 20
_MAX_STATEMENT_BYTES: Final = 256 << 20
_MAX_CONNECTIONS: Final = 8
_IDLE_S: Final = 2.0
"""Servers end idle connections after 3 s and more: a statement that meets the end is lost."""
_PIECE_BYTES: Final = 1 << 20
_OK: Final = 200
_TRIES: Final = 6

T = TypeVar("T")
Row = tuple[Any, ...]
Block = Sequence[Written]
"""Columns of as many rows, side by side."""


class Needed(NamedTuple):
    """Rows that what is committed next relies on, wherever it is read."""

    table: str
    key: str
    """A column."""
    values: Sequence[int]
    """All that have to be there."""


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse values that no column can hold, while rows are written."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise StorageRejected(f"a value cannot be stored: {error!r}") from error


class _Request(TypedDict, total=False):
    params: dict[str, str]
    data: bytes | AsyncIterator[memoryview]
    headers: dict[str, str]
    allow_redirects: bool


class Link:
    """Runs statements, any number at a time. Opens connections when it needs them."""

    def __init__(
        self, address: Address, max_answer_bytes: int = MAX_ANSWER_BYTES, *, is_read_only: bool = False
    ) -> None:
        """Prepare one; read-only, the server refuses statements that change something."""
        self.address = address
        # 2 still takes settings with a statement, such as its limit of time.
        self._settings = {"readonly": "2"} if is_read_only else {}
        if address.cluster:
            # What is inserted twice is there twice, as in tables that are not replicated.
            self._settings["insert_deduplicate"] = "0"
        self._max_answer_bytes = max_answer_bytes
        self.hosts = list(address.hosts)
        """In the order in which they are asked."""
        self._client: aiohttp.ClientSession | None = None
        self.is_closed = False

    async def fetch(
        self, sql: str, parameters: Sequence[Any] = (), *, limit_s: float, settings: dict[str, str] | None = None
    ) -> list[Row]:
        """Run a query and return its rows.

        Args:
            sql: Without a format; see `storage.clickhouse.literals.render`.
            parameters: Its parameters.
            limit_s: How long it may take.
            settings: Further settings of the server for it.

        Raises:
            StorageUnavailable: It can be tried again; `answers.OutOfTime`: it took too long.
            StorageRejected: A parameter has no literal, or the server does not take it.
        """
        answer = await self._post(f"{_rendered(sql, parameters)} FORMAT Native", b"", limit_s, settings or {})
        try:
            return read_blocks(answer)[1]
        except NotNative as error:
            raise StorageUnavailable(f"clickhouse: {error}") from error

    async def execute(
        self, sql: str, parameters: Sequence[Any] = (), *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """Run a statement without an answer; see `fetch`. After an error nobody knows whether it ran."""
        await self._post(_rendered(sql, parameters), b"", limit_s, settings or {})

    async def insert(
        self, table: str, columns: Sequence[Column], *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """Insert rows, as columns of the types of the table; see `execute`.

        Raises:
            StorageRejected: A value does not fit its column: nothing was sent.
        """
        with refusing():
            written = write_columns(columns)
        await self.send(table, [[written]], limit_s=limit_s, settings=settings)

    async def send(
        self, table: str, blocks: Sequence[Block], *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """Insert blocks of the same columns, which are written already; see `execute`."""
        names = ", ".join(identifier(name) for part in blocks[0] for name in part.names)
        data = b"".join([block_of(*parts) for parts in blocks]) if len(blocks) > 1 else block_of(*blocks[0])
        await self._post(f"INSERT INTO {table} ({names}) FORMAT Native", data, limit_s, settings or {})

    def everywhere(self) -> Sequence["Link"]:
        """Return links to all servers that have the tables."""
        return [self]

    @property
    def needed(self) -> Sequence[Needed]:
        """What `expect` noted, and no commit has relied on so far."""
        return ()

    def expect(self, table: str, key: str, values: Sequence[int]) -> None:
        """Note that the next commit needs rows with some values: one server has what it has."""

    def forget(self, needed: Collection[Needed]) -> None:
        """Note that a commit has relied on it."""

    def begin_attempt(self, needed: Sequence[Needed] = ()) -> None:
        """Note that nothing was inserted yet for the next commit.

        Args:
            needed: What it needs besides, because batches of others are committed with it.
        """

    async def close(self) -> None:
        """Give back all connections; what is running is ended here, not on the server."""
        self.is_closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _post(self, sql: str, data: bytes, limit_s: float, settings: dict[str, str]) -> bytes:
        if self.is_closed:
            raise StorageUnavailable("the store is closed")
        parameters = {
            "database": self.address.database,
            "wait_end_of_query": "1",
            "max_execution_time": str(max(1, round(limit_s))),
            "max_query_size": str(_MAX_STATEMENT_BYTES),
            **self._settings,
            **settings,
        }
        body = sql.encode()
        if data:
            parameters["query"], body = sql, data
        reasons = []
        for host in self._tried():
            try:
                async with asyncio.timeout(limit_s + GRACE_S):
                    answer = await self._ask(host, parameters, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                reasons.append(f"{host}: {error}")
                continue
            except TimeoutError as error:
                raise StorageUnavailable(f"clickhouse: no answer from {host} within {limit_s + GRACE_S:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise StorageUnavailable(f"clickhouse: {host}: {str(error) or type(error).__name__}") from error
            self._prefer(host)
            return answer
        raise StorageUnavailable(f"clickhouse: {'; '.join(reasons)}")

    async def _ask(self, host: str, parameters: dict[str, str], body: bytes) -> bytes:
        async with self._opened().post(host, **_request(parameters, body)) as response:
            answer = bytearray()
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                answer += piece
                if len(answer) > self._max_answer_bytes:
                    raise StorageUnavailable(f"clickhouse: an answer is larger than {self._max_answer_bytes} bytes")
            if response.status != _OK:
                raise error_of(bytes(answer), response.status)
            return bytes(answer)

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                # The system's resolver: the other one starts a thread that nobody ends.
                connector=aiohttp.TCPConnector(
                    resolver=aiohttp.ThreadedResolver(), limit=_MAX_CONNECTIONS, keepalive_timeout=_IDLE_S
                ),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
                headers={"X-ClickHouse-User": self.address.user, "X-ClickHouse-Key": self.address.password},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._client

    def _tried(self) -> list[str]:
        """Choose the hosts that a statement is sent to, in turn."""
        return list(self.hosts)

    def _prefer(self, host: str) -> None:
        if self.hosts[0] != host:
            self.hosts = [host, *(other for other in self.hosts if other != host)]


async def over_tables(run: Callable[[], Awaitable[T]]) -> T:
    """Run a statement that reads `system.tables`, again where a table is dropped meanwhile.

    Version 18 then refuses the statement as a whole: it has done nothing.
    """
    for _ in range(_TRIES - 1):
        with suppress(NotThere):
            return await run()
    return await run()


def _request(parameters: dict[str, str], body: bytes) -> _Request:
    request: _Request = {"params": parameters, "data": body, "allow_redirects": False}
    if len(body) > _PIECE_BYTES:
        # In one piece it would hold up the loop.
        request["data"] = _pieces(body)
        request["headers"] = {"Content-Length": str(len(body))}
    return request


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield memoryview(body)[start : start + _PIECE_BYTES]


def _rendered(sql: str, parameters: Sequence[Any]) -> str:
    try:
        return render(sql, parameters)
    except (ValueError, TypeError) as error:
        raise StorageRejected(f"a value cannot be stored: {error}") from error

"""The backends the conformance suite runs over: how to open each, again and again at the same
place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import pytest
from _pytest.mark.structures import ParameterSet

from storage.base import Storage
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.address import Address as ClickhouseAddress
from storage.postgres.connection import Address
from storage.postgres.store import PostgresStorage
from storage.sqlite.store import SqliteStorage
from tests.support import clickhouse, clickhouse_cluster, postgres
from tests.support.long import long
from tests.support.memory_store import MemoryStorage
from tests.support.sparse_store import SparseStorage

READ_BUDGET_S: Final = 60.0
"""Answers are complete, however busy the machine is; what a short budget does is tested with each
store.
"""


ORDER_DELAY_MS: Final = 200
"""Of ClickHouse: what is slower is refused and comes again, so it is short to wait for and no
matter of luck.
"""


class Open(Protocol):
    """Opens the store that belongs to a directory."""

    async def __call__(self, directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend under test."""

    name: str
    open: Open
    is_durable: bool
    """Whether it is still there when it is opened again."""
    has_text_index: bool = True
    """Whether it makes an index of words of its own."""
    has_cells: bool = True
    """Whether cells are in that before there are enough for a segment."""

    is_dense: bool = True
    """Whether numbers have no gaps between batches, and the cap takes as many records as it is
    asked to.
    """

    @property
    def kind(self) -> str:
        """What the store says it is."""
        return self.name.partition("-")[0]


async def _model(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    return MemoryStorage()


async def _memory(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    return await SqliteStorage.open(None, read_budget_s=read_budget_s)


async def _sqlite(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    return await SqliteStorage.open(
        directory / "records.db",
        durability="fast",
        busy_timeout_s=60.0,
        read_budget_s=read_budget_s,
    )


async def _sparse(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    return await SparseStorage.open(
        directory / "records.db",
        durability="fast",
        busy_timeout_s=60.0,
        read_budget_s=read_budget_s,
    )


async def _postgres(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    address = Address.of(urlsplit(await postgres.database(directory)))
    return await PostgresStorage.open(address, durability="fast", read_budget_s=read_budget_s)


async def _clickhouse(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    address = ClickhouseAddress.of(urlsplit(clickhouse.url("debian", directory)))
    return await ClickhouseStorage.open(
        address, read_budget_s=read_budget_s, order_delay_ms=ORDER_DELAY_MS
    )


async def _chdb(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    address = ClickhouseAddress.of(urlsplit(clickhouse.url("chdb", directory)))
    return await ClickhouseStorage.open(
        address, read_budget_s=read_budget_s, order_delay_ms=ORDER_DELAY_MS
    )


async def _cluster(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    address = ClickhouseAddress.of(urlsplit(clickhouse_cluster.url(directory)))
    return await ClickhouseStorage.open(
        address, read_budget_s=read_budget_s, order_delay_ms=ORDER_DELAY_MS
    )


async def _shards(directory: Path, read_budget_s: float = READ_BUDGET_S) -> Storage:
    address = ClickhouseAddress.of(
        urlsplit(clickhouse_cluster.url(directory, clickhouse_cluster.SHARDS))
    )
    return await ClickhouseStorage.open(
        address, read_budget_s=read_budget_s, order_delay_ms=ORDER_DELAY_MS
    )


BACKENDS = (
    Backend("model", _model, is_durable=False, has_text_index=False, has_cells=False),
    Backend("memory", _memory, is_durable=False),
    Backend("sqlite", _sqlite, is_durable=True),
    Backend(
        "sqlite-sparse",
        _sparse,
        is_durable=True,
        has_text_index=False,
        has_cells=False,
        is_dense=False,
    ),
    Backend("postgres", _postgres, is_durable=True),
    Backend(
        "clickhouse",
        _clickhouse,
        is_durable=True,
        has_text_index=False,
        has_cells=False,
        is_dense=False,
    ),
    Backend(
        "clickhouse-chdb",
        _chdb,
        is_durable=True,
        has_text_index=False,
        has_cells=False,
        is_dense=False,
    ),
    Backend(
        "clickhouse-cluster",
        _cluster,
        is_durable=True,
        has_text_index=False,
        has_cells=False,
        is_dense=False,
    ),
    Backend(
        "clickhouse-shards",
        _shards,
        is_durable=True,
        has_text_index=False,
        has_cells=False,
        is_dense=False,
    ),
)


def usual(
    is_meant: Callable[[Backend], bool] = lambda backend: True,
) -> list[Backend | ParameterSet]:
    """List those that are meant; the memory is SQLite's, and asked everything by `make long` only."""
    return [
        long(backend) if backend.name == "memory" else backend
        for backend in BACKENDS
        if is_meant(backend)
    ]


USUAL = usual()
DENSE = usual(lambda backend: backend.is_dense)
CAPPED = usual(lambda backend: backend.is_dense or backend.kind == "clickhouse")
"""Those that the cap is for: SQLite counts on having no gaps."""
JUDGED = USUAL[1:]
"""Those with figures and searches of their own: the model would be judged by itself."""


def backend_of(item: pytest.Item) -> Backend | None:
    """Return the backend that a test runs over, if it is one of the contract."""
    call = getattr(item, "callspec", None)
    values = () if call is None else call.params.values()
    return next((value for value in values if isinstance(value, Backend)), None)

"""The backends the conformance suite runs over: how to open each, again and again at the same place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from storage.base import Storage
from storage.postgres.connection import Address
from storage.postgres.store import PostgresStorage
from storage.sqlite.store import SqliteStorage
from tests.support import postgres
from tests.support.memory_store import MemoryStorage
from tests.support.wide import wide

READ_BUDGET_S: Final = 60.0
"""Answers are complete, however busy the machine is; what a short budget does is tested with each store."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend under test."""

    name: str
    open: Callable[[Path], Awaitable[Storage]]
    """Opens the store that belongs to a directory."""
    is_durable: bool
    """Whether it is still there when it is opened again."""


async def _model(directory: Path) -> Storage:
    return MemoryStorage()


async def _memory(directory: Path) -> Storage:
    return await SqliteStorage.open(None, read_budget_s=READ_BUDGET_S)


async def _sqlite(directory: Path) -> Storage:
    return await SqliteStorage.open(directory / "records.db", durability="fast", read_budget_s=READ_BUDGET_S)


async def _postgres(directory: Path) -> Storage:
    address = Address.of(urlsplit(await postgres.database(directory)))
    return await PostgresStorage.open(address, durability="fast", read_budget_s=READ_BUDGET_S)


BACKENDS = (
    Backend("model", _model, is_durable=False),
    Backend("memory", _memory, is_durable=False),
    Backend("sqlite", _sqlite, is_durable=True),
    Backend("postgres", _postgres, is_durable=True),
)

JUDGED = tuple(wide(backend) if backend.name == "memory" else backend for backend in BACKENDS[1:])
"""Those with figures and searches of their own: the model would be judged by itself, and the memory is SQLite's."""

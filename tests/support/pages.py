"""A store that answers queries of records another way."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from storage.base import Storage
from storage.query import Page, Query, RecordQuery


def answer_pages(
    monkeypatch: pytest.MonkeyPatch,
    storage: Storage,
    answer: Callable[[RecordQuery], Awaitable[Page]],
) -> None:
    """Answer them so, and all others as before."""
    read = storage.read

    async def read_otherwise(query: Query[Any]) -> Any:
        return await (answer(query) if isinstance(query, RecordQuery) else read(query))

    monkeypatch.setattr(storage, "read", read_otherwise)

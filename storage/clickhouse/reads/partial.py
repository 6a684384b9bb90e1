"""Answers without the rows of a shard that is away: said to be incomplete, or not given where they would mislead."""

from dataclasses import replace
from typing import Any, TypeVar

from storage.clickhouse.reads.session import ClickhouseSession
from storage.errors import StorageUnavailable
from storage.query import Page, RecordQuery
from storage.relational.reads.page import read_page

T = TypeVar("T")


async def followed_page(session: ClickhouseSession, query: RecordQuery) -> Page:
    """Read a page; who reads on from a place in the order of numbers waits for a shard that is away, to miss nothing.

    Raises:
        StorageUnavailable: One is.
    """
    if session.is_partial and query.order == "asc" and query.by == "seq":
        raise StorageUnavailable("clickhouse: a shard is away; who reads on from a place waits for it")
    return await read_page(session, query)


def without_a_shard(answer: T) -> T:
    """Say of an answer that it is not complete.

    Raises:
        StorageUnavailable: It is that there is none.
    """
    if answer is None:
        raise StorageUnavailable("clickhouse: a shard is away, which may have it")
    lacking: dict[str, Any] = {name: False for name in ("complete", "exact") if hasattr(answer, name)}
    return replace(answer, **lacking) if lacking else answer  # type: ignore[type-var]

"""What a server can do, and how it is written where versions differ: asked once, when a store is
opened.

Servers from 24.8 on are supported. The oldest one that tests have at hand is
`storage.clickhouse.engine.legacy`.
"""

from typing import ClassVar, Final

from storage.clickhouse.texts import TEXT_INDEX

EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01: numbers of records count milliseconds from here."""
AHEAD_MS: Final = 60_000
"""How far a number may be ahead of the server's clock."""
OLDEST_MS: Final = "toInt64(ceil(max(elapsed) * 1000))"
"""For how long the oldest of some statements has been running."""

Version = tuple[int, int]


class Server:
    """A server of a version that is supported."""

    now_ms: ClassVar[str] = f"(toUnixTimestamp64Milli(now64(3)) - {EPOCH_MS})"
    """The server's clock, milliseconds since `EPOCH_MS`."""
    clock_step_ms: ClassVar[int] = 1
    repeated: ClassVar[str] = "LowCardinality(String)"
    """The type of a column whose values repeat."""
    running_inserts: ClassVar[str] = (
        "FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase()"
    )
    has_tokens: ClassVar[bool] = True
    """Whether of inserts with the same token one at most is stored."""
    deletes_at_once: ClassVar[bool] = True
    """Whether rows that are deleted are gone from all answers before parts are written anew."""

    def __init__(self, version: Version, *, has_text_index: bool = False) -> None:
        self.version = version
        self.has_text_index = has_text_index
        """Whether an index of words answers what parts of words are in."""

    def codec(self, *names: str) -> str:
        """Write how a column is compressed."""
        return f" CODEC({', '.join((*names, 'ZSTD(1)'))})"

    def refusing_late(self, order_delay_ms: int) -> str:
        """Write what makes a table refuse rows whose number is too low or too high for the server's
        clock.
        """
        milliseconds = "bitShiftRight(seq, 12)"
        late = f"{self.now_ms} - {milliseconds} <= {order_delay_ms}"
        return f"CONSTRAINT late CHECK {late} AND {milliseconds} - {self.now_ms} <= {AHEAD_MS}"

    def once(self, token: str) -> dict[str, str]:
        """Return the settings of an insert that is stored once, however often it is sent."""
        return {"insert_deduplication_token": token, "insert_deduplicate": "1", "async_insert": "0"}

    def claim(self, token: str, replicas: str) -> str:
        """Write the table that stands for a token where there are none; `replicas` names those who
        share it.
        """
        raise AssertionError("bug: this server has tokens")

    @property
    def indexes(self) -> list[str]:
        """Write the indexes of records that let granules be left out."""
        indexes = [
            "INDEX ids id TYPE minmax GRANULARITY 1",
            "INDEX starts started_at_us TYPE minmax GRANULARITY 1",
            "INDEX weights weight TYPE minmax GRANULARITY 16",
            "INDEX traces trace_id TYPE bloom_filter(0.01) GRANULARITY 1",
        ]
        if self.has_text_index:
            return [*indexes, TEXT_INDEX]
        return indexes

    @property
    def table_settings(self) -> dict[str, int]:
        """Settings of a table into which inserts are made once."""
        return {"non_replicated_deduplication_window": 100_000}

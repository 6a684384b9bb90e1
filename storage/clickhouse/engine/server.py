"""Abilities of a server, and SQL that differs between versions. Determined once, when a store is
opened.

Servers from 24.8 on are supported. `storage.clickhouse.engine.legacy` is the oldest that tests use.
"""

from typing import ClassVar, Final

from storage.clickhouse.texts import TEXT_INDEX

EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01: numbers of records count milliseconds from here."""
AHEAD_MS: Final = 60_000
"""How far a number may be ahead of the server's clock."""
OLDEST_MS: Final = "toInt64(ceil(max(elapsed) * 1000))"
"""Running time of the oldest of some statements."""

Version = tuple[int, int]


class Server:
    """SQL of a server of a supported version."""

    now_ms: ClassVar[str] = f"(toUnixTimestamp64Milli(now64(3)) - {EPOCH_MS})"
    """The server's clock, in milliseconds since `EPOCH_MS`."""
    clock_step_ms: ClassVar[int] = 1
    repeated: ClassVar[str] = "LowCardinality(String)"
    """Type of a column with repeated values."""
    running_inserts: ClassVar[str] = (
        "FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase()"
    )
    has_tokens: ClassVar[bool] = True
    """True if at most one of several inserts with the same token is stored."""
    deletes_at_once: ClassVar[bool] = True
    """True if deleted rows leave all answers before parts are rewritten."""

    def __init__(self, version: Version, *, has_text_index: bool = False) -> None:
        self.version = version
        self.has_text_index = has_text_index
        """True if the index of words also answers for parts of words."""

    def codec(self, *names: str) -> str:
        """Return the compression clause of a column."""
        return f" CODEC({', '.join((*names, 'ZSTD(1)'))})"

    def refusing_late(self, order_delay_ms: int) -> str:
        """Return the constraint with which a table refuses rows whose number is too far from the
        server's clock.
        """
        milliseconds = "bitShiftRight(seq, 12)"
        late = f"{self.now_ms} - {milliseconds} <= {order_delay_ms}"
        return f"CONSTRAINT late CHECK {late} AND {milliseconds} - {self.now_ms} <= {AHEAD_MS}"

    def once(self, token: str) -> dict[str, str]:
        """Return the settings of an insert that is stored once, however often it is sent."""
        return {"insert_deduplication_token": token, "insert_deduplicate": "1", "async_insert": "0"}

    def claim(self, token: str, replicas: str) -> str:
        """Return the definition of a table whose creation claims a token, on a server that has no
        tokens of its own; `replicas` names the servers that share it.
        """
        raise AssertionError("bug: this server has tokens")

    @property
    def indexes(self) -> list[str]:
        """Return the definitions of the records table's indexes. With them, reads skip granules."""
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
        """Settings of a table whose inserts are stored once."""
        return {"non_replicated_deduplication_window": 100_000}

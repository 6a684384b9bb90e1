"""Version 18 of the server, as in Debian: for tests of real HTTP and of replicas, otherwise
unsupported.

It has no tokens. Time decides whether an insert can still arrive (`writes.slots`), and creating a
table claims a change of the register. Instead of a constraint it has a column whose default raises
an error.
"""

from hashlib import sha256
from typing import ClassVar

from storage.clickhouse.engine.server import AHEAD_MS, EPOCH_MS, Server


class LegacyServer(Server):
    """SQL of a server of version 18; see the module."""

    now_ms: ClassVar[str] = f"(toInt64(toUnixTimestamp(now())) * 1000 - {EPOCH_MS})"
    clock_step_ms: ClassVar[int] = 1000
    repeated: ClassVar[str] = "String"
    running_inserts: ClassVar[str] = "FROM system.processes WHERE query LIKE 'INSERT INTO %'"
    has_tokens: ClassVar[bool] = False
    deletes_at_once: ClassVar[bool] = False

    def codec(self, *names: str) -> str:
        return ""

    def refusing_late(self, order_delay_ms: int) -> str:
        milliseconds = "bitShiftRight(seq, 12)"
        late = f"{self.now_ms} - {milliseconds} > {order_delay_ms}"
        return (
            f"late UInt8 MATERIALIZED throwIf({late} OR {milliseconds} - {self.now_ms} > "
            f"{AHEAD_MS})"
        )

    def once(self, token: str) -> dict[str, str]:
        return {"insert_deduplicate": "0"}

    @property
    def indexes(self) -> list[str]:
        return []

    @property
    def table_settings(self) -> dict[str, int]:
        return {}

    def claim(self, token: str, replicas: str) -> str:
        name = f"claim_{sha256(token.encode()).hexdigest()}"
        # The coordinator refuses a second replica of the same name, whichever server creates it.
        shared = (
            f"ReplicatedMergeTree('/clickhouse/sidelog/claims/{replicas}/{name}', 'one') ORDER BY "
            "done"
        )
        return f"{name} (done UInt8) ENGINE = {shared if replicas else 'TinyLog'}"

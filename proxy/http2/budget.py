"""Limits of a connection, and the budget that ends floods (RULES.md F10, F11).

Opened streams and control frames cost; completed exchanges and transferred body bytes refill, in
either direction, and so does time, slowly. A client that transfers data can send many PINGs and
WINDOW_UPDATEs (gRPC's core sends several for each message). A client that only causes work runs out
of budget after a few thousand frames, however it mixes them (CVE-2019-9512, -9514, -9515, -9518,
CVE-2023-44487, CVE-2025-8671).
"""

from dataclasses import dataclass
from typing import Final

from proxy.http2.frames import WINDOW_BYTES

MAX_BALANCE: Final = 2000
"""A thousand streams opened and reset at once, as nghttp2 allows (stream_reset_burst)."""
REFILL_PER_S: Final = 200
"""A hundred such streams a second: calls that time out while a service hangs."""
EXCHANGE_REFILL: Final = 10
FRAME_REFILL: Final = 4
BYTES_PER_REFILL: Final = 512
"""Pays for two WINDOW_UPDATEs for each KiB that a client reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one connection.

    The windows are not below the initial size: a peer may use that before it knows ours.
    """

    max_header_bytes: int
    """Limit of a head's fields in bytes. Four times as much ends the connection (F4)."""
    max_streams: int = 100
    """Streams that a client may have at once."""
    stream_window_bytes: int = WINDOW_BYTES
    """Limit of one body's bytes that are received and not forwarded."""
    connection_window_bytes: int = 1 << 20
    """The same for all bodies together. If that many bytes are stalled, the other bodies stop as
    well.
    """
    timeout_settings_ns: int = 10_000_000_000
    """Time limit for the preface and the first SETTINGS (F1)."""

    def __post_init__(self) -> None:
        assert min(self.stream_window_bytes, self.connection_window_bytes) >= WINDOW_BYTES, (
            "bug: a small window"
        )


class Budget:
    """The balance of one connection."""

    __slots__ = ("_balance", "_refilled_ns")

    def __init__(self, now_ns: int) -> None:
        self._balance = MAX_BALANCE
        self._refilled_ns = now_ns

    def pass_time(self, now_ns: int) -> None:
        """Refill the budget for the time since the last call."""
        refill = (now_ns - self._refilled_ns) * REFILL_PER_S // 1_000_000_000
        if refill > 0:
            self._refilled_ns = now_ns
            self._balance = min(self._balance + refill, MAX_BALANCE)

    def spend(self, cost: int) -> bool:
        """Subtract a cost from the budget; return False if the budget is exhausted."""
        self._balance -= cost
        return self._balance >= 0

    def refill_for_data(self, size: int) -> None:
        """Refill by the body bytes of a DATA frame, sent or received. An empty frame refills
        nothing.
        """
        if size:
            self._balance = min(
                self._balance + FRAME_REFILL + size // BYTES_PER_REFILL, MAX_BALANCE
            )

    def refill_for_exchange(self) -> None:
        """Refill the budget for a completed exchange."""
        self._balance = min(self._balance + EXCHANGE_REFILL, MAX_BALANCE)

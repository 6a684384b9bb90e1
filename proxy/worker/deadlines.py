"""The deadlines of the data port: pure functions of a phase, the time when it began or last moved,
and the clock.

Requests have no timer objects: the engine visits the open connections a few times a second and asks
here. A deadline is therefore met up to one such round late, and never early (P17).
"""

from typing import Final

from proxy.settings.model import LimitSettings

TICK_S: Final = 0.05
"""The period of the engine's tick: half of the 100 ms after which an exchange is shown in flight.
"""

TICK_NS: Final = int(TICK_S * 1e9)

INFLIGHT_AFTER_NS: Final = 100_000_000
"""An exchange this old is noted in the in-flight table (ring/FORMAT.md)."""

HALF_CLOSE_NS: Final = 700_000_000
"""How long a client that closed its sending side gets for the response; then it counts as gone.

Together with the duration of a sweep this stays below one second, the limit for cancelling an
upstream (P15).
"""

LINGER_NS: Final = 1_000_000_000
"""How long input is discarded after a response that ends the connection (P16)."""

MAX_LINGER_BYTES: Final = 65536
"""Bytes of input discarded in that time before the connection closes at once."""

MAX_LINGER_NS: Final = 300_000_000_000
"""How long a client that may be sending may receive nothing of its last response, even if the limit
of a stall is longer or off.
"""

CLOSE_NS: Final = 30_000_000_000
"""How long a client that has everything gets to answer the end of a TLS connection (RFC 8446 §6.1).
"""

LATE_BODY_NS: Final = 1_000_000_000
"""How long the record of an answered exchange waits for the body of its request (P24)."""

TRICKLE_NS: Final = 3_000_000_000
"""The age at which the average speed of a request body begins to count."""
MIN_BODY_BYTES_S: Final = 500
"""The average speed below which a request body loses an upstream connection that others wait for.

Otherwise a crowd of clients that send a byte now and then could hold all connections. Apache
httpd's MinRate is the same.
"""

STALLED_NS: Final = 10_000_000_000
"""How long a client may receive nothing of a response, if others wait for its upstream connection.
"""

STALLED: Final = (
    f"it read nothing for {STALLED_NS / 1e9:g} s while requests queued for this upstream"
)
TRICKLED: Final = (
    f"the request body was slower than {MIN_BODY_BYTES_S} bytes/s while requests queued for this "
    "upstream"
)

MAX_READ_AHEAD_BYTES: Final = 65536
"""Bytes kept of pipelined input, or of a request body without an upstream yet, before reading
pauses (P16, P20).

Below this limit reading goes on, so that the end of the connection is seen. The read that exceeds
it may bring as much as the loop reads at once (uvloop: 256 000 bytes). A `BufferedProtocol` with a
buffer of this size would be exact, but would cost two calls and a copy for each read, and four
times as many reads of a large upload.
"""


def is_trickle(body_bytes: int, age_ns: int) -> bool:
    """Return True if a request body of that age is too slow to hold a connection that others wait
    for.
    """
    return age_ns >= TRICKLE_NS and body_bytes * 1_000_000_000 < MIN_BODY_BYTES_S * age_ns


class Phase:
    """The phases of a connection between two exchanges, and of an exchange; plain integers.

    The phases of an exchange come last, in their order of time: from `STREAMING` on its response
    has begun. A member of an enumeration would cost 0.09 µs per look-up in Python 3.11, three times
    per request.
    """

    FRESH: Final = 0
    """A new connection waits for its first byte; its first head shares that time (P17)."""
    IDLE: Final = 1
    """A connection waits for its next request."""
    HEAD: Final = 2
    """A connection waits for the rest of a request head."""
    LINGERING: Final = 3
    """A connection waits for its client to stop sending, after the last response."""
    BODY: Final = 4
    """An exchange waits for more of the request body."""
    CONNECTING: Final = 5
    """An exchange waits for an upstream connection; the opener bounds the time."""
    WAITING: Final = 6
    """An exchange waits for the response head."""
    STREAMING: Final = 7
    """An exchange waits for more of the response."""
    TUNNEL: Final = 8
    """An exchange has no deadline: a WebSocket may be silent for days."""
    ENDING: Final = 9
    """An exchange has its response, and waits for the rest of its request (P24)."""


SETTING_OF: Final = {
    Phase.HEAD: "timeout_headers_s",
    Phase.BODY: "timeout_body_idle_s",
    Phase.WAITING: "timeout_first_byte_s",
    Phase.STREAMING: "timeout_upstream_idle_s",
}
"""Phase → the setting in [proxy.limits] that bounds it; phases that end without an error are
missing.
"""


LLM_FIRST_BYTE_S: Final = 1800.0
"""How long an LLM call may take until its response begins, unless its route sets a limit: models
think before they answer.
"""


class Deadlines:
    """How long each phase may last without progress; 0 means no limit."""

    __slots__ = ("_limits_ns", "_thinking_ns", "write_stall_ns")

    def __init__(self, limits: LimitSettings, llm_first_byte_s: float = 0) -> None:
        """Take the limits of the settings; an LLM call may have more time until its first byte."""
        seconds = {
            Phase.FRESH: limits.timeout_headers_s,
            Phase.IDLE: limits.timeout_keep_alive_s,
            Phase.HEAD: limits.timeout_headers_s,
            Phase.LINGERING: LINGER_NS / 1e9,
            Phase.BODY: limits.timeout_body_idle_s,
            Phase.CONNECTING: 0.0,
            Phase.WAITING: limits.timeout_first_byte_s,
            Phase.STREAMING: limits.timeout_upstream_idle_s,
            Phase.TUNNEL: 0.0,
            Phase.ENDING: LATE_BODY_NS / 1e9,
        }
        self._limits_ns = tuple(int(seconds[phase] * 1e9) for phase in range(len(seconds)))
        self._thinking_ns = int(llm_first_byte_s * 1e9)
        self.write_stall_ns = int(limits.timeout_write_stall_s * 1e9)

    def describe(self, phase: int) -> str:
        """Return the text that names the time limit of a phase and the setting that holds it, for
        an error message.
        """
        return f"{self._limits_ns[phase] / 1e9:g} s, {SETTING_OF[phase]}"

    def describe_first_byte(self, *, is_llm: bool) -> str:
        """Name the limit of the response's first byte; it can be longer for LLM calls."""
        if is_llm and self._thinking_ns > self._limits_ns[Phase.WAITING]:
            return (
                f"{self._thinking_ns / 1e9:g} s, as LLM calls have; [routes.limits] "
                "timeout_first_byte_s changes it"
            )
        return self.describe(Phase.WAITING)

    def describe_stall(self) -> str:
        """Name the limit of a peer that receives nothing, and its setting."""
        return f"{self.write_stall_ns / 1e9:g} s, timeout_write_stall_s"

    def may_think(self, since_ns: int, now_ns: int) -> bool:
        """Return True if an LLM call that has waited since `since_ns` is still within the longer
        limit for the first byte.
        """
        return now_ns - since_ns < self._thinking_ns

    def is_over(self, phase: int, since_ns: int, now_ns: int) -> bool:
        """Return True if a phase that began or last moved at `since_ns` has lasted too long."""
        limit_ns = self._limits_ns[phase]
        return limit_ns > 0 and now_ns - since_ns >= limit_ns

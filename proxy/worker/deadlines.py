"""Deadlines of the data port. Pure: a phase, the moment it began or last moved, and the clock
decide.

There is no timer object per request: the engine's tick walks over the open connections a few times
a second and asks here. A deadline is therefore met within a tick (`TICK_S`), never early (P17).
"""

from typing import Final

from proxy.settings.model import LimitSettings

TICK_S: Final = 0.05
"""Half of the 100 ms after which an exchange is shown in flight."""

INFLIGHT_AFTER_NS: Final = 100_000_000
"""An exchange this old is noted in the in-flight table (ring/FORMAT.md)."""

HALF_CLOSE_NS: Final = 700_000_000
"""A client that closed its sending side gets this long for the answer; then it counts as gone.

With the period of the deadlines' tick it stays below the second in which an upstream is cancelled
(P15).
"""

LINGER_NS: Final = 1_000_000_000
"""How long unread input is drained after an answer that ends the connection (P16)."""

CLOSE_NS: Final = 30_000_000_000
"""How long a client that has everything gets to answer the end of a TLS connection (RFC 8446 §6.1).
"""

MAX_LINGER_BYTES: Final = 65536
"""How many bytes of it."""

MAX_LINGER_NS: Final = 300_000_000_000
"""How long a client that may be sending may take nothing of its last answer, whatever the limit of
a stall is.
"""

LATE_BODY_NS: Final = 1_000_000_000
"""How long the record of an exchange that is answered waits for the body of its request (P24)."""

TRICKLE_NS: Final = 3_000_000_000
MIN_BODY_BYTES_S: Final = 500
"""What a request body must bring, on average and from its third second on, to keep an upstream
connection that others wait for: a crowd that sends a byte now and then would hold all of them
(Apache httpd's MinRate is the same).
"""

STALLED_NS: Final = 10_000_000_000
"""How long a client may take nothing of a response that keeps an upstream connection others wait
for.
"""

STALLED: Final = (
    f"it read nothing for {STALLED_NS / 1e9:g} s while requests queued for this upstream"
)
TRICKLED: Final = (
    f"the request body was slower than {MIN_BODY_BYTES_S} bytes/s while requests queued for this "
    "upstream"
)

MAX_READ_AHEAD_BYTES: Final = 65536
"""Pipelined input, or request body without an upstream yet, beyond which reading pauses (P16, P20).

Below it reading goes on, so that the end of the connection is seen. The read that crosses it may
bring as much as the loop reads at once (uvloop: 256 000 bytes). A `BufferedProtocol` with a buffer
of this size would be exact, at the price of two calls and a copy for each read, and of four times
as many reads of a large upload.
"""


def is_trickle(body_bytes: int, age_ns: int) -> bool:
    """Return whether a request body of that age has brought too little to hold what others wait
    for.
    """
    return age_ns >= TRICKLE_NS and body_bytes * 1_000_000_000 < MIN_BODY_BYTES_S * age_ns


class Phase:
    """What a connection waits for, or an exchange on it: plain integers.

    Those of an exchange come last, in the order in which it passes through them: from `STREAMING`
    on its response has begun. A member of an enumeration costs 0.09 µs to look up in Python 3.11,
    and each request does it three times.
    """

    FRESH: Final = 0
    """The first byte of a new connection; what comes then shares its time (P17)."""
    IDLE: Final = 1
    """The next request."""
    HEAD: Final = 2
    """The rest of a request head."""
    LINGERING: Final = 3
    """The client to stop sending: the last answer is out."""
    BODY: Final = 4
    """More of the request body."""
    CONNECTING: Final = 5
    """An upstream connection; bounded by the pool itself."""
    WAITING: Final = 6
    """The response head."""
    STREAMING: Final = 7
    """More of the response."""
    TUNNEL: Final = 8
    """Nothing: a WebSocket may be silent for days."""
    ENDING: Final = 9
    """More of a request that is answered already (P24)."""


SETTING_OF: Final = {
    Phase.HEAD: "timeout_headers_s",
    Phase.BODY: "timeout_body_idle_s",
    Phase.WAITING: "timeout_first_byte_s",
    Phase.STREAMING: "timeout_upstream_idle_s",
}
"""Phase → the setting in [proxy.limits] that bounds it, for those whose end is an error."""


LLM_FIRST_BYTE_S: Final = 1800.0
"""What an LLM call has until its response begins, where its route says nothing: models think before
they answer.
"""


class Deadlines:
    """Phase → how long it may last without progress, ns; 0 is no limit."""

    __slots__ = ("_limits_ns", "_thinking_ns", "write_stall_ns")

    def __init__(self, limits: LimitSettings, llm_first_byte_s: float = 0) -> None:
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
        """Name the limit of a phase and the setting that holds it."""
        return f"{self._limits_ns[phase] / 1e9:g} s, {SETTING_OF[phase]}"

    def describe_first_byte(self, *, is_llm: bool) -> str:
        """Name the limit of the response's first byte, which is another one where LLM calls have
        more time.
        """
        if is_llm and self._thinking_ns > self._limits_ns[Phase.WAITING]:
            return (
                f"{self._thinking_ns / 1e9:g} s, as LLM calls have; [routes.limits] "
                "timeout_first_byte_s changes it"
            )
        return self.describe(Phase.WAITING)

    def describe_stall(self) -> str:
        return f"{self.write_stall_ns / 1e9:g} s, timeout_write_stall_s"

    def may_think(self, since_ns: int, now_ns: int) -> bool:
        """Return whether an LLM call may take longer to begin its response than others."""
        return now_ns - since_ns < self._thinking_ns

    def is_over(self, phase: int, since_ns: int, now_ns: int) -> bool:
        """Return whether a phase that began or last moved at `since_ns` has lasted too long."""
        limit_ns = self._limits_ns[phase]
        return limit_ns > 0 and now_ns - since_ns >= limit_ns

"""Deadlines: each phase has the limit of its setting, 0 is none."""

from proxy.settings.model import LimitSettings
from proxy.worker.deadlines import HALF_CLOSE_NS, INFLIGHT_AFTER_NS, TICK_S, Deadlines, Phase
from proxy.worker.engine import SWEEP_S
from tests.support.cases import each_of

S = 1_000_000_000


@each_of(
    ("phase", "setting"),
    [
        (Phase.IDLE, "timeout_keep_alive_s"),
        (Phase.HEAD, "timeout_headers_s"),
        (Phase.BODY, "timeout_body_idle_s"),
        (Phase.WAITING, "timeout_first_byte_s"),
        (Phase.STREAMING, "timeout_upstream_idle_s"),
    ],
)
def test_a_phase_ends_at_its_setting(phase: int, setting: str) -> None:
    """A deadline is met exactly, never early, and can be switched off."""
    deadlines = Deadlines(LimitSettings(**{setting: 2.5}))  # type: ignore[arg-type]
    assert not deadlines.is_over(phase, 10 * S, 12 * S + S // 2 - 1)
    assert deadlines.is_over(phase, 10 * S, 12 * S + S // 2)
    assert not Deadlines(LimitSettings(**{setting: 0})).is_over(phase, 0, 1 << 62)


def test_phases_without_a_setting() -> None:
    """Connecting is the pool's to end; a lingering connection has a second; write stalls have their
    own setting.
    """
    deadlines = Deadlines(LimitSettings(timeout_write_stall_s=1.5))
    assert not deadlines.is_over(Phase.CONNECTING, 0, 1 << 62)
    assert deadlines.is_over(Phase.LINGERING, 0, S)
    assert deadlines.write_stall_ns == S * 3 // 2
    for phase in range(Phase.FRESH + 1):
        deadlines.is_over(phase, 0, 1)


def test_what_the_tick_promises() -> None:
    """A client that left is noticed within a second, an old exchange is shown within 150 ms."""
    assert HALF_CLOSE_NS + SWEEP_S * S <= S
    assert INFLIGHT_AFTER_NS + TICK_S * S <= 0.15 * S

"""Deadlines: each phase has the limit of its setting, of its route before the general one; 0 is none."""

import msgspec
import pytest

from proxy.settings.load import load
from proxy.settings.model import (
    LimitSettings,
    RouteLimitSettings,
    RouteSettings,
    SettingsError,
    redacted,
)
from proxy.worker.deadlines import (
    HALF_CLOSE_NS,
    INFLIGHT_AFTER_NS,
    TICK_S,
    Deadlines,
    Phase,
    is_trickle,
)
from proxy.worker.engine import SWEEP_S
from proxy.worker.routes import limits_of
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


def test_what_a_route_leaves_out_is_general() -> None:
    """Zero is a limit of its own: none."""
    general = LimitSettings(timeout_first_byte_s=7, max_body_bytes=9)
    route = RouteSettings(id="a", upstream="http://a", limits=RouteLimitSettings(max_body_bytes=0))
    assert limits_of(route, general) == msgspec.structs.replace(general, max_body_bytes=0)
    assert set(RouteLimitSettings.__struct_fields__) <= set(LimitSettings.__struct_fields__)


def test_a_route_has_its_table() -> None:
    """Bounds are checked like those of the general limits, and what is shown holds what was given."""
    given = '[{"id": "a", "upstream": "http://a", "limits": {"max_body_bytes": %s}}]'
    settings = load({}, {"SIDELOG_ROUTES": given % 7}, None)
    assert redacted(settings)["routes"][0]["limits"] == {"max_body_bytes": 7}

    for wrong in ("-1", '"x"', '1, "timeout_headers_s": 3'):
        with pytest.raises(
            SettingsError, match=r"routes\[0\]\.limits\.(max_body_bytes|timeout_headers_s)"
        ):
            load({}, {"SIDELOG_ROUTES": given % wrong}, None)


@each_of(
    ("body_bytes", "age_s", "is_slow"),
    [(0, 2.9, False), (0, 3.0, True), (1499, 3.0, True), (1500, 3.0, False), (40_000, 100.0, True)],
)
def test_what_a_trickle_is(body_bytes: int, age_s: float, *, is_slow: bool) -> None:
    """Less than 500 bytes/s, on average, once it had three seconds."""
    assert is_trickle(body_bytes, int(age_s * 1e9)) == is_slow

"""Which groups fire as figures come in, and which messages this makes."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from proxy.collector.watch.alerts.figures import Figure
from proxy.collector.watch.alerts.state import EXPIRES_US, MAX_GROUPS, MAX_HISTORY, State
from proxy.settings.model import AlertSettings

S = 1_000_000


def alert(**changes: Any) -> AlertSettings:
    """Make an alert for more than ten."""
    fields: dict[str, Any] = {"name": "a", "url": "http://x/", "above": 10.0}
    return AlertSettings(**(fields | changes))


def step(
    state: State, second: int, value: float | None, *, is_silenced: bool = False, **changes: Any
) -> None:
    """Take in the figure of an alert without groups."""
    state.advance(alert(**changes), figures({"": value}), second * S, is_silenced=is_silenced)


def figures(values: Mapping[str, float | None]) -> dict[str, Figure]:
    """Make figures, each with a search of its own."""
    return {group: Figure(value, f"path:/{group}") for group, value in values.items()}


def told(state: State) -> list[tuple[str, str, float | None]]:
    """Return group, status and value of each message in the outbox."""
    return [(message.group, message.status, message.value) for message in state.outbox]


def test_crossing_the_threshold_is_told_once_and_so_is_the_way_back() -> None:
    """One message at each crossing, none in between."""
    state = State()
    for second, value in enumerate((5.0, 11.0, 12.0, 10.0, None, 20.0)):
        step(state, second, value)
    assert told(state) == [("", "firing", 11.0), ("", "resolved", 10.0), ("", "firing", 20.0)]
    assert len({message.id for message in state.outbox}) == 3
    assert state.firing["a"][""].since_us == 5 * S


def test_an_estimate_is_marked_in_what_fires_and_in_its_messages() -> None:
    """As the figure of that moment was."""
    state = State()
    for second, (value, sampled) in enumerate(((11.0, True), (12.0, False), (5.0, True))):
        state.advance(alert(), {"": Figure(value, "", sampled)}, (second + 1) * S)
        if value > 10:
            assert state.firing["a"][""].sampled == sampled
    assert [(each.status, each.sampled) for each in state.outbox] == [
        ("firing", True),
        ("resolved", True),
    ]


@pytest.mark.parametrize(("value", "fires"), [(0.0, True), (1.0, False), (None, False)])
def test_what_is_missing_fires_below(value: float | None, fires: bool) -> None:
    """A count of 0 is below the threshold, an undefined figure is not."""
    state = State()
    step(state, 1, value, above=None, below=1.0)
    assert bool(state.outbox) == fires


def test_each_value_fires_by_itself() -> None:
    """One key of a budget fires and others do not; a group without a figure is over."""
    state = State()
    state.advance(alert(by="key"), figures({"k1": 11.0, "k2": 3.0}), S)
    state.advance(alert(by="key"), figures({"k2": 30.0}), 2 * S)
    assert told(state) == [("k1", "firing", 11.0), ("k1", "resolved", None), ("k2", "firing", 30.0)]
    state.advance(
        alert(by="key"),
        figures({str(number): 20.0 + number for number in range(2 * MAX_GROUPS)}),
        3 * S,
    )
    assert len(state.firing["a"]) == MAX_GROUPS


def test_the_same_step_makes_the_same_message() -> None:
    """After a kill or on another sidecar: the id follows from the stored state, not from a clock."""
    stored = msgspec.json.encode(State(seed="s"))
    ids = []
    for second in (1, 2):
        state = msgspec.json.decode(stored, type=State)
        step(state, second, 11.0)
        ids.append(state.outbox[0].id)

    assert ids[0] == ids[1]
    other = State(seed="t")
    step(other, 1, 11.0)
    assert other.outbox[0].id != ids[0]


def test_a_silenced_alert_is_told_of_when_the_silence_is_over() -> None:
    """If it still fires then. Its end is reported only where its beginning was."""
    state = State()
    step(state, 1, 11.0, is_silenced=True)
    step(state, 2, 1.0, is_silenced=True)
    step(state, 3, 12.0, is_silenced=True)
    assert told(state) == []
    step(state, 4, 13.0)
    step(state, 5, 1.0, is_silenced=True)
    assert told(state) == [("", "firing", 13.0), ("", "resolved", 1.0)]


def test_it_is_told_again_where_that_is_wanted() -> None:
    """While it fires, every `repeat_s`, each time under a new id."""
    state = State()
    for second in range(0, 25, 5):
        step(state, second + 1, 11.0, repeat_s=10)
    assert len({message.id for message in state.outbox}) == len(state.outbox) == 3


def test_what_is_no_longer_configured_or_too_old_is_given_up() -> None:
    """And counted. The history stays bounded."""
    state = State()
    step(state, 1, 11.0)
    step(state, 1, 11.0, name="b")
    state.forget({"a"}, 2 * S)
    assert [message.alert for message in state.outbox] == ["a"]
    state.forget({"a"}, 2 * S + EXPIRES_US)
    assert (state.outbox, state.dropped) == ([], 2)

    for second in range(2 * MAX_HISTORY):
        step(state, second, 11.0 if second % 2 else 1.0)
        for message in state.outbox[:]:
            state.settle(message, second * S)

    assert len(state.history) == MAX_HISTORY
    assert state.history[0].at_us > state.history[-1].at_us


def test_what_does_not_last_is_not_told() -> None:
    """With `for_s` it fires when it has been beyond for that long without a gap, also where the
    state is read anew.
    """
    state = State()
    for second, value in ((0, 11.0), (20, 12.0), (40, 9.0), (50, 11.0), (80, 12.0), (109, 13.0)):
        state = msgspec.json.decode(msgspec.json.encode(state), type=State)
        step(state, second, value, for_s=60)
    assert told(state) == []
    step(state, 110, 14.0, for_s=60)
    assert told(state) == [("", "firing", 14.0)]
    assert state.firing["a"][""].since_us == 50 * S
    assert state.pending == {}
    step(state, 111, 1.0, for_s=60)
    assert told(state)[1:] == [("", "resolved", 1.0)]


def test_what_waits_to_fire_is_bounded_and_goes_with_its_alert() -> None:
    """Of too many groups, those stay that have waited longest."""
    state = State()
    state.advance(alert(by="key", for_s=60), figures({"first": 11.0}), S)
    state.advance(
        alert(by="key", for_s=60),
        figures({"first": 11.0} | {str(number): 20.0 for number in range(2 * MAX_GROUPS)}),
        2 * S,
    )
    assert len(state.pending["a"]) == MAX_GROUPS
    assert state.pending["a"]["first"] == S
    state.forget(set(), 3 * S)
    assert state.pending == {}


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        (
            {"resolve_at": 8.0},
            (11.0, 9.0, 8.0, 11.0, 7.9),
            [("firing", 11.0), ("resolved", 7.9)],
        ),
        ({"resolve_at": 8.0}, (9.0, 11.0, None), [("firing", 11.0), ("resolved", None)]),
        (
            {"above": None, "below": 5.0, "resolve_at": 8.0},
            (6.0, 4.0, 6.0, 8.0, 9.0, 6.0),
            [("firing", 4.0), ("resolved", 9.0)],
        ),
    ],
)
def test_what_comes_and_goes_around_the_threshold_is_told_once(
    settings: dict[str, Any],
    values: tuple[float | None, ...],
    expected: list[tuple[str, float | None]],
) -> None:
    """A group that fires is over behind the second threshold; others are judged by the first."""
    state = State()
    for second, value in enumerate(values, 1):
        step(state, second, value, **settings)
    assert [(status, value) for _, status, value in told(state)] == expected


def test_a_message_says_which_requests_it_is_about() -> None:
    """Those of its group within the window; at the end, all since the first window."""
    state = State()
    state.advance(alert(by="path", window_s=60), figures({"x": 11.0}), 100 * S)
    state.advance(alert(by="path", window_s=60), {}, 200 * S)
    firing, resolved = state.outbox
    assert (firing.search, firing.begin_us, firing.at_us) == ("path:/x", 40 * S, 100 * S)
    assert (resolved.search, resolved.begin_us, resolved.at_us) == ("path:/x", 40 * S, 200 * S)

"""What retention believes of a wall clock that jumps, ahead and back, while it runs and while it
does not.
"""

import pytest

from storage.writer.trusted_clock import MAX_WAIT_US, SLACK_US, TrustedClock, boot_us

S = 1_000_000
HOUR = 3600 * S
DAY = 24 * HOUR
START = 500_000 * HOUR


class Machine:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.wall = START
        self.boot = 7 * S
        self.clock = TrustedClock(lambda: self.wall, lambda: self.boot)

    def passes(self, us: int) -> int:
        """Let time pass in steps of a minute at most; returns what is believed then."""
        while us > 0:
            step = min(us, 60 * S)
            self.wall += step
            self.boot += step
            us -= step
            self.clock.now_us()

        return self.clock.now_us()


@pytest.fixture
def machine() -> Machine:
    """One whose clock is right."""
    made = Machine()
    made.clock.resume(made.wall)
    return made


def test_a_clock_that_is_right_is_followed(machine: Machine) -> None:
    """Also when it is slewed."""
    assert machine.passes(3 * HOUR) == machine.wall
    machine.wall += SLACK_US // 2
    assert machine.clock.now_us() == machine.wall
    assert machine.clock.ahead_us == 0


@pytest.mark.parametrize("ahead", [60 * S, HOUR, 40 * DAY, 20_000 * DAY])
def test_a_jump_that_comes_back_changes_nothing(machine: Machine, ahead: int) -> None:
    """By a minute or by years, for most of the time it would have to hold."""
    machine.wall += ahead
    held = min(ahead, MAX_WAIT_US) * 9 // 10
    assert machine.passes(held) == machine.wall - ahead
    assert machine.clock.ahead_us == ahead
    machine.wall -= ahead
    assert machine.passes(60 * S) == machine.wall
    assert machine.clock.ahead_us == 0


@pytest.mark.parametrize("ahead", [60 * S, HOUR, 40 * DAY])
def test_a_clock_that_holds_is_believed(machine: Machine, ahead: int) -> None:
    """After as long as it is ahead, a day at most."""
    machine.wall += ahead
    assert machine.passes(min(ahead, MAX_WAIT_US) + 60 * S) == machine.wall


def test_a_clock_that_is_set_again_has_to_hold_again(machine: Machine) -> None:
    """Each time from the beginning."""
    machine.wall += 40 * DAY
    machine.passes(23 * HOUR)
    machine.wall += HOUR
    machine.passes(23 * HOUR)
    assert machine.clock.ahead_us == 40 * DAY + HOUR


def test_a_clock_that_goes_back_is_believed_at_once(machine: Machine) -> None:
    """Nothing is deleted for it."""
    machine.wall -= 40 * DAY
    assert machine.clock.now_us() == machine.wall


def test_what_was_known_before_a_start_is_gone_on_from() -> None:
    """A month of being off looks like a clock that is ahead, and a record from the future is no
    evidence.
    """
    machine = Machine()
    machine.clock.resume(START - 30 * DAY)
    assert machine.clock.now_us() == START - 30 * DAY
    assert machine.passes(DAY + 60 * S) == machine.wall
    machine.clock.resume(machine.wall + DAY)
    assert machine.clock.now_us() == machine.wall


def test_the_machine_has_such_a_clock() -> None:
    """It only goes forward."""
    assert 0 < boot_us() <= boot_us()

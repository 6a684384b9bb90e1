"""The rate of one connection: a second's worth at once, then so many a second."""

from proxy.network.rate import SECOND_NS, Rate


def test_a_second_is_kept_and_no_more() -> None:
    """Whoever waits gets what a second gives, however long it waited."""
    rate = Rate(10, 0)
    assert rate.room(0) == 10
    assert rate.room(60 * SECOND_NS) == 10


def test_what_is_taken_comes_back_with_time() -> None:
    """No part of a grant is lost between two looks, however close they are."""
    rate = Rate(10, 0)
    rate.take(10)
    assert rate.room(0) == 0
    granted = 0

    for now_ns in range(0, SECOND_NS + 1, SECOND_NS // 997):
        room = rate.room(now_ns)
        rate.take(room)
        granted += room

    assert 9 <= granted <= 10


def test_nothing_is_granted_of_nothing() -> None:
    """A rate of 0 never grants."""
    assert Rate(0, 0).room(SECOND_NS) == 0

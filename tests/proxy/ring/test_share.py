"""A share of a ring: never more than its bytes unreleased, all of it again once they are."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.share import Share


class Ring:
    """Counts what is pushed and released."""

    def __init__(self) -> None:
        """Begin empty."""
        self.head = self.released = 0


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 200), st.booleans()), max_size=200))
def test_what_is_not_released_stays_below_the_share(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is pushed beside it, and however late the reader is, the share is held but for one entry."""
    ring = Ring()
    share = Share(ring, 200)
    pushed: list[tuple[int, int]] = []
    for size, others, is_read in steps:
        if share.take(size):
            ring.head += size
            pushed.append((ring.head, size))
        ring.head += others
        if is_read:
            ring.released = ring.head
        held = sum(size for end, size in pushed if end > ring.released)
        assert held <= 200 + 60


def test_a_full_share_is_free_again_when_its_first_half_is_read() -> None:
    """Nothing is refused while a half is free; what was refused before changes nothing."""
    ring = Ring()
    share = Share(ring, 100)
    taken = 0
    while share.take(10):
        ring.head += 10
        taken += 1
    assert taken == 10
    assert not share.take(10)
    ring.released = 50
    assert share.take(10)


def test_an_entry_larger_than_a_half_may_be_the_only_one() -> None:
    """A ring that is small for its messages still takes one at a time."""
    ring = Ring()
    share = Share(ring, 100)
    assert share.take(80)
    ring.head = 80
    assert share.take(80)
    ring.head = 160
    assert not share.take(80)
    ring.released = 160
    assert share.take(80)

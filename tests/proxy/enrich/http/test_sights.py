"""What comes twice is told from what comes once."""

from proxy.enrich.http.sights import Sights


def test_what_came_before_is_known() -> None:
    """The second time, and from then on; hashes below zero, too."""
    sights = Sights()
    for sight in (1, -1, hash("/items/1")):
        assert [sights.seen_before(sight) for _ in range(3)] == [False, True, True]


def test_what_varies_is_forgotten() -> None:
    """Memory is bounded: a hash pushes out the one before it in its place."""
    sights = Sights()
    others = [7 + number * 4096 for number in range(1, 3)]
    assert [sights.seen_before(sight) for sight in (7, *others, 7)] == [False] * 4

"""What is concluded from the connections that an upstream was seen to serve at once."""

from proxy.network.concurrency import UNPROVEN_IDLE_NS, Concurrency

LONG_NS = 60_000_000_000


def test_idle_connections_are_kept_when_two_were_served() -> None:
    """One after the other shows nothing; a shorter time that was set stays."""
    concurrency = Concurrency()
    for _ in range(3):
        concurrency.served(1)
        assert concurrency.idle_ns(LONG_NS) == UNPROVEN_IDLE_NS
    assert concurrency.idle_ns(5) == 5
    concurrency.served(2)
    assert concurrency.idle_ns(LONG_NS) == LONG_NS
    concurrency.served(1)
    assert concurrency.idle_ns(LONG_NS) == LONG_NS


def test_only_what_was_seen_is_believed() -> None:
    """As many as were seen may be all there is; fewer leave room."""
    concurrency = Concurrency()
    concurrency.served(4)
    assert [concurrency.may_hold(answered) for answered in (3, 4, 5)] == [False, True, True]


def test_a_suspicion_ends_with_more_than_was_seen() -> None:
    """The same again proves nothing."""
    concurrency = Concurrency()
    concurrency.served(2)
    concurrency.is_wary = True
    concurrency.served(2)
    assert concurrency.is_wary
    concurrency.served(3)
    assert not concurrency.is_wary

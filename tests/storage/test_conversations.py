"""What the calls of a conversation add up to, as values."""

from storage.conversations import MAX_COST_USD, MAX_TOKENS, has_failed
from storage.record import Level
from tests.storage.samples import START_US, make_record
from tests.support.cases import each_of
from tests.support.memory_conversations import conversation_of


def test_calls_may_overlap() -> None:
    """A conversation ends with the call that ends last; durations are added."""
    calls = [make_record(conversation=bytes(16), duration_us=duration) for duration in (9000, 2000)]
    found = conversation_of(calls)
    assert (found.ended_at_us, found.duration_us) == (START_US + 9000, 11000)
    assert (found.first, found.last, found.failure) == (calls[0], calls[1], None)


def test_a_message_that_ends_a_call_is_its_end() -> None:
    """Over a WebSocket: the time of such an event is when the call ended, and it has lasted until
    then.
    """
    found = conversation_of([make_record(kind="event", conversation=bytes(16), duration_us=9000)])
    assert (found.ended_at_us, found.duration_us) == (START_US, 9000)


def test_absurd_claims_do_not_overflow() -> None:
    """Of one call so much counts at most."""
    found = conversation_of(
        [make_record(conversation=bytes(16), input_tokens=2**53, cost_usd=1e300)]
    )
    assert (found.tokens["input_tokens"], found.cost_usd) == (MAX_TOKENS, MAX_COST_USD)


@each_of(
    ("level", "error_type", "expected"),
    [
        ("info", None, False),
        ("debug", None, False),
        ("warn", None, True),
        ("error", None, True),
        ("info", "e", True),
    ],
)
def test_which_calls_failed(level: Level, error_type: str | None, expected: bool) -> None:
    """By level, or by an error within a stream whose status was sent before it."""
    assert has_failed(make_record(level=level, error_type=error_type)) is expected

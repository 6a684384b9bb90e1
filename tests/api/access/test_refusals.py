"""Refused requests: counted, and told in the log without flooding it."""

from collections.abc import Callable

import pytest

from api.access.refusals import TELL_EVERY_S, Refusals


def test_wrong_tokens_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """At once, then all that came meanwhile; requests without a token are in no line."""
    timers: list[Callable[[], None]] = []

    def call_later(delay_s: float, callback: Callable[[], None]) -> None:
        assert delay_s == TELL_EVERY_S
        timers.append(callback)

    refusals = Refusals(call_later)
    refusals.count("missing", "a")
    assert (caplog.messages, timers) == ([], [])
    refusals.count("token", "b")
    for number in range(2000):
        refusals.count("login" if number % 2 else "token", f"client {number}")
        refusals.count("missing", "a")
    said = "the admin port refused a wrong token {} times, the last time from {}"
    assert caplog.messages == [said.format(1, "b")]

    timers.pop()()
    assert caplog.messages[1:] == [said.format(2000, "client 1999")]
    timers.pop()()
    assert (len(caplog.messages), timers) == (2, [])
    refusals.count("login", "c")
    assert caplog.messages[2:] == [said.format(1, "c")]
    assert refusals.counts == {"login": 1001, "missing": 2001, "token": 1001}

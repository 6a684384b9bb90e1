"""The queue of writers: who came first goes first, and nobody is held up for long by one who is gone."""

import pytest

from storage.clickhouse.writes import waiting
from storage.clickhouse.writes.waiting import Waiting, epochs_of, new_ticket

FIRST, SECOND = "turn_0000000000000000001_aa", "turn_0000000000000000002_bb"


def in_queue(ticket: str, others: list[str]) -> Waiting:
    """One who waits since 0 s for the epoch behind 7."""
    made = Waiting(0.0)
    made.ticket = ticket
    made.note(7, ["epoch_6", "epoch_7", ticket, *others], 0.0)
    return made


def test_who_came_first_goes_first() -> None:
    """And looks most often."""
    first, second = in_queue(FIRST, [SECOND]), in_queue(SECOND, [FIRST])
    assert (first.place, second.place) == (0, 1)
    assert first.pause_s < second.pause_s
    assert first.may_follow(1.0, 5.0, is_free=True)
    assert not second.may_follow(1.0, 5.0, is_free=True)


def test_who_comes_last_is_behind_all() -> None:
    """Without a ticket, too, though the turn is free."""
    late = in_queue("", [FIRST, SECOND])
    assert late.place == 2
    assert not late.may_follow(0.0, 5.0, is_free=True)


def test_one_who_is_gone_is_passed_over() -> None:
    """A turn that nobody takes is the next one's, a moment later; an epoch in which nothing happens as well."""
    second = in_queue(SECOND, [FIRST])
    assert not second.may_follow(1.0, 5.0, is_free=True)
    assert second.may_follow(1.5, 5.0, is_free=True)
    silent = in_queue(SECOND, [FIRST])
    assert not silent.may_follow(5.4, 5.0, is_free=False)
    assert silent.may_follow(5.6, 5.0, is_free=False)


def test_a_new_epoch_begins_the_waiting_anew() -> None:
    """It is somebody's turn again."""
    second = in_queue(SECOND, [FIRST])
    assert not second.may_follow(1.0, 5.0, is_free=True)
    second.note(8, ["epoch_8", FIRST, SECOND], 1.4)
    assert not second.may_follow(1.6, 5.0, is_free=False)
    assert not second.may_follow(6.8, 5.0, is_free=False)


def test_what_was_left_behind_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute; tickets sort by when they were made."""
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    older = new_ticket()
    monkeypatch.setattr("time.time_ns", lambda: 10**18 + waiting._STALE_NS + 1)
    newer = new_ticket()
    assert older < newer
    assert in_queue(newer, [older]).stale == [older]
    assert in_queue(older, [newer]).stale == []


def test_numbers_of_epochs() -> None:
    """Other tables are none."""
    assert epochs_of(["epoch_10", "turn_1_a", "epoch_9"]) == [9, 10]


@pytest.mark.parametrize(("crowd", "waited_s", "least", "most"), [(0, 60.0, 0.0, 0.02), (2, 0.0, 0.02, 0.08),
    (100, 0.0, 1.0, 3.1), (2, 10.0, 1.0, 3.1), (500, 50.0, 2.5, 7.6)])  # fmt: skip
def test_the_more_wait_the_less_often_each_looks(crowd: int, waited_s: float, least: float, most: float) -> None:
    """How many they are it knows, or learns by waiting; who has a ticket and is first looks all the time."""
    one = Waiting(0.0, crowd)
    one.note(7, ["epoch_7"], waited_s)
    assert least <= one.pause_s <= most


def test_a_crowd_does_not_ask_all_the_time_whether_a_turn_was_given_up() -> None:
    """Who is alone asks at once."""
    alone, many = Waiting(0.0), Waiting(0.0, 200)
    for one in (alone, many):
        one.note(7, ["epoch_7"], 0.0)
    assert alone.may_be_given_up(0.0)
    assert not many.may_be_given_up(3.9)
    assert many.may_be_given_up(4.0)

"""Who gives way: whoever waited longest and still does, those never served first, and nobody too
early.
"""

import gc
from dataclasses import dataclass, field

from proxy.network import accept
from proxy.network.accept import IdleEviction

SECOND_NS = 1_000_000_000
NOW_NS = 100 * SECOND_NS


@dataclass
class Client:
    """A connection that waits since a moment."""

    waits_since_ns: int
    has_been_served: bool = False
    reasons: list[str] = field(default_factory=list)

    def evict(self, reason: str) -> None:
        """Be closed."""
        self.waits_since_ns = 0
        self.reasons.append(reason)


def swept(*clients: Client, limit: int = 10) -> IdleEviction:
    """What a sweep over some connections noted."""
    made = IdleEviction(limit)
    for client in clients:
        made.note(client, NOW_NS)
    made.swept()
    return made


def test_the_longest_silent_go_first_and_the_served_last() -> None:
    """In any order of the sweep."""
    waits = (7, 3, 5)
    silent = [Client(n * SECOND_NS) for n in waits]
    served = [Client(n * SECOND_NS, has_been_served=True) for n in waits]
    room = swept(served[0], silent[0], silent[1], served[1], served[2], silent[2])
    for expected in (silent[1], silent[2], silent[0], served[1], served[2], served[0]):
        assert room.evict()
        assert expected.reasons == ["10 connections are open, the limit, and a new one came"]
    assert not room.evict()


def test_nobody_gives_way_too_early_or_while_something_is_under_way() -> None:
    """A moment must pass, more of it between two requests; what runs is never closed."""
    for has_been_served, least_ns in enumerate(accept.LEAST_WAIT_NS):
        assert swept(Client(NOW_NS - least_ns, bool(has_been_served))).evict()
        assert not swept(Client(NOW_NS - least_ns + 1, bool(has_been_served)), Client(0)).evict()


def test_a_note_is_checked_when_its_turn_comes() -> None:
    """One that has asked something since then keeps its place, also when it waits again."""
    gone, again, waiting = (Client(n * SECOND_NS) for n in (1, 2, 3))
    room = swept(gone, again, waiting)
    gone.waits_since_ns = 0
    again.waits_since_ns = NOW_NS
    assert room.evict()
    assert (gone.reasons, again.reasons, len(waiting.reasons)) == ([], [], 1)
    assert not room.evict()


def test_a_sweep_replaces_the_notes_of_the_last_one() -> None:
    """Nothing is kept of connections that are gone."""
    room = swept(Client(1), Client(2))
    room.swept()
    assert not room.evict()
    assert (room.is_near(7), room.is_near(8)) == (False, True)


def test_notes_of_a_crowd_are_few_objects() -> None:
    """An object for each, several times a second, makes the interpreter look for garbage among all
    of them.
    """
    crowd = [Client(SECOND_NS + n) for n in range(10_000)]
    gc.collect()
    before = len(gc.get_objects())
    room = swept(*crowd)
    assert len(room) == 10_000
    assert len(gc.get_objects()) - before < 100

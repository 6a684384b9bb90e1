"""The ledger balances over every history, and shows it when one record is missing."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage.ledger import (
    RETIRED_TOTALS,
    SOURCE_INTERNAL,
    Ledger,
    ProducerCounts,
    add_counts,
    balance,
)
from storage.record import Position

REASONS = ["poison", "corrupt"]


@dataclass
class Ring:
    """A ring's truth: what its producer counted, and its position."""

    pushed: int = 0
    refused: int = 0
    position: Position = field(default_factory=Position)


class History(RuleBasedStateMachine):
    """Rings come, are filled, read, refuse, are lost, close and are folded, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.rings: dict[bytes, Ring] = {}
        self.lost: dict[bytes, Position] = {}
        """Positions whose ring is gone and that nobody has accounted for yet."""
        self.past = Position(closed=True)
        self.own = Position(closed=True)
        self.stored = 0
        self.dropped = 0
        self.made = 0

    def ring(self, number: int) -> Ring | None:
        """One of the living rings that are not closed."""
        living = [ring for ring in self.rings.values() if not ring.position.closed]
        return living[number % len(living)] if living else None

    @rule()
    def make(self) -> None:
        """A worker starts."""
        self.made += 1
        self.rings[self.made.to_bytes(8, "big") * 2] = Ring()

    @rule(number=st.integers(0, 9), count=st.integers(1, 50), refused=st.integers(0, 5))
    def push(self, number: int, count: int, refused: int) -> None:
        """It records, and its ring refuses some."""
        ring = self.ring(number)
        if ring is not None:
            ring.pushed += count
            ring.refused += refused

    @rule(number=st.integers(0, 9), count=st.integers(1, 50))
    def store(self, number: int, count: int) -> None:
        """A batch is committed."""
        ring = self.ring(number)
        if ring is not None:
            old = ring.position
            count = min(count, ring.pushed - old.taken)
            ring.position = msgspec.structs.replace(
                old,
                offset=old.offset + 8 * count,
                taken=old.taken + count,
                stored=old.stored + count,
            )
            self.stored += count

    @rule(number=st.integers(0, 9), reason=st.sampled_from(REASONS))
    def drop(self, number: int, reason: str) -> None:
        """An entry cannot be stored."""
        ring = self.ring(number)
        if ring is not None and ring.pushed > ring.position.taken:
            old = ring.position
            dropped = {**old.dropped, reason: old.dropped.get(reason, 0) + 1}
            ring.position = msgspec.structs.replace(old, taken=old.taken + 1, dropped=dropped)
            self.dropped += 1

    @rule(number=st.integers(0, 9))
    def report(self, number: int) -> None:
        """A gap record tells about refusals: it is a record of the collector's own."""
        ring = self.ring(number)
        if ring is not None and ring.refused > ring.position.dropped.get("ring_full", 0):
            dropped = {**ring.position.dropped, "ring_full": ring.refused}
            ring.position = msgspec.structs.replace(ring.position, dropped=dropped)
            self.event()

    @rule()
    def event(self) -> None:
        """The collector stores an event."""
        old = self.own
        self.own = Position(0, old.taken + 1, old.stored + 1, old.received + 1, old.dropped, True)
        self.stored += 1

    @rule(number=st.integers(0, 9))
    def close(self, number: int) -> None:
        """A worker is gone, its ring empty and told about."""
        ring = self.ring(number)
        if ring is None or ring.pushed > ring.position.taken:
            return
        if ring.refused == ring.position.dropped.get("ring_full", 0):
            received = ring.pushed + ring.refused
            ring.position = msgspec.structs.replace(ring.position, received=received, closed=True)

    @rule(number=st.integers(0, 9))
    def lose(self, number: int) -> None:
        """A ring is gone with its machine, whatever it held."""
        ring = self.ring(number)
        if ring is not None:
            (source,) = [source for source, other in self.rings.items() if other is ring]
            self.lost[source] = self.rings.pop(source).position

    @rule()
    def retire(self) -> None:
        """Closed and lost positions are folded into the past."""
        for source, ring in list(self.rings.items()):
            if ring.position.closed:
                self.past = add_counts(self.past, self.rings.pop(source).position)
        for position in self.lost.values():
            received = position.taken + position.dropped.get("ring_full", 0)
            self.past = add_counts(
                self.past, msgspec.structs.replace(position, received=received, closed=True)
            )

        self.lost.clear()

    def ledger(self) -> Ledger:
        """The accounting now."""
        positions = {source: ring.position for source, ring in self.rings.items()} | self.lost
        readings = {
            source: ProducerCounts(ring.pushed, ring.refused) for source, ring in self.rings.items()
        }
        return balance(positions | {RETIRED_TOTALS: self.past, SOURCE_INTERNAL: self.own}, readings)

    @invariant()
    def balances(self) -> None:
        """Whatever happened, and every part of it is what it was."""
        ledger = self.ledger()
        assert ledger.is_balanced, ledger
        assert ledger.stored == self.stored
        assert sum(ledger.dropped.get(reason, 0) for reason in REASONS) == self.dropped
        assert ledger.waiting == sum(
            ring.pushed - ring.position.taken for ring in self.rings.values()
        )
        assert 0 not in ledger.dropped.values()

    @invariant()
    def a_missing_record_shows(self) -> None:
        """One record that was taken and neither stored nor dropped unbalances the equation."""
        for source, ring in self.rings.items():
            if ring.position.stored:
                wrong = msgspec.structs.replace(ring.position, stored=ring.position.stored - 1)
                readings = {
                    other: ProducerCounts(r.pushed, r.refused) for other, r in self.rings.items()
                }
                positions = {other: r.position for other, r in self.rings.items()} | self.lost
                assert not balance(positions | {source: wrong}, readings).is_balanced


TestHistory = History.TestCase


def test_nothing_balances() -> None:
    """A new data directory."""
    assert balance({}, {}) == Ledger(received=0, stored=0, spooled=0, waiting=0)
    assert balance({}, {}).is_balanced


def test_a_ring_that_nobody_has_read_waits() -> None:
    """What a worker pushed counts from the first moment, also what its ring refused."""
    ledger = balance({}, {b"r" * 16: ProducerCounts(pushed=5, refused=2)})
    assert ledger == Ledger(received=7, stored=0, spooled=0, waiting=5, dropped={"ring_full": 2})
    assert ledger.is_balanced


def test_shed_messages_were_received_and_dropped() -> None:
    """While their ring lives, once it is closed, and beside what other rings shed before."""
    past = Position(received=7, dropped={"message_limit": 7}, closed=True)
    closed = Position(
        offset=80, taken=3, stored=3, received=8, dropped={"message_limit": 5}, closed=True
    )
    living = {b"r" * 16: ProducerCounts(pushed=3, refused=0, messages_shed=5)}
    ledger = balance({RETIRED_TOTALS: past, b"r" * 16: Position(80, 3, 3)}, living)
    assert ledger == Ledger(
        received=15, stored=3, spooled=0, waiting=0, dropped={"message_limit": 12}
    )
    assert balance({RETIRED_TOTALS: past, b"r" * 16: closed}, living) == ledger
    assert balance({RETIRED_TOTALS: add_counts(past, closed)}, {}) == ledger
    assert ledger.is_balanced


@pytest.mark.parametrize(("stored", "expected"), [(3, True), (2, False), (4, False)])
def test_a_lost_or_doubled_count_is_not_balanced(stored: int, expected: bool) -> None:
    """The two sides are counted by different hands, so a slip of one of them is seen."""
    position = Position(offset=80, taken=3, stored=stored, received=3, closed=True)
    assert balance({b"r" * 16: position}, {}).is_balanced is expected


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 4), max_size=8), st.randoms())
def test_folding_keeps_every_count_in_any_order(
    counts: list[tuple[int, int, int, int]], chance: object
) -> None:
    """The ledger is the same before and after sources are folded."""
    sources = {
        number.to_bytes(16, "big"): Position(
            offset=8,
            taken=stored + poison,
            stored=stored,
            received=stored + poison + full,
            dropped={"poison": poison, "ring_full": full},
            closed=True,
        )
        for number, (stored, poison, full, _) in enumerate(counts, start=5)
    }
    past = Position(closed=True)
    for position in sources.values():
        past = add_counts(past, position)
    before = balance(sources, {})
    after = balance({RETIRED_TOTALS: past}, {})
    assert after.is_balanced
    assert (after.received, after.stored) == (before.received, before.stored)
    assert {reason: count for reason, count in after.dropped.items() if count} == {
        reason: count for reason, count in before.dropped.items() if count
    }

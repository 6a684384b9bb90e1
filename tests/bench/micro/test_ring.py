"""The benchmark of the ring runs, and measures what it says."""

import pytest

from bench.micro import measure, ring


def test_every_case_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each size is pushed and drained, with figures above zero, and no round is refused by a full ring."""
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(ring, "RING_BYTES", 4 << 20)
    monkeypatch.setattr(ring, "ENTRIES", 50)
    found = {row.name: row for row in ring.measures()}
    assert {f"{what} {size}" for what in ("push", "drain") for size in ring.CASES} <= found.keys()
    assert all(0 < row.fastest_ns <= row.ns <= row.slowest_ns for row in found.values())


@pytest.mark.parametrize("name", ring.CASES)
def test_entries_have_the_size_they_are_named_after(name: str) -> None:
    """An entry of "1 KB" has 1 KB with header and prefix, within a tenth."""
    size = sum(map(len, ring.sections(ring.CASES[name]))) + len(ring.HEADER) + 12
    assert size == pytest.approx(float(name.split()[0]) * 1000, rel=0.1)

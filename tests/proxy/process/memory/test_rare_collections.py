"""When reference cycles are looked for."""

import asyncio
import gc
import mmap
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from proxy.process.memory import garbage
from tests.support.programs import PROGRAM_S


class Node:
    """One of a pair that hold each other."""

    other: "Node"


def cycle() -> "weakref.ref[Node]":
    one = Node()
    two = Node()
    one.other = two
    two.other = one
    return weakref.ref(one)


def test_the_more_lives_the_rarer_it_is_looked_at() -> None:
    """Of a worker one part in 20 000 of the time, of a collector one in 1000; none within half a
    minute of another.
    """
    assert (
        garbage.pause_s(0.0, garbage.WORKER.rest)
        == garbage.pause_s(0.001, garbage.WORKER.rest)
        == 30.0
    )
    assert garbage.pause_s(0.05, garbage.WORKER.rest) == pytest.approx(1000)
    assert garbage.pause_s(0.05, garbage.COLLECTOR.rest) == pytest.approx(50)


async def test_what_is_in_a_cycle_goes_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection comes, again and again."""
    monkeypatch.setattr(garbage, "LEAST_PAUSE_S", 0.0)
    gc.disable()
    gc.freeze()  # what lives by now is seconds of work to look at

    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(garbage.collect_rarely(0), name="collect")
            before = gc.get_stats()[2]["collections"]
            for _ in range(2):
                found = cycle()
                while found() is not None:  # noqa: ASYNC110 - nobody says that it is gone
                    await asyncio.sleep(0.01)

            collecting.cancel()

        assert gc.get_stats()[2]["collections"] >= before + 2
    finally:
        gc.enable()


async def test_memory_that_grows_is_looked_through_before_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Garbage makes the next look longer, and so rarer: it came later, the more there was to find."""
    monkeypatch.setattr(garbage, "LEAST_PAUSE_S", 0.001)
    sizes = [mib << 20 for mib in (200, 200, 157, 156, 150, 125, 125, 124, 110, 100)]
    looked: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: looked.append(len(sizes)))
    monkeypatch.setattr(garbage, "pause_s", lambda took_s, rest: 1e9)
    with pytest.raises(IndexError):
        await garbage.collect_rarely(0, sizes.pop)
    assert looked == [6, 2]


def test_memory_is_what_a_process_has_for_itself() -> None:
    """Rings are mapped, too, and would look like growth."""
    page = b"x" * mmap.PAGESIZE
    before_bytes = garbage.own_bytes()
    # Not from the allocator, which may have as much free.
    with (
        mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own,
        mmap.mmap(-1, 32 << 20) as shared,
    ):
        for _ in range((32 << 20) // mmap.PAGESIZE):
            own.write(page)
        assert 30 << 20 <= garbage.own_bytes() - before_bytes <= 40 << 20
        for _ in range((32 << 20) // mmap.PAGESIZE):
            shared.write(page)
        assert garbage.own_bytes() - before_bytes <= 40 << 20


def test_without_proc_memory_does_not_grow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a sandbox; the task that collects must go on all the same."""
    monkeypatch.setattr(garbage, "Path", lambda _: tmp_path / "nothing")
    assert garbage.own_bytes() == 0


@pytest.mark.parametrize(("policy", "most_looks"), [("WORKER", 1000), ("COLLECTOR", 100)])
def test_a_tuned_interpreter_makes_no_full_collection_by_itself(
    policy: str, most_looks: int
) -> None:
    """However much comes to live; the young are looked at all the same, also where nothing was
    during the start.
    """
    program = f"""
import gc
from proxy.process.memory import garbage
class Node: pass
gc.disable()
garbage.tune(garbage.{policy})
before = [each["collections"] for each in gc.get_stats()]
kept = [Node() for _ in range(200_000)]
for node in kept:
    node.self = [node]
after = [each["collections"] for each in gc.get_stats()]
print(*(now - then for now, then in zip(after, before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_S,
    )
    young, middle, full = map(int, done.stdout.split())
    assert 1 <= young < most_looks
    assert bool(middle) == (policy == "WORKER")
    assert full == 0

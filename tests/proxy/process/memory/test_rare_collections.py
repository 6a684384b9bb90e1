"""When reference cycles are looked for."""

import asyncio
import gc
import subprocess
import sys
import weakref

import pytest

from proxy.process.memory import garbage
from tests.support.programs import PROGRAM_S


class Node:
    """One of a pair that hold each other."""

    other: "Node"


def cycle() -> "weakref.ref[Node]":
    one, two = Node(), Node()
    one.other, two.other = two, one
    return weakref.ref(one)


def test_the_more_lives_the_rarer_it_is_looked_at() -> None:
    """Of a worker one part in 20 000 of the time, of a collector one in 1000; none within half a minute of another."""
    assert garbage.pause_s(0.0, garbage.WORKER.rest) == garbage.pause_s(0.001, garbage.WORKER.rest) == 30.0
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


@pytest.mark.parametrize(("policy", "most_looks"), [("WORKER", 1000), ("COLLECTOR", 100)])
def test_a_tuned_interpreter_makes_no_full_collection_by_itself(policy: str, most_looks: int) -> None:
    """However much comes to live; the young are looked at all the same, also where nothing was during the start."""
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
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PROGRAM_S
    )
    young, middle, full = map(int, done.stdout.split())
    assert 1 <= young < most_looks
    assert bool(middle) == (policy == "WORKER")
    assert full == 0

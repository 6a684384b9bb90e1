"""The collector gives way to workers while it keeps up, and has its priority back when it does not."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from proxy.supervisor import courtesy
from proxy.supervisor.courtesy import (
    BUSY,
    CALM_S,
    CROWDED,
    LEAST_RING_BYTES,
    LOOK_S,
    MAX_REST_S,
    REST_S,
    START_S,
    STARVED,
    Courtesy,
    can_take_back,
)
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import running, service

STEP_S = LOOK_S + 0.001
"""Between two looks, as the supervisor has it: never less than it should be."""
needs_privilege = pytest.mark.skipif(not can_take_back(0), reason="needs CAP_SYS_NICE or a limit on niceness")


@contextmanager
def busy() -> Iterator[int]:
    """A process with two threads that never rest, on one core."""
    program = "import threading\ndef run():\n  while True: pass\nthreading.Thread(target=run).start()\nrun()"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        try:
            eventually(lambda: len(policies(process.pid)) == 2)
            for thread in threads(process.pid):
                os.sched_setaffinity(thread, {min(os.sched_getaffinity(0))})
            yield process.pid
        finally:
            process.kill()


def threads(pid: int) -> list[int]:
    return [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]


def policies(pid: int) -> list[int]:
    """How each thread of a process is scheduled."""
    return [os.sched_getscheduler(thread) for thread in threads(pid)]


@needs_privilege
def test_who_is_starved_has_its_priority_back() -> None:
    """All its threads yield after the start; beside somebody who never rests it is only a moment."""
    with busy() as collector:
        now, judged = 100.0, Courtesy()
        judged.look(collector, now)
        assert policies(collector) == [os.SCHED_OTHER] * 2
        now += 50 * START_S  # so much that what it really waited is nothing
        judged.look(collector, now)
        assert judged.yields
        assert policies(collector) == [os.SCHED_IDLE] * 2
        with busy():

            def is_starved() -> bool:
                nonlocal now
                time.sleep(LOOK_S)
                now += LOOK_S
                judged.look(collector, now)
                return not judged.yields

            eventually(is_starved)
        assert not judged.yields
        assert policies(collector) == [os.SCHED_OTHER] * 2


def test_a_core_that_is_crowded_is_not_yielded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits much of the time with its ordinary priority keeps it, however long."""
    waited = {2**30: 0}
    monkeypatch.setattr(courtesy, "_spent_ns", lambda pid: {each: (0, ns) for each, ns in waited.items()})
    judged, now = Courtesy(), 100.0
    while now < 200:
        judged.look(1, now)
        assert not judged.yields
        now += STEP_S
        waited[2**30] += int((CROWDED + 0.05) * STEP_S * 1e9)


def test_who_has_much_to_do_does_not_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads together count; with less to do it yields again after a rest."""
    ran = {2**30: 0, 2**30 + 1: 0}
    monkeypatch.setattr(courtesy, "_spent_ns", lambda pid: {thread: (ns, 0) for thread, ns in ran.items()})
    judged, now = Courtesy(), 100.0

    def look(share: float) -> bool:
        nonlocal now
        now += STEP_S
        for thread in ran:
            ran[thread] += int(share / 2 * STEP_S * 1e9)
        judged.look(1, now)
        return judged.yields

    assert {look(BUSY + 0.05) for _ in range(100)} == {False}
    assert [look(0) for _ in range(round(REST_S / LOOK_S) + 2)][-1]
    assert look(BUSY + 0.1)  # for a moment
    assert not [look(BUSY + 0.1) for _ in range(8)][-1]


@needs_privilege
def test_the_end_gives_its_priority_back() -> None:
    """What is left in the rings is waited for; and the next one begins with its own."""
    with busy() as collector:
        judged = Courtesy()
        judged.look(collector, 100.0)
        judged.look(collector, 200.0)
        assert judged.yields
        judged.end()
        assert policies(collector) == [os.SCHED_OTHER] * 2
        judged.look(collector, 300.0)
        assert judged.yields
        judged.look(os.getpid(), 400.0)
        assert not judged.yields


def test_a_rest_is_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a minute; a time of calm makes it short again."""
    waited = {2**30: 0}
    monkeypatch.setattr(courtesy, "_spent_ns", lambda pid: {each: (0, ns) for each, ns in waited.items()})
    judged, now = Courtesy(), 100.0
    judged.look(1, now)

    def rest_s() -> float:
        nonlocal now
        now += STEP_S
        waited[2**30] += int((STARVED + 0.05) * STEP_S * 1e9)
        judged.look(1, now)
        began = now
        while not judged.yields:
            now += STEP_S
            judged.look(1, now)
        return now - began

    rest_s()  # at its start it had its priority
    expected = [2, 4, 8, 16, 32, MAX_REST_S, MAX_REST_S]
    assert [rest_s() for _ in expected] == pytest.approx(expected, abs=2 * LOOK_S)
    for _ in range(round(2 * CALM_S / LOOK_S)):
        now += STEP_S
        judged.look(1, now)
    assert rest_s() == pytest.approx(2 * REST_S, abs=2 * LOOK_S)


def test_whether_it_can_be_taken_back_is_tried() -> None:
    """Not without privilege or a limit on niceness; whoever asks is scheduled as before."""
    before = os.sched_getscheduler(0)
    can_take_back(5)
    assert os.sched_getscheduler(0) == before
    if os.geteuid() == 0:
        program = (
            "import os; from proxy.supervisor.courtesy import can_take_back; "
            "os.setgid(65534); os.setuid(65534); print(can_take_back(5))"
        )
        limits = partial(resource.setrlimit, resource.RLIMIT_NICE, (0, 0))
        done = subprocess.run(
            [sys.executable, "-c", program], preexec_fn=limits, capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"


@pytest.mark.wide
@needs_privilege
def test_a_collector_yields_and_stops_in_order(tmp_path: Path) -> None:
    """Where it may; its niceness stays, workers are scheduled as ever."""
    with running(service()) as upstream:
        environ = {"SIDELOG_RING__BYTES": str(LEAST_RING_BYTES)}
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            (collector,) = await_pids(sidelog, "proxy.collector")
            eventually(lambda: set(policies(collector)) == {os.SCHED_IDLE})
            assert {os.getpriority(os.PRIO_PROCESS, collector)} == {5}
            assert os.sched_getscheduler(sidelog.pids("proxy.worker")[0]) == os.SCHED_OTHER
            assert sidelog.settled_ledger()["dropped"] == {}
        assert "without effect" not in sidelog.log


@pytest.mark.wide
def test_a_small_ring_does_not_yield(tmp_path: Path) -> None:
    """It is said why."""
    with running(service()) as upstream:
        environ = {"SIDELOG_COLLECTOR__YIELDS": "on", "SIDELOG_RING__BYTES": str(LEAST_RING_BYTES - 1)}
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            sidelog.await_log(f"[collector] yields is without effect: it takes a ring of {LEAST_RING_BYTES} bytes")


@pytest.mark.wide
@needs_privilege
def test_a_collector_that_shall_not_yield_does_not(tmp_path: Path) -> None:
    """Long after its start."""
    environ = {"SIDELOG_COLLECTOR__YIELDS": "off", "SIDELOG_RING__BYTES": str(LEAST_RING_BYTES)}
    with running(service()) as upstream, Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        (collector,) = await_pids(sidelog, "proxy.collector")
        time.sleep(START_S + 4 * LOOK_S)
        assert set(policies(collector)) == {os.SCHED_OTHER}

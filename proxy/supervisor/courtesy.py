"""Lets workers interrupt the collector at once where they share a core, as long as it keeps up. Linux only.

Strategy: a worker that is woken while the collector runs waits for the kernel's next ticks, 3 ms of the p99 at one
connection. A thread of SCHED_IDLE (sched(7)) gives way at once, whatever its niceness; but beside others that never
rest it gets three thousandths of a core. So it is looked at ten times a second how long each of its threads has waited
for one (`/proc/PID/task/TID/schedstat`: the kernel's scheduler/sched-stats), and how long they ran. When one
waits and hardly runs, they have their ordinary priority until the core is less crowded, and for twice as long when that
comes again soon. So they do while all together run for half of a core: the index of words, which comes last, would not
keep up.

To take the ordinary priority back needs CAP_SYS_NICE, or a limit on niceness (RLIMIT_NICE) that allows the
collector's. Whether it can be had is tried at the start, by a thread that ends.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOOK_S: Final = 0.1
"""Between two looks: of a burst that saturates its core from one moment to the next, a ring at 50 MB/s is a tenth full
when the collector has its priority back."""
_NEWEST_PART: Final = 0.4
"""Of what is judged over several looks, so that a batch that is stored is no crowd."""
LEAST_RING_BYTES: Final = 32 << 20
"""A smaller one could be full before."""
CROWDED: Final = 0.4
"""Share of the time that a thread has waited, with its ordinary priority: 0.1 to 0.34 at one connection, 0.60 to 0.78
where a worker saturates its core. It does not yield then."""
STARVED: Final = 0.2
"""The same while it yields, if it ran for less than a `STARVED_RATIO`th of that: at one connection it waits 0.5 and
runs 0.1, where a worker saturates its core it runs three thousandths."""
STARVED_RATIO: Final = 20
BUSY: Final = 0.5
"""Share of a core that all threads took together: 0.2 at one connection, 0.8 at saturation of two shared cores, where
900 000 records were not indexed after 30 s, and none where it did not yield (bench.macro.saturate)."""
START_S: Final = 2.0
"""So long it has its ordinary priority in any case."""
REST_S: Final = 1.0
"""It is twice as long each time, from the first on."""
MAX_REST_S: Final = 60.0
CALM_S: Final = 10.0
"""After so long a time without much waiting the next rest is short again."""

Spent = dict[int, tuple[int, int]]
"""Thread → how long it has run, and how long it has waited for a core, ns."""


class Courtesy:
    """The priority of one collector, by what it waited."""

    def __init__(self) -> None:
        self._pid = -1
        self._spent_ns: Spent = {}
        self._ran = self._waited = 0.0
        """Shares of the time of the last looks."""
        self._looked_at = 0.0
        self._rests_until = 0.0
        self._rest_s = REST_S
        self.yields = False
        """Whether it gives way now."""

    def next_look_s(self, now: float) -> float:
        return max(0.0, self._looked_at + LOOK_S - now)

    def look(self, pid: int, now: float) -> None:
        """Look how long it waited, if it is time to, and give or take its priority."""
        if now - self._looked_at < LOOK_S:
            return
        spent_ns = _spent_ns(pid)
        if pid == self._pid:
            looked_ns = (now - self._looked_at) * 1e9
            before = self._spent_ns
            ran_ns = waited_ns = 0
            for thread, (ran, waited) in spent_ns.items():
                ran_before, waited_before = before.get(thread, (ran, waited))
                ran_ns += ran - ran_before
                waited_ns = max(waited_ns, waited - waited_before)
            self._judge(ran_ns / looked_ns, waited_ns / looked_ns, now)
            _schedule(spent_ns, idle=self.yields)
        else:
            self._pid, self.yields = pid, False
            self._ran = self._waited = 0.0
            self._rest_s, self._rests_until = REST_S, now + START_S
        self._spent_ns, self._looked_at = spent_ns, now

    def end(self) -> None:
        """Give its priority back: what is left in the rings is waited for."""
        if self.yields:
            self.yields = False
            _schedule(_spent_ns(self._pid), idle=False)

    def _judge(self, ran: float, waited: float, now: float) -> None:
        self._ran += (ran - self._ran) * _NEWEST_PART
        self._waited += (waited - self._waited) * _NEWEST_PART
        is_starved = waited >= max(STARVED, STARVED_RATIO * ran)
        if self._ran >= BUSY or (is_starved if self.yields else self._waited >= CROWDED):
            if self.yields:
                self._rest_s = min(self._rest_s * 2, MAX_REST_S)
            self.yields = False
            self._rests_until = now + self._rest_s
        elif now >= self._rests_until:
            self.yields = True
            if now >= self._rests_until + CALM_S:
                self._rest_s = REST_S


def can_take_back(nice: int) -> bool:
    """Whether a process of a niceness may leave SCHED_IDLE again, and the kernel tells how long its threads wait."""
    if not hasattr(os, "SCHED_IDLE") or not Path("/proc/self/schedstat").exists():
        return False
    can: list[bool] = []

    def attempt() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        except OSError:
            return
        can.append(True)

    thread = threading.Thread(target=attempt, name="scheduling")
    thread.start()
    thread.join()
    return bool(can)


def _spent_ns(pid: int) -> Spent:
    """Read how long each thread of a process has run and waited since it began; empty when it is gone."""
    spent: Spent = {}
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return spent
    for thread in threads:
        try:
            ran, waited, _ = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()
        except (OSError, ValueError):  # it has ended
            continue
        spent[int(thread)] = int(ran), int(waited)
    return spent


def _schedule(threads: Iterable[int], *, idle: bool) -> None:
    policy = os.SCHED_IDLE if idle else os.SCHED_OTHER
    for thread in threads:
        try:
            # A thread begins as the one that made it was then.
            if os.sched_getscheduler(thread) != policy:
                os.sched_setscheduler(thread, policy, os.sched_param(0))
        except OSError:  # it has ended
            continue

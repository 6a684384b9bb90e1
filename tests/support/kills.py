"""kill -9 of random processes at random moments under load, and what clients and the ledger saw of
it.
"""

import http.client
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.support.load import Load, await_more
from tests.support.sidelog import Sidelog, await_pids, eventually

VICTIMS = ("proxy.worker", "proxy.collector", "all")
ROOM = {"SIDELOG_RING__BYTES": str(64 << 20)}
"""Rings of the default size: they hold what comes in while a collector starts on a machine with no
core to spare.
"""
KILL_PAUSE_S = 0.02
"""Of clients between requests: short enough for one of them to be in the middle of something at
each kill.
"""


@dataclass(slots=True)
class KillReport:
    """What some rounds of kills amounted to."""

    completed: list[str] = field(default_factory=list)
    """Record ids of all answers that arrived whole."""
    victims: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    """By victim: from the kill to the first answer on a connection opened after it; a start of all
    is included.
    """
    slowest_ledger_s: float = 0.0
    """From a kill to a ledger that could be read, and balanced."""

    def describe(self) -> str:
        """Say it in a line."""
        slowest = ", ".join(
            f"{victim} {seconds:.2f} s" for victim, seconds in sorted(self.slowest_s.items())
        )
        return (
            f"{self.victims.total()} kills {dict(self.victims)}, {len(self.completed)} answers; "
            "serving again after "
            f"at most: {slowest}; ledger balanced after at most {self.slowest_ledger_s:.2f} s"
        )


def kill_rounds(
    sidelog: Sidelog,
    rounds: int,
    seed: int,
    *,
    victims: Sequence[str] = VICTIMS,
    pause_s: float = 0.0,
    during: Callable[[int], AbstractContextManager[None]] = lambda number: nullcontext(),
) -> KillReport:
    """Kill processes in a random order, each kind as often as any other, under load; the ledger
    balances after each.

    Args:
        sidelog: running; it is running, and ready, again afterwards.
        rounds: how many kills.
        seed: of the moments and victims.
        victims: who is killed, in turn, in another order each time.
        pause_s: of each client between requests.
        during: what happens around each round, by its number.
    """
    chance = random.Random(seed)
    report = KillReport()
    order: list[str] = []

    for number in range(rounds):
        if not order:
            order = chance.sample(victims, len(victims))
        victim = order.pop()
        with during(number), Load(sidelog.port, pause_s=pause_s) as load:
            time.sleep(chance.uniform(0.1, 0.5))
            report.victims[victim] += 1
            killed_s = time.monotonic()

            if victim == "all":
                sidelog.kill_all()
                sidelog.start(is_awaited=False)
            else:
                os.kill(chance.choice(await_pids(sidelog, victim)), signal.SIGKILL)

            eventually(lambda: is_serving(sidelog))
            serving_s = time.monotonic() - killed_s
            report.slowest_s[victim] = max(report.slowest_s.get(victim, 0.0), serving_s)
            eventually(lambda: balanced_ledger(sidelog))
            report.slowest_ledger_s = max(report.slowest_ledger_s, time.monotonic() - killed_s)
            await_more(load.completed, 20)

        report.completed += load.completed

    eventually(sidelog.is_ready)
    return report


def is_serving(sidelog: Sidelog) -> bool:
    """Whether a new connection gets an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
    try:
        connection.request("GET", "/probe")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def balanced_ledger(sidelog: Sidelog) -> dict[str, Any] | None:
    """Read the ledger, which must balance whenever it can be read; None when nobody answers at
    present.
    """
    try:
        ledger: dict[str, Any] = sidelog.api("/api/ledger")
    except OSError:
        return None
    assert ledger["balanced"], ledger
    return ledger

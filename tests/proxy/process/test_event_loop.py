"""Signals stop a process in order; the second one at once."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from proxy.process.event_loop import new_event_loop, stop_signals
from tests.support.sidelog import ROOT


def test_the_loop_is_uvloop_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And asyncio's own elsewhere."""
    loop = new_event_loop()
    loop.close()
    assert type(loop).__module__.startswith("uvloop")
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert type(loop).__module__.startswith("asyncio")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks(number: signal.Signals) -> None:
    """The process goes on and is told to stop; afterwards the signal is what it was."""
    before = signal.getsignal(number)
    asked = asyncio.Event()
    with stop_signals(asked.set):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(60):
            await asked.wait()

    assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)


STUBBORN = """
import asyncio
from proxy.process.event_loop import new_event_loop, stop_signals

async def main():
    with stop_signals(lambda: print("asked", flush=True)):
        print("running", flush=True)
        await asyncio.sleep(60)

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


def test_the_second_signal_ends_at_once() -> None:
    """Whatever the process is waiting for."""
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1

"""What was freed is given back, which only a process of its own can show."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from proxy.process.memory import malloc
from tests.support.programs import PROGRAM_S

ROOT = Path(__file__).resolve().parents[4]
PRELUDE = """
import threading
from pathlib import Path
from proxy.process.memory import malloc

def own_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024
"""


def run(code: str) -> list[float]:
    """Run it in a fresh process; return the numbers it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_S,
    )
    return [float(word) for word in done.stdout.split()]


def test_free_memory_below_what_lives_goes_back() -> None:
    """Blocks that are freed under one that stays are pages of the heap, until they are given back."""
    before, kept, after = run("""
malloc.tune()
before = own_mib()
blocks = [b"x" * 2000 + bytes([number % 256]) for number in range(20_000)]
last = b"y" * 2000 + bytes(1)
del blocks
kept = own_mib()
malloc.trim()
print(before, kept, own_mib())
""")
    assert kept - before > 30
    assert after - before < 10


def test_threads_share_one_arena() -> None:
    """What a thread took and freed is there for the next one, so ten threads keep what one does."""
    arenas = run("""
malloc.tune()
barrier = threading.Barrier(10)

def work():
    barrier.wait()
    blocks = [b"x" * 2000 + bytes([number % 256]) for number in range(2_000)]
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import ctypes, tempfile
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "info")
    file = ctypes.c_void_p(library.fopen(str(path).encode(), b"w"))
    library.malloc_info(0, file)
    library.fclose(file)
    print(path.read_text().count("<heap nr="))
""")
    assert arenas == [1]


async def test_memory_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not much was held: what stays lies between holes after hours of little, too."""
    trimmed = threading.Event()
    monkeypatch.setattr(malloc, "TRIM_EVERY_S", 0.0)
    monkeypatch.setattr(malloc, "trim", trimmed.set)

    async with asyncio.TaskGroup() as tasks:
        trimming = tasks.create_task(malloc.trim_regularly(), name="memory")
        assert await asyncio.to_thread(trimmed.wait, 30)
        trimming.cancel()

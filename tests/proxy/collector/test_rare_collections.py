"""When reference cycles are looked for in a collector."""

import subprocess
import sys


def test_a_tuned_interpreter_looks_for_cycles_again() -> None:
    """Nothing is looked at during the start; from then on what comes to live is, rarely."""
    program = """
import gc
from proxy.collector.__main__ import tune_garbage_collection
class Node: pass
gc.disable()
tune_garbage_collection()
before = [each["collections"] for each in gc.get_stats()]
kept = [Node() for _ in range(200_000)]
for node in kept:
    node.self = [node]
after = [each["collections"] for each in gc.get_stats()]
print(*(now - then for now, then in zip(after, before)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    young, *_ = map(int, done.stdout.split())
    assert 1 <= young < 100

"""The whole collector, ring to SQLite, CPU per record: `python -m bench.micro.collector [--before
TREE]`.

A collector (`collecting.py`) runs in a process of its own and empties a ring that was filled for
it.
"""

from pathlib import Path
from typing import Final

from bench.micro.collecting import SCENARIOS
from bench.micro.in_turns import Program, run

PROGRAM: Final = Program(
    name="collector",
    child=Path(__file__).with_name("collecting.py"),
    scenarios=SCENARIOS,
    description="CPU time of the collector, µs a record",
)

if __name__ == "__main__":
    run(PROGRAM)

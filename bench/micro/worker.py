"""The whole data plane, bytes in, bytes out, CPU per request: `python -m bench.micro.worker
[--before TREE]`.

No kernel and no other process: what a request costs where everything is in the caches
(`relaying.py`). In place, beside collector, upstream and load, the same code takes three to four
times as long, so differences count several times there.
"""

from pathlib import Path
from typing import Final

from bench.micro.in_turns import Program, run
from bench.micro.relaying import HTTP2_SCENARIOS, SCENARIOS

PROGRAM: Final = Program(
    name="worker",
    child=Path(__file__).with_name("relaying.py"),
    scenarios=(*SCENARIOS, *HTTP2_SCENARIOS),
    description="CPU time of a worker without the kernel's part, µs a request",
)

if __name__ == "__main__":
    run(PROGRAM)

"""`python -m tests.fuzz --seconds N --seed S`: fuzz the data port until a violation is found or the
time is over.
"""

import argparse
import sys
import time

from tests.fuzz.runner import KINDS, Fuzzer


def main(argv: list[str]) -> int:
    """Run both kinds in turn; print a reproducer of the first violation of each kind it shows."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long, 60")
    parser.add_argument("--count", type=int, default=0, help="or how many inputs of each kind")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the clock's")
    parser.add_argument("--kind", choices=sorted(KINDS), help="only one side")
    options = parser.parse_args(argv)
    kinds = [options.kind] if options.kind else sorted(KINDS)
    found = 0

    for kind in kinds:
        with Fuzzer(kind, options.seed) as fuzzer:
            began = time.monotonic()
            deadline = None if options.count else began + options.seconds / len(kinds)
            violations = fuzzer.run(options.count or sys.maxsize, deadline)
            spent_s = time.monotonic() - began
            done = f"{fuzzer.done} inputs in {spent_s:.0f} s, seed {options.seed}"
            print(f"{kind}: {done}: {len(violations)} violations")  # noqa: T201
            for violation in violations:
                print(violation.report())  # noqa: T201
            found += len(violations)

    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

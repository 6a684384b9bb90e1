"""What is compared in turns does what it says, in a process of its own in each tree."""

import pytest

from bench.macro.place import HERE
from bench.micro import collector, worker
from bench.micro.in_turns import Program, Tree, cost, table


@pytest.mark.parametrize("program", [collector.PROGRAM, worker.PROGRAM], ids=lambda program: program.name)
def test_a_turn_is_measured(program: Program) -> None:
    """A program in this tree does a scenario twice, and says what an operation cost."""
    tree = Tree(HERE, program.child)
    try:
        found = cost("get", tree, None, 1)
    finally:
        tree.close()
    assert found.us > 0
    assert tree.process.returncode == 0
    assert f"| get |  | {found.us:.1f} |  |" in table([found])

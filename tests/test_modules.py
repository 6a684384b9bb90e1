"""Each module of the product can be imported by itself."""

import json
import subprocess
import sys
from collections import defaultdict
from functools import cache

import pytest

from tests.test_house import ROOT, imports_of, modules


@pytest.mark.long
def test_each_module_can_be_imported_by_itself() -> None:
    """None relies on another one having been imported before it.

    Each is imported in a process of its own, forked from one that has imported nothing of ours, or
    but one that it imports itself.
    """
    trees = {name: tree for name, tree in modules().items() if not name.endswith("__main__")}
    imported = {
        name: (imports_of(tree.body) & trees.keys()) - {name} for name, tree in trees.items()
    }
    below: dict[str, list[str]] = defaultdict(list)
    for name, above in nearest(imported).items():
        below[above].append(name)
    command = [sys.executable, "-m", "tests.support.import_each"]
    run = subprocess.run(
        command, cwd=ROOT, input=json.dumps(below), capture_output=True, text=True, check=False
    )
    assert sorted(run.stdout.split()) == sorted(trees), run.stderr


def nearest(imported: dict[str, set[str]]) -> dict[str, str]:
    """Return for each module which of those it imports needs most modules itself; "" for one that
    imports none.
    """

    @cache
    def needed(module: str) -> frozenset[str]:
        return frozenset({module}.union(*map(needed, imported[module])))

    return {
        module: max(targets, key=lambda name: len(needed(name)), default="")
        for module, targets in imported.items()
    }

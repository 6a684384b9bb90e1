"""Where the program calls `re`, and what it asks of what it compiles: read from its source."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.patterns.automaton import Use

ROOT: Final = Path(__file__).parents[3]
ROOMS: Final = ("proxy", "storage", "api")

_USES: Final[dict[str, Use]] = {
    **dict.fromkeys(("search", "finditer", "findall", "sub", "subn", "split", "scanner"), "search"),
    "match": "match",
    "fullmatch": "fullmatch",
}
_FACTS: Final = frozenset(("pattern", "flags", "groups", "groupindex"))
"""What asks a pattern nothing of a text."""


@dataclass(frozen=True)
class Call:
    """A call of `re` in a file, whose path is relative."""

    file: str
    line: int
    end_line: int
    name: str
    """That the pattern is given in its module; empty where it has none."""
    uses: frozenset[Use]
    """Empty where it cannot be read: a pattern handed on may be searched for."""


@cache
def source(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def files() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


@cache
def calls() -> dict[Call, ast.Call]:
    """Return all calls of `re` in the program, with their nodes."""
    wanted = _uses_of_names()
    return {call: node for path in files() for call, node in _calls_in(path, wanted)}


def _calls_in(
    path: Path, wanted: dict[tuple[str, str], set[str]]
) -> Iterator[tuple[Call, ast.Call]]:
    parents = {
        child: node for node in ast.walk(source(path)) for child in ast.iter_child_nodes(node)
    }
    file = str(path.relative_to(ROOT))
    for node in parents:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if not isinstance(node.func.value, ast.Name) or node.func.value.id != "re":
            continue
        if node.func.attr == "escape":
            continue

        asked = {node.func.attr}
        name = ""
        if node.func.attr == "compile":
            asked, name = _asked_of(node, parents, wanted, file)
        known = asked - _FACTS
        is_known = bool(known) and known <= _USES.keys()
        uses = frozenset(_USES[name] for name in known) if is_known else frozenset[Use]()
        yield Call(file, node.lineno, node.end_lineno or node.lineno, name, uses), node


def _asked_of(
    node: ast.Call,
    parents: dict[ast.AST, ast.AST],
    wanted: dict[tuple[str, str], set[str]],
    file: str,
) -> tuple[set[str], str]:
    """Return the methods that are called of a compiled pattern, one that is no method where it is
    handed on, and its name.
    """
    parent = parents[node]
    if isinstance(parent, ast.Attribute):
        return {parent.attr}, ""

    if isinstance(parent, ast.AnnAssign | ast.Assign):
        target = parent.target if isinstance(parent, ast.AnnAssign) else parent.targets[0]
        if isinstance(target, ast.Attribute):
            return {"handed on"}, target.attr
        if isinstance(target, ast.Name) and isinstance(parents[parent], ast.Module):
            return wanted[(file, target.id)], target.id

    return {"handed on"}, ""


def _uses_of_names() -> dict[tuple[str, str], set[str]]:
    """Return what is asked of each name of a module, there and where it is imported."""
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in files():
        tree = source(path)
        file = str(path.relative_to(ROOT))
        origins: dict[str, tuple[str, str]] = {}

        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    origins[name.asname or name.name] = (
                        node.module.replace(".", "/") + ".py",
                        name.name,
                    )

        asked = {
            id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                origin = origins.get(node.id, (file, node.id))
                wanted[origin].add(asked.get(id(node), "handed on"))

    return wanted

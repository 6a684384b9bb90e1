"""Changes between two JSON values, by path.

Strategy: members of objects are compared by name, in any order. Elements of arrays are aligned by
an identifying member (`id`, `name`, …) if all elements of both sides have a distinct one and the
sides share one; else by content, else by position. Strings are compared by code point, integers
exactly, fractions as doubles (IEEE 754), and `1` equals `1.0`. If a name is repeated in an object,
its last value counts, as for most readers. `NaN`, as Python writes it, is read as a string.
Invariant: there are no changes exactly if the values are equal, and the changes applied to the
first value give the second, unless there are too many to keep. Below `MAX_DEPTH` values are
compared as a whole: the cost is at most the length of both times that depth.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Literal, NamedTuple

import orjson

from api.compare.alignment import longest_increasing, unmatched

Kind = Literal["added", "removed", "changed", "type", "moved"]
Path = tuple[str | int, ...]
Pairs = Iterable[tuple[int | None, int | None]]

MAX_DEPTH: Final = 64
MAX_CHANGES: Final = 10_000
"""Limit of kept changes. Further ones are counted; each with everything below its path counts as
one.
"""
_IDENTIFYING: Final = ("id", "_id", "uuid", "guid", "key", "name", "slug", "index")
"""Members that may identify an element of an array, the surest first."""
_LARGE: Final = 1 << 60
_EXACT: Final = json.JSONEncoder(sort_keys=True)


class Change(NamedTuple):
    """One difference. A side without the value has None, and the path at which it would be."""

    kind: Kind
    """`type`: the value has another JSON type. `moved`: an identified element is at another index,
    or an array has the same elements in another order.
    """
    path: Path
    """Path in the second value."""
    old_path: Path
    """Path in the first value."""
    old: Any
    new: Any


class Changes:
    """The changes found so far."""

    __slots__ = ("kept", "more")

    def __init__(self) -> None:
        self.kept: list[Change] = []
        self.more = 0
        """Number of changes beyond the limit."""

    def add(
        self, kind: Kind, path: Path, old: Any, new: Any, *, old_path: Path | None = None
    ) -> None:
        """Add a change, at the same path in both values unless the old one is given."""
        if len(self.kept) < MAX_CHANGES:
            self.kept.append(Change(kind, path, path if old_path is None else old_path, old, new))
        else:
            self.more += 1

    def take(self, is_taken: Callable[[Change], bool]) -> list[Change]:
        """Remove the kept changes that satisfy a predicate, and return them."""
        taken: list[Change] = []
        left: list[Change] = []
        for change in self.kept:
            if is_taken(change):
                taken.append(change)
            else:
                left.append(change)
        self.kept = left
        return taken


def parse(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: the text is not JSON, is nested too deep, or has a number that is too large.
    """
    try:
        return _READER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _number(text: str) -> float | int:
    """Read a number with a fraction or an exponent; `1.0` becomes an integer."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} exceeds the range of a double")
    if number.is_integer():
        return int(number)
    return number


_READER: Final = json.JSONDecoder(parse_float=_number, parse_constant=str)
"""Created once: a stream has thousands of events."""


def json_changes(old: Any, new: Any) -> Changes:
    """Return the changes from one value to another, in the order of the second.

    Raises:
        RecursionError: the values are nested nearly too deep to be read.
    """
    found = Changes()
    _compare(old, new, (), (), found)
    return found


def _compare(old: Any, new: Any, old_path: Path, path: Path, found: Changes) -> None:
    may_descend = len(path) < MAX_DEPTH and not found.more
    if may_descend and type(old) is type(new) is dict:
        _compare_members(old, new, old_path, path, found)
    elif may_descend and type(old) is type(new) is list:
        _compare_elements(old, new, old_path, path, found)
    elif key_of(old) != key_of(new):
        # JSON has one number type.
        types = {float if type(value) is int else type(value) for value in (old, new)}
        kind: Kind = "changed" if len(types) == 1 else "type"
        found.add(kind, path, old, new, old_path=old_path)


def _compare_members(
    old: dict[str, Any], new: dict[str, Any], old_path: Path, path: Path, found: Changes
) -> None:
    for name, value in new.items():
        before = old.get(name)
        if name not in old:
            found.add("added", (*path, name), None, value, old_path=(*old_path, name))
        # The keys differ for `true` and `1`, which Python considers equal.
        elif value != before or key_of(value) != key_of(before):
            _compare(before, value, (*old_path, name), (*path, name), found)

    for name, value in old.items():
        if name not in new:
            found.add("removed", (*path, name), value, None, old_path=(*old_path, name))


def _compare_elements(
    old: list[Any], new: list[Any], old_path: Path, path: Path, found: Changes
) -> None:
    pairs, moved = _align(old, new)
    if len(moved) > 1:
        # A single change of the array says more than a move of each element.
        found.add("moved", path, old, new, old_path=old_path)
        moved = set()

    for i, j in pairs:
        if i is None:
            assert j is not None
            found.add("added", (*path, j), None, new[j], old_path=(*old_path, j))
        elif j is None:
            found.add("removed", (*path, i), old[i], None, old_path=(*old_path, i))
        else:
            if j in moved:
                found.add("moved", (*path, j), old[i], new[j], old_path=(*old_path, i))
            if key_of(old[i]) != key_of(new[j]):
                _compare(old[i], new[j], (*old_path, i), (*path, j), found)


def _align(old: list[Any], new: list[Any]) -> tuple[Pairs, set[int]]:
    """Pair the elements that may differ.

    Returns:
        Pairs of indices, None for no counterpart, and the indices in `new` that are out of order.
    """
    identifiers = _identifiers(old, new)
    if identifiers is None:
        return _align_by_content(old, new)

    ours, theirs = identifiers
    unpaired = {identifier: i for i, identifier in enumerate(ours)}
    pairs = [(unpaired.pop(identifier, None), j) for j, identifier in enumerate(theirs)]
    common = [(i, j) for i, j in pairs if i is not None]
    in_order = {common[place][1] for place in longest_increasing([i for i, _ in common])}
    moved = {j for _, j in common} - in_order
    return [*pairs, *((i, None) for i in unpaired.values())], moved


def _align_by_content(old: list[Any], new: list[Any]) -> tuple[Pairs, set[int]]:
    if len(old) == len(new) == 1:
        return [(0, 0)], set()
    ours = [key_of(each) for each in old]
    theirs = [key_of(each) for each in new]
    if len(ours) == len(theirs) and Counter(ours) == Counter(theirs):
        return [], {j for j, key in enumerate(theirs) if key != ours[j]}
    return unmatched(ours, theirs), set()


def _identifiers(old: list[Any], new: list[Any]) -> tuple[list[Hashable], list[Hashable]] | None:
    """Return the values of the identifying member on either side; None if there is no identifying
    member.

    Identifiers must have a value in common: otherwise they are generated anew for each response.
    """
    if not all(type(each) is dict for each in (*old, *new)):
        return None
    for member in _IDENTIFYING:
        if all(type(each.get(member)) in (str, int) for each in (*old, *new)):
            ours = [key_of(each[member]) for each in old]
            theirs = [key_of(each[member]) for each in new]
            is_distinct = len({*ours}) == len(ours) and len({*theirs}) == len(theirs)
            if is_distinct and not {*ours}.isdisjoint(theirs):
                return ours, theirs

    return None


def key_of(value: Any) -> Hashable:
    """Return a key that is the same for equal values only.

    Large integers are keyed by their text: a sender could choose many with the same hash.
    """
    if type(value) is str or (type(value) is int and -_LARGE < value < _LARGE):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # orjson refuses integers of more than 64 bits, lone surrogates, and deep nesting.
        return _EXACT.encode(value).encode()

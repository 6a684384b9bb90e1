"""What differs between two JSON values, by path. Pure.

Strategy: objects by name, in any order; arrays by what aligns their elements: a member that names
each (`id`, `name`, …) where all of both sides have a distinct one and some are the same, else their
content, else their position. Strings are compared by code point, integers exactly, fractions as
doubles (IEEE 754), `1` and `1.0` as the same number. Of a name that an object has twice the last
counts, as for most readers; `NaN` is no JSON (RFC 8259).

Invariant: there are no changes exactly if the values are equal, and as long as all are kept, the
changes applied to the first give the second. What is nested deeper than `MAX_DEPTH` is compared as
a whole, so that depth and width together cost no more than the length times that.
"""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson

from api.compare.alignment import differing, rising

Kind = Literal["added", "removed", "changed", "type", "moved"]
Path = tuple[str | int, ...]
Pairs = Iterable[tuple[int | None, int | None]]

MAX_DEPTH: Final = 64
MAX_CHANGES: Final = 10_000
"""Kept of two values; what differs beyond is counted, each place with all below it as one."""
_NAMING: Final = ("id", "_id", "uuid", "guid", "key", "name", "slug", "index")
"""Members that name an element of an array, the surest first."""
_LARGE: Final = 1 << 60
_EXACT: Final = json.JSONEncoder(sort_keys=True)


class Change(NamedTuple):
    """One difference; where a side has no value, its path is where it would be, and the value None."""

    kind: Kind
    """`type`: to a value of another JSON type; `moved`: of an element whose name is at another
    index, or of an array whose elements are the same in another order.
    """
    path: Path
    """In the second value."""
    old_path: Path
    """In the first."""
    old: Any
    new: Any


class Changes:
    """What was found, and how much more there is."""

    __slots__ = ("kept", "more")

    def __init__(self) -> None:
        self.kept: list[Change] = []
        self.more = 0

    def add(self, kind: Kind, path: Path, old_path: Path, old: Any, new: Any) -> None:
        if len(self.kept) < MAX_CHANGES:
            self.kept.append(Change(kind, path, old_path, old, new))
        else:
            self.more += 1


def parse(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: it is none, or nested too deep, or has a number that is too large.
    """
    try:
        return _READER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _number(text: str) -> float | int:
    """Read a number with a fraction or an exponent; `1.0` is the integer."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no double")
    return int(number) if number.is_integer() else number


_READER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_number)
"""Made once: a stream has thousands of events."""


def json_changes(old: Any, new: Any) -> Changes:
    """Return what differs, in the order of the second value.

    Raises:
        RecursionError: the values are nested nearly too deep to be read.
    """
    found = Changes()
    _compare(old, new, (), (), found)
    return found


def _compare(old: Any, new: Any, old_path: Path, path: Path, found: Changes) -> None:
    if type(old) is type(new) is dict and len(path) < MAX_DEPTH and not found.more:
        _compare_members(old, new, old_path, path, found)
    elif type(old) is type(new) is list and len(path) < MAX_DEPTH and not found.more:
        _compare_elements(old, new, old_path, path, found)
    elif key_of(old) != key_of(new):
        types = {float if type(value) is int else type(value) for value in (old, new)}
        found.add("changed" if len(types) == 1 else "type", path, old_path, old, new)


def _compare_members(
    old: dict[str, Any], new: dict[str, Any], old_path: Path, path: Path, found: Changes
) -> None:
    for name, value in new.items():
        before = old.get(name)
        if name not in old:
            found.add("added", (*path, name), (*old_path, name), None, value)
        elif value != before or key_of(value) != key_of(before):  # to Python, true is 1
            _compare(before, value, (*old_path, name), (*path, name), found)

    for name, value in old.items():
        if name not in new:
            found.add("removed", (*path, name), (*old_path, name), value, None)


def _compare_elements(
    old: list[Any], new: list[Any], old_path: Path, path: Path, found: Changes
) -> None:
    pairs, moved = _paired(old, new)
    if moved is None or len(moved) > 1:
        found.add("moved", path, old_path, old, new)
        moved = set()
    for i, j in pairs:
        if j is None:
            assert i is not None
            found.add("removed", (*path, i), (*old_path, i), old[i], None)
        elif i is None:
            found.add("added", (*path, j), (*old_path, j), None, new[j])
        else:
            if j in moved:
                found.add("moved", (*path, j), (*old_path, i), old[i], new[j])
            if key_of(old[i]) != key_of(new[j]):
                _compare(old[i], new[j], (*old_path, i), (*path, j), found)


def _paired(old: list[Any], new: list[Any]) -> tuple[Pairs, set[int] | None]:
    """Pair elements that may differ, and say which of the second array are out of order; None: only
    their order is.
    """
    names = _names_of(old, new)
    if names is None:
        if len(old) == len(new) == 1:
            return [(0, 0)], set()
        ours = [*map(key_of, old)]
        theirs = [*map(key_of, new)]
        if len(ours) == len(theirs) and Counter(ours) == Counter(theirs):
            return [], set() if ours == theirs else None

        return differing(ours, theirs), set()

    places = {name: i for i, name in enumerate(names[0])}
    pairs = [(places.pop(name, None), j) for j, name in enumerate(names[1])]
    common = [(i, j) for i, j in pairs if i is not None]
    in_order = {common[place][1] for place in rising([i for i, _ in common])}
    return [*pairs, *((i, None) for i in places.values())], {j for _, j in common} - in_order


def _names_of(
    old: list[Any], new: list[Any]
) -> tuple[Sequence[Hashable], Sequence[Hashable]] | None:
    """Return what names the elements of either side; None where nothing does, or no name is on
    both.
    """
    if not all(type(each) is dict for each in (*old, *new)):
        return None
    for member in _NAMING:
        if all(type(each.get(member)) in (str, int) for each in (*old, *new)):
            ours = [key_of(each[member]) for each in old]
            theirs = [key_of(each[member]) for each in new]
            distinct = set(ours)
            others = set(theirs)
            if len(distinct) == len(ours) and len(others) == len(theirs) and distinct & others:
                return ours, theirs

    return None


def key_of(value: Any) -> Hashable:
    """Return what is the same exactly for equal values, and has no hash that a sender chose, as
    large integers have.
    """
    if type(value) is str or (type(value) is int and -_LARGE < value < _LARGE):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a larger integer, half a surrogate pair, or too deep for it
        return _EXACT.encode(value).encode()

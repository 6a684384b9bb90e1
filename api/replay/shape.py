"""The shape of JSON: what all values seen at a place have in common. Pure.

Strategy: of each place the types are learned, of objects which members all of them had, of words the few that occur.
Objects that are keyed by data (ids, dates, names of users) have no members, but values of one shape. Values are not
compared, so that ids, dates and counts differ freely; what was never seen, such as elements of an array that was always
empty, is free as well, and so is what redaction has replaced.

Invariant: every value that was learned fits.
"""

import re
from typing import Any, Final

from api.compare.json_changes import MAX_DEPTH, Changes, Path

MAX_MEMBERS: Final = 64
"""An object with more names in all is keyed by data."""
MAX_WORDS: Final = 12
"""More different ones are free text."""
_MIN_TIMES: Final = 10
"""How often each word of an enum was seen, on average, before another one is a difference."""
_MIN_OBJECTS, _MIN_NAMES = 3, 8
"""So many objects with so many names in all, none of them common: they are keyed by data."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_DATA_KEY: Final = re.compile(r"-?\d+|\d{4}-\d\d-\d\d.*|[0-9A-Fa-f-]{16,}|.*[@/:\s].*|.*\d{4,}.*", re.DOTALL)
_REDACTED: Final = "[REDACTED"
_TYPES: Final = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
_ANY_KEY: Final = "*"
"""Stands for all members of an object that is keyed by data."""


def _type_of(value: Any) -> str:
    return _TYPES.get(type(value), "number")


class Shape:
    """What was seen at one place."""

    __slots__ = ("_elements", "_is_free", "_is_keyed", "_members", "_seen", "_types", "_words")

    def __init__(self) -> None:
        self._seen = 0
        self._types: dict[str, int] = {}
        self._is_free = self._is_keyed = False
        self._members: dict[str, Shape] = {}
        self._elements: Shape | None = None
        self._words: dict[str, int] | None = {}
        """Word → how often; None: there were too many, or texts."""

    def learn(self, value: Any, depth: int = 0) -> None:
        """Note a value; what is nested deeper than `MAX_DEPTH` stays free."""
        name = _type_of(value)
        self._seen += 1
        self._types[name] = self._types.get(name, 0) + 1
        self._is_free |= depth >= MAX_DEPTH or (name == "string" and _REDACTED in value)
        if self._is_free:
            return
        if name == "string":
            self._learn_word(value)
        elif name == "array":
            self._elements = self._elements or Shape()
            for each in value:
                self._elements.learn(each, depth + 1)
        elif name == "object":
            for key, each in value.items():
                self._members.setdefault(self._name_of(key), Shape()).learn(each, depth + 1)
            if len(self._members) > MAX_MEMBERS:
                self._fold()

    def _learn_word(self, text: str) -> None:
        if self._words is not None:
            self._words[text] = self._words.get(text, 0) + 1
            if len(self._words) > MAX_WORDS or not _WORD.fullmatch(text):
                self._words = None

    def _name_of(self, key: str) -> str:
        return _ANY_KEY if self._is_keyed or _DATA_KEY.fullmatch(key) else key

    def _fold(self) -> None:
        """Take all members for one: the object is keyed by data."""
        members, self._members, self._is_keyed = self._members, {}, True
        for each in members.values():
            self._members.setdefault(_ANY_KEY, Shape()).merge(each)

    def merge(self, other: "Shape") -> None:
        """Note all that another has seen."""
        self._seen += other._seen
        self._is_free |= other._is_free
        if other._is_keyed and not self._is_keyed:
            self._fold()
        for name, times in other._types.items():
            self._types[name] = self._types.get(name, 0) + times
        for key, each in other._members.items():
            self._members.setdefault(self._name_of(key), Shape()).merge(each)
        if other._elements is not None:
            self._elements = self._elements or Shape()
            self._elements.merge(other._elements)
        if self._words is not None and other._words is not None:
            for word, times in other._words.items():
                self._words[word] = self._words.get(word, 0) + times
        self._words = None if other._words is None or len(self._words or "") > MAX_WORDS else self._words

    def judge(self, value: Any, path: Path, found: Changes) -> None:
        """Add what does not fit: a type, a member that is missing or new, a word that an enum does not have."""
        name = _type_of(value)
        if self._is_free or not self._types.keys() - {"null"} or (name == "string" and _REDACTED in value):
            return
        if name not in self._types:
            found.add("type", path, path, " | ".join(self._types), name)
        elif name == "object":
            self._judge_members(value, path, found)
        elif name == "array" and self._elements is not None:
            for place, each in enumerate(value):
                self._elements.judge(each, (*path, place), found)
        elif name == "string" and self._words and value not in self._words and self._is_enum:
            found.add("changed", path, path, " | ".join(self._words), value)

    @property
    def _is_enum(self) -> bool:
        words = self._words or {}
        return sum(words.values()) >= _MIN_TIMES * len(words) and min(words.values(), default=0) > 1

    def _judge_members(self, value: dict[str, Any], path: Path, found: Changes) -> None:
        times = self._types["object"]
        named = [key for key in self._members if key != _ANY_KEY]
        common = [key for key in named if self._members[key]._seen == times]
        if not common and times >= _MIN_OBJECTS and len(named) >= _MIN_NAMES:
            self._fold()
        for key in common:
            if key not in value:
                found.add("removed", (*path, key), (*path, key), " | ".join(self._members[key]._types), None)
        for key, each in value.items():
            if (shape := self._members.get(self._name_of(key))) is not None:
                shape.judge(each, (*path, key), found)
            else:
                found.add("added", (*path, key), (*path, key), None, _type_of(each))

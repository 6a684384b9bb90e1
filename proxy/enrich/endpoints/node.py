"""A place in a tree of endpoints: what its children are called, and when their names are values.

Strategy: each name that was seen becomes a child, until there are so many of a class that they must
be values: then one child stands for all of them, and what was below them is put together below it.
How many there are does not depend on the order they came in, so neither does what becomes of them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from proxy.enrich.endpoints.segments import PATH, Class, class_of, stem_of

ID: Final = "{id}"
SLUG: Final = "{slug}"
NAME: Final = "{name}"
MAX_LITERALS: Final[dict[Class, int]] = {"data": 16, "word": 64, "call": 300}
"""Names of a class at one place; with more of them they are values."""
MAX_NUMBERED: Final = 6
"""Names at one place that differ in the number behind them alone: with more of them (`u1`, `u2`, …)
they are ids.
"""
MAX_WORDS_BESIDE_VALUES: Final = 24
"""The same of words where there are values already."""
_NAMES: Final = frozenset(
    (
        *(
            "me",
            "self",
            "current",
            "all",
            "latest",
            "new",
            "edit",
            "search",
            "count",
            "export",
            "import",
            "batch",
        ),
        *("bulk", "login", "logout", "health", "status", "metrics", "api"),
    )
)
"""Names that stand beside values everywhere, and are none (`/users/me`)."""
_KEPT_ENDPOINTS: Final = 3
"""A name with so many endpoints below it that none of the others has is none either: `/api` beside
pages.
"""

LITERAL, DATA, ANY, BELOW = range(4)
"""What at a place are values: nothing; what looks like data; any name that is not kept; everything
below it.
"""


class Node:
    __slots__ = ("children", "is_end", "is_rest", "literals", "stems", "takes", "template")

    def __init__(self, template: str) -> None:
        self.template = template
        self.children: dict[str, Node] = {}
        self.literals: dict[Class, int] = {"data": 0, "word": 0, "call": 0}
        self.stems: Counter[str] = Counter()
        """How many literals are a number behind the same word."""
        self.is_end = False
        self.is_rest = template.endswith(PATH)
        """Whether all that is below is the same endpoint."""
        self.takes = LITERAL

    def key_of(self, segment: str) -> str:
        """Return the name of a literal's child, whether it exists or not."""
        if self.takes == BELOW:
            return PATH
        if segment not in self.children:
            if self.takes == ANY and segment not in _NAMES:
                return NAME
            if self.takes == DATA:
                return value_of(segment) or segment

        return segment

    def add(self, key: str) -> "Node":
        """Make a child; `find_values` then decides whether its siblings are values."""
        child = self.children[key] = Node(
            f"{self.template}{key}" if key[0] == "#" else f"{self.template}/{key}"
        )
        if is_literal(key):
            self._count(key, 1)
        return child

    def take(self, key: str) -> "Node":
        """Take a child away."""
        if is_literal(key):
            self._count(key, -1)
        return self.children.pop(key)

    def _count(self, literal: str, change: int) -> None:
        self.literals[class_of(literal)] += change
        if (stem := stem_of(literal)) is not None:
            self.stems[stem] += change

    def find_values(self) -> int:
        """Decide which children are values, by their names."""
        literals = self.literals
        if self.takes == LITERAL:
            max_words = MAX_LITERALS["word"]
        else:
            max_words = MAX_WORDS_BESIDE_VALUES
        if literals["word"] > max_words or literals["call"] > MAX_LITERALS["call"]:
            return ANY

        is_numbered = max(self.stems.values(), default=0) > MAX_NUMBERED
        if is_numbered or literals["data"] > MAX_LITERALS["data"]:
            return max(self.takes, DATA)

        return self.takes

    def ends(self) -> Iterator["Node"]:
        """Go through the endpoints here and below."""
        if self.is_end:
            yield self
        for child in self.children.values():
            yield from child.ends()

    def absorbed(self, takes: int) -> list[str]:
        """Name the children that one placeholder replaces when it takes such values."""
        if takes == BELOW:
            return [key for key in self.children if key != PATH]
        if takes == DATA:
            return [key for key in self.children if is_literal(key) and value_of(key) is not None]
        names = [key for key in self.children if is_literal(key) or key == SLUG]
        return [key for key in names if not self._is_kept(key, names)]

    def _is_kept(self, key: str, names: list[str]) -> bool:
        if key == SLUG or key in _NAMES:
            return key in _NAMES
        child = self.children[key]
        if sum(1 for _ in child.ends()) < _KEPT_ENDPOINTS:
            return False

        own = {name for name in child.children if is_literal(name)}
        return bool(own) and not any(
            own & self.children[other].children.keys() for other in names if other != key
        )


def value_of(literal: str) -> str | None:
    """Return the placeholder of a literal where what looks like data is a value; None for a name."""
    if stem_of(literal) is not None:
        return ID
    return SLUG if class_of(literal) == "data" else None


def is_literal(key: str) -> bool:
    return key[0] not in "{*#"

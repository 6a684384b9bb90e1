"""A node in a tree of endpoints: its children, and the rule that decides when names are values.

Strategy: each new name becomes a child, until a class has so many that they must be values. Then
one placeholder replaces them, and their subtrees are merged below it. Only the number of names
counts, not their order, so the result does not depend on the order of requests either.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from proxy.enrich.endpoints.segments import PATH, Class, class_of, stem_of

ID: Final = "{id}"
SLUG: Final = "{slug}"
NAME: Final = "{name}"
MAX_LITERALS: Final[dict[Class, int]] = {"data": 16, "word": 64, "call": 300}
"""Names per class at one node. More than that are values."""
MAX_NUMBERED: Final = 6
"""Names at one node that differ only in a trailing number.

More than that (`u1`, `u2`, …) are ids.
"""
MAX_WORDS_BESIDE_VALUES: Final = 24
"""Words at a node that already has values. More than that are values as well."""
_NAMES: Final = frozenset(
    (
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
        "bulk",
        "login",
        "logout",
        "health",
        "status",
        "metrics",
        "api",
    )
)
"""Names that often stand next to values and are not values themselves (`/users/me`)."""
_KEPT_ENDPOINTS: Final = 3
"""A name with this many endpoints below it stays a name if its siblings have none: `/api` next to
pages.
"""

LITERAL, DATA, ANY, BELOW = range(4)
"""Kinds of values at a node: none; segments that look like data; any name that is not kept;
everything below it.
"""


class Node:
    __slots__ = ("children", "is_end", "is_rest", "literals", "stems", "takes", "template")

    def __init__(self, template: str) -> None:
        self.template = template
        self.children: dict[str, Node] = {}
        self.literals: dict[Class, int] = {"data": 0, "word": 0, "call": 0}
        self.stems: Counter[str] = Counter()
        """Number of literals by the word before their trailing number."""
        self.is_end = False
        self.is_rest = template.endswith(PATH)
        """True if everything below is the same endpoint."""
        self.takes = LITERAL

    def key_of(self, segment: str) -> str:
        """Return the key of a segment's child, existing or not."""
        if self.takes == BELOW:
            return PATH
        if segment not in self.children:
            if self.takes == ANY and segment not in _NAMES:
                return NAME
            if self.takes == DATA:
                return value_of(segment) or segment

        return segment

    def add(self, key: str) -> "Node":
        """Add a child. `find_values` then decides if its siblings are values."""
        child = self.children[key] = Node(
            f"{self.template}{key}" if key[0] == "#" else f"{self.template}/{key}"
        )
        if is_literal(key):
            self._count(key, 1)
        return child

    def take(self, key: str) -> "Node":
        """Remove a child from this node by its key, and return the child."""
        if is_literal(key):
            self._count(key, -1)
        return self.children.pop(key)

    def _count(self, literal: str, change: int) -> None:
        self.literals[class_of(literal)] += change
        if (stem := stem_of(literal)) is not None:
            self.stems[stem] += change

    def find_values(self) -> int:
        """Return the kind of segments that the node should take, judged by the names of its
        children.
        """
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
        """Yield this node and the nodes under it at which an endpoint ends."""
        if self.is_end:
            yield self
        for child in self.children.values():
            yield from child.ends()

    def absorbed(self, takes: int) -> list[str]:
        """Return the keys of the children that placeholders replace once the node takes segments of
        the kind `takes`, such as `DATA`.
        """
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
    """Return the placeholder of a literal at a node where data are values; None for a name."""
    if stem_of(literal) is not None:
        return ID
    if class_of(literal) == "data":
        return SLUG
    return None


def is_literal(key: str) -> bool:
    return key[0] not in "{*#"

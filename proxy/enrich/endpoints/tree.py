"""The endpoints of one service, learned from the paths it answered, as a tree over their segments.

Strategy: shapes first (`segments.py`), then the number of names at a node (`node.py`). Static
files are recognised by their kind below the first segment, trees of WebDAV by the paths its methods
were used on. An endpoint that turns out to be a value is replaced for new requests; records keep
the name they were stored with.

Invariant: at most `MAX_ENDPOINTS` endpoints; once something is a value, it stays one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType
from typing import Final

import msgspec

from proxy.enrich.endpoints.node import ANY, BELOW, LITERAL, NAME, SLUG, Node, is_literal, value_of
from proxy.enrich.endpoints.segments import MAX_SEGMENTS, PATH, asset, placeholder, split

MAX_ENDPOINTS: Final = 500
MAX_OPERATIONS: Final = 100
"""Operation names (GraphQL, MCP) of one path. Further ones share an endpoint."""
MAX_SHARES: Final = 8
"""WebDAV trees, by their first segment. With more of them, the whole service is one tree."""
_OPERATION: Final = "#{operation}"
DAV_METHODS: Final = frozenset(
    (
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "MKCALENDAR",
        "SEARCH",
    )
)
DAV_PROOFS: Final = frozenset(
    (*((method, 207) for method in ("PROPFIND", "PROPPATCH", "REPORT", "SEARCH")), ("MKCOL", 201), ("MKCALENDAR", 201),
     ("COPY", 201), ("COPY", 204), ("MOVE", 201), ("MOVE", 204))
)  # fmt: skip
"""Methods and statuses that only a WebDAV server returns (RFC 4918 §9). Others return 200 to
anything, or fail.
"""
_MIN_NAMES: Final = 4
"""Names at a node before it is generalised because there are too many endpoints."""


class Learned(msgspec.Struct):
    """The state of a tree, in the form in which it is stored."""

    endpoints: list[str]
    values: dict[str, int]
    """Template of a node → kind of the values below it."""
    shares: list[list[str]]


def reduced(learned: Learned, names: Collection[str]) -> Learned:
    """Return learned endpoints, reduced to those with the given names."""
    endpoints = [name for name in learned.endpoints if (name or "/") in names]

    def leads_on(place: str) -> bool:
        return any(name == place or name.startswith(f"{place}/") for name in endpoints)

    return Learned(
        endpoints,
        {place: takes for place, takes in learned.values.items() if leads_on(place)},
        [
            share
            for share in learned.shares
            if leads_on("".join(f"/{segment}" for segment in share))
        ],
    )


class Tree:
    def __init__(self) -> None:
        self.root = Node("")
        self.endpoints = 0
        self.is_settled = False
        """True if no node has many names and none was added since. Searching again takes 1 ms."""
        self.is_changed = False
        """True if the tree has learned anything since this was reset."""
        self._shares: dict[str, list[str]] = {}
        """First segment → the common path of its WebDAV requests."""
        self.version = 0
        """Number of times that endpoints got new names."""

    def find(self, path: str, operation: str | None = None) -> Node | None:
        """Return the endpoint of a path; None if no similar path was learned."""
        node = self._find(path, operation)
        if node is not None and (node.is_end or node.is_rest):
            return node
        return None

    def find_refused(self, path: str, operation: str) -> Node | None:
        """Return the endpoint of an operation that was refused, else that of its path if the path
        is known.
        """
        found = self.find(path, operation)
        if found is not None:
            return found
        node = self._find(path, None)
        is_known = node is not None and (node.is_end or any(key[0] == "#" for key in node.children))
        if is_known:
            return node
        return None

    def _find(self, path: str, operation: str | None) -> Node | None:
        # Same as `_walk`, but known segments are looked up before they are examined: 1.3 instead of
        # 4 µs.
        node = self.root
        is_plain = (
            operation is None
            and ";" not in path
            and "." not in path
            and path.count("/") <= MAX_SEGMENTS
        )
        for segment in path.split("/") if is_plain else self._segments(path, operation):
            if segment:
                children = node.children
                child = children.get(segment)
                if child is None:
                    is_number = segment.isdigit() and node.takes != BELOW
                    child = children.get("{id}" if is_number else _key(node, segment))
                    if child is None:
                        return None

                if child.is_rest:
                    return child

                node = child

        return node

    def learn(
        self, path: str, operation: str | None = None, *, is_share: bool = False
    ) -> Node | None:
        """Return the endpoint of a path that was answered, creating it if needed; None over the
        limit.

        `is_share` means that the response proves a WebDAV tree.
        """
        if is_share:
            self._learn_share([placeholder(segment) or segment for segment in split(path)])
        found = self.find(path, operation)
        if found is not None:
            return found
        if self.endpoints >= MAX_ENDPOINTS and not self._make_room():
            return self.find(path, operation)

        return self._end(self._walk(self._segments(path, operation)))

    def learned(self) -> Learned:
        """Return the endpoints and values that the tree has learned, to store or merge them."""
        marks = {}
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            if node.takes != LITERAL:
                marks[node.template] = node.takes

        endpoints = [end.template for end in self.root.ends()]
        return Learned(endpoints, dict(sorted(marks.items())), list(self._shares.values()))

    def merge(self, learned: Learned) -> None:
        """Add endpoints and values that `learned` of this or another tree returned."""
        marks = learned.values
        for template, takes in marks.items():
            node = self._walk(_parts(template))
            if takes > node.takes:
                self._generalise(node, takes)

        for share in learned.shares:
            self._learn_share(share)
        for template in learned.endpoints:
            if self.endpoints < MAX_ENDPOINTS:
                self._end(self._walk(_parts(template), marks))

    def _segments(self, path: str, operation: str | None) -> list[str]:
        segments = split(path)
        if operation is not None:
            return [*segments, f"#{operation}"]

        if (
            segments
            and segments[0] not in self._shares
            and (kind := asset(segments[-1])) is not None
        ):
            is_below_value = any(placeholder(segment) is not None for segment in segments[:-1])
            segments[0 if len(segments) == 1 else -1 if is_below_value else 1 :] = [kind]

        return segments

    def _walk(
        self, segments: Iterable[str], marks: Mapping[str, int] = MappingProxyType({})
    ) -> Node:
        """Return the node of some segments, creating it if needed.

        At nodes in `marks`, names are kept as they were stored.
        """
        node = self.root
        for segment in segments:
            is_kept = node.takes < BELOW and 0 < node.takes <= marks.get(node.template, LITERAL)
            key = segment if is_kept else _key(node, segment)

            child = node.children.get(key)
            if child is None:
                child = node.add(key)
                self.is_settled = False
                if key[0] == "#":
                    child = _bounded(node, key)
                elif is_literal(key) and (takes := node.find_values()) != node.takes:
                    self._generalise(node, takes)
                    child = node.children[node.key_of(segment)]

            node = child
            if node.is_rest:
                break

        return node

    def _end(self, node: Node) -> Node:
        if not node.is_end:
            node.is_end = True
            self.endpoints += 1
            self.is_changed = True
        return node

    def _learn_share(self, segments: Sequence[str]) -> None:
        """Learn from the path of a WebDAV request: the common path of all of them is a tree of
        files.
        """
        if not segments:
            return
        known = self._shares.get(segments[0])
        if known is None and len(self._shares) > MAX_SHARES:
            return

        common = list(segments)
        if known is not None:
            pairs = takewhile(lambda pair: pair[0] == pair[1], zip(known, segments, strict=False))
            common = [same for same, _ in pairs]
        if common != known:
            self._shares[segments[0]] = common
            if len(self._shares) > MAX_SHARES:
                node = self.root
            else:
                node = self._walk(common)
            if node.takes != BELOW:
                self._generalise(node, BELOW)

    def _make_room(self) -> bool:
        """Generalise the node with the most names, whatever they look like; return False if none
        has many.
        """
        if self.is_settled:
            return False
        best = self.root
        most = 0

        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            count = sum(map(is_literal, node.children))
            if node.takes < ANY and count > most:
                best = node
                most = count

        if most < _MIN_NAMES:
            self.is_settled = True
            return False

        self._generalise(best, ANY)
        return self.endpoints < MAX_ENDPOINTS

    def _generalise(self, node: Node, takes: int) -> None:
        """Replace those children of a node that are values by placeholders."""
        absorbed = node.absorbed(takes)
        node.takes = takes
        self.version += 1
        self.is_changed = True
        self.is_settled = False
        if takes == BELOW:
            self._sink(node)
            return

        for key in absorbed:
            place = NAME if takes == ANY else value_of(key) or SLUG
            target = node.children.get(place) or node.add(place)
            self._merge(node.take(key), target)

    def _sink(self, node: Node) -> None:
        """Merge all endpoints below a node into one."""
        gone = [
            end for child in node.children.values() for end in child.ends() if not child.is_rest
        ]
        rest = node.children.get(PATH) or Node(f"{node.template}/{PATH}")
        node.children.clear()
        if not gone and not rest.is_end:
            return

        node.children[PATH] = rest
        self.endpoints += (0 if rest.is_end else 1) - len(gone)
        rest.is_end = True

    def _merge(self, source: Node, target: Node) -> None:
        """Move an endpoint, and everything below it, to another node."""
        if source.is_end:
            if target.is_end:
                self.endpoints -= 1
            target.is_end = True

        if source.takes > target.takes:
            self._generalise(target, source.takes)
        for key, child in source.children.items():
            key = key if key[0] in "{*#" else target.key_of(key)
            known = target.children.get(key)
            self._merge(child, target.add(key) if known is None else known)
            if is_literal(key) and (takes := target.find_values()) != target.takes:
                self._generalise(target, takes)

        if target.takes == BELOW:
            self._sink(target)


def _key(node: Node, segment: str) -> str:
    if segment[0] in "{*#":
        if node.takes != BELOW or segment == PATH:
            return segment
        return PATH
    if node.takes == BELOW:
        return PATH
    return placeholder(segment) or node.key_of(segment)


def _parts(template: str) -> list[str]:
    path, mark, operation = template.partition("#")
    return [*(part for part in path.split("/") if part), *([mark + operation] if mark else [])]


def _bounded(node: Node, key: str) -> Node:
    """Return the child for a new operation, or over the limit the one shared by further operations."""
    if len(node.children) <= MAX_OPERATIONS:
        return node.children[key]
    del node.children[key]
    return node.children.get(_OPERATION) or node.add(_OPERATION)

"""The endpoint of each request, for one sidecar.

Strategy: configured endpoints come first. Otherwise a tree for each route and project learns from
    the paths that were answered, and a known path is found again by one look-up. Nothing is learned
    from statuses that a service returns for any path, so a client that guesses paths creates no
    endpoints. Projects do not
share trees, so readers of one learn nothing of another's paths. Outgoing calls have a tree for each
host, and their names begin with it: `api.example.com/users/{id}`.

Invariant: at most `MAX_TREES` trees, each of bounded size. All but `name` may be called from other
threads.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from typing import Final

from proxy.enrich.endpoints import tree
from proxy.enrich.endpoints.node import Node
from proxy.enrich.endpoints.tree import DAV_METHODS, DAV_PROOFS, Tree
from storage.record import Record

MAX_PATH_CHARACTERS: Final = 1024
"""Longest path that is matched with templates: patterns with several parameters take time."""
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}|\*")


class Given:
    """Finds the configured template of a path, including those of a route's OpenAPI description.

    `{name}` is any segment, or a part of one; `*` at the end is any path below. A literal takes
    precedence over a parameter (OpenAPI 3.1 §4.8.8.1). If a path leads nowhere below the literal,
    the parameter is tried.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        self._root = _Place()
        for template in templates:
            place = self._root
            for part in template.split("/"):
                if part:
                    place = place.below(part)
            place.template = template

    def find(self, path: str) -> str | None:
        segments = [segment for segment in path.split("/") if segment]
        if len(path) <= MAX_PATH_CHARACTERS:
            return self._root.find(segments, 0)
        return None


class _Place:
    __slots__ = ("literals", "patterns", "template")

    def __init__(self) -> None:
        self.literals: dict[str, _Place] = {}
        self.patterns: dict[str, tuple[re.Pattern[str], _Place]] = {}
        self.template: str | None = None

    def below(self, part: str) -> "_Place":
        if _PARAMETER.search(part) is None:
            return self.literals.setdefault(part, _Place())
        if part not in self.patterns:
            self.patterns[part] = (_pattern_of(part), _Place())
        return self.patterns[part][1]

    def find(self, segments: list[str], index: int) -> str | None:
        if index == len(segments):
            return self.template
        segment = segments[index]
        literal = self.literals.get(segment)
        if literal is not None and (found := literal.find(segments, index + 1)) is not None:
            return found

        for part, (pattern, place) in self.patterns.items():
            if part == "*" and place.template is not None:
                continue
            if (
                pattern.fullmatch(segment)
                and (found := place.find(segments, index + 1)) is not None
            ):
                return found

        rest = self.patterns.get("*")
        if rest is None:
            return None
        return rest[1].template


def _pattern_of(part: str) -> re.Pattern[str]:
    """Compile a segment with parameters, each of which matches at least one character.

    A parameter ends at the first occurrence of the literal after it, without backtracking; only the
    last parameter extends as far as possible. So a segment is scanned once.
    """
    first, *between, last = map(re.escape, _PARAMETER.split(part))
    shortest = "".join(f"(?>.+?{literal})" for literal in between)
    return re.compile(f"{first}{shortest}.+{last}")


UNKNOWN: Final = "{unknown}"
"""Endpoint of paths that were never answered."""
OTHER: Final = "{other}"
"""Endpoint of paths beyond the limits."""
MAX_TREES: Final = 256
MAX_MEMO_PATHS: Final = 4096
MAX_MEMO_PATH_CHARACTERS: Final = 256
"""Longest path in a memo: with the limit of paths at most 2 MiB a tree. Trees with little traffic
have few.
"""
MAX_MEMO_TOTAL: Final = 65_536
"""Limit of memoised paths of all trees together."""
NO_LESSON: Final = frozenset(
    (None, 301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 429, 501, 502, 503, 504)
)
"""Statuses that servers, and the proxy itself, return regardless of the path."""

MAX_METHODS: Final = 4096
"""Limit of gRPC methods that were answered; a quarter of it for the others."""

Key = tuple[str | None, str | None]
"""Route and project. Outgoing calls have `//` and the host instead of the route."""
Learned = list[tuple[str | None, str | None, tree.Learned]]


class Service:
    """The endpoints of one route and project."""

    __slots__ = ("memo", "tree", "version")

    def __init__(self) -> None:
        self.tree = Tree()
        self.memo: dict[str, Node] = {}
        """Endpoint by path."""
        self.version = 0
        """Version of the tree that the memo belongs to."""


class Endpoints:
    def __init__(self, given: Mapping[str, Iterable[str]] | None = None) -> None:
        """Use the configured templates `given`, by the id of their route."""
        self._given = {route: Given(templates) for route, templates in (given or {}).items()}
        self._services: dict[Key, Service] = {}
        self._paths = 0
        self._methods: set[str] = set()
        self._guessed_methods: set[str] = set()
        """gRPC methods without an answer. Clients may call any name, but a service answers only its
        own methods.
        """
        self._lock = Lock()

    def name(self, record: Record, operation: str | None = None) -> str | None:
        """Return the endpoint of a record of an exchange, and learn from it; None if it has no
        path.

        The endpoint of a tunnel is its host and port.
        """
        path = record.path
        if path is None:
            return None
        if record.direction == "in":
            return self._template(record, path, (record.route_id, record.project), operation)
        if not path.startswith("/"):
            return path

        host = (record.host or "").lower()
        template = self._template(record, path, (f"//{host}", record.project), operation)
        return f"{host}/{template.removeprefix('/')}"

    def _template(self, record: Record, path: str, key: Key, operation: str | None) -> str:
        if record.grpc is not None:
            return self._name_call(record, path)

        service = self._services.get(key)
        if service is not None and operation is None:
            # 0.3 µs a request; the steps below take 1 to 4 (bench.micro.endpoints).
            node = service.memo.get(path)
            if node is not None and record.method not in DAV_METHODS:
                return node.template or "/"

        if self._given and (given := self._given.get(record.route_id or "")) is not None:
            template = given.find(path)
            if template is not None:
                if operation is None:
                    return template
                return f"{template}#{operation}"

        with self._lock:
            return self._name(record, path, key, operation)

    def _name_call(self, record: Record, path: str) -> str:
        """Return the endpoint of a gRPC call: its path, which names service and method."""
        call = record.grpc
        if path in self._methods:
            return path

        is_answered = call is not None and (call.status == 0 or bool(call.response_messages))
        methods, most = (
            (self._methods, MAX_METHODS)
            if is_answered
            else (self._guessed_methods, MAX_METHODS // 4)
        )
        if path not in methods:
            if len(methods) >= most:
                return OTHER
            methods.add(path)

        return path

    def _name(self, record: Record, path: str, key: Key, operation: str | None) -> str:
        service = self._services.get(key)
        if record.status in NO_LESSON:
            if service is None:
                node = None
            else:
                node = _known(service.tree, path, operation)
            if node is None:
                return UNKNOWN
            return node.template or "/"

        if service is None:
            if len(self._services) >= MAX_TREES:
                return OTHER
            service = self._services[key] = Service()

        learning = service.tree
        is_share = (record.method, record.status) in DAV_PROOFS
        node = learning.learn(path, operation, is_share=is_share)
        if node is None:
            return OTHER

        if (
            learning.version != service.version
            or len(service.memo) >= MAX_MEMO_PATHS
            or self._paths >= MAX_MEMO_TOTAL
        ):
            self._forget([service] if self._paths < MAX_MEMO_TOTAL else self._services.values())

        if operation is None and len(path) <= MAX_MEMO_PATH_CHARACTERS and path not in service.memo:
            service.memo[path] = node
            self._paths += 1
        return node.template or "/"

    def _forget(self, services: Iterable[Service]) -> None:
        for each in services:
            self._paths -= len(each.memo)
            each.memo.clear()
            each.version = each.tree.version

    @property
    def is_changed(self) -> bool:
        """Return True if anything about endpoints was learned since the last `take_changes`."""
        with self._lock:
            return any(service.tree.is_changed for service in self._services.values())

    def take_changes(self) -> Learned:
        """Return everything learned about endpoints so far, to store it, and clear `is_changed`."""
        with self._lock:
            for service in self._services.values():
                service.tree.is_changed = False
            return [(*key, service.tree.learned()) for key, service in self._services.items()]

    def merge(self, kept: Learned) -> None:
        """Add the endpoints that `take_changes` of this or another sidecar returned earlier to
        those learned here.
        """
        with self._lock:
            for route, project, learned in kept:
                if len(self._services) >= MAX_TREES and (route, project) not in self._services:
                    continue
                service = self._services.setdefault((route, project), Service())
                service.tree.merge(learned)
                self._forget([service])

    def keep(self, names: Mapping[Key, Collection[str]]) -> None:
        """Forget all learned endpoints except those with the given names, by service."""
        with self._lock:
            for key, service in [*self._services.items()]:
                left = tree.reduced(service.tree.learned(), names.get(key, ()))
                del self._services[key]
                self._paths -= len(service.memo)
                if left.endpoints:
                    service = self._services[key] = Service()
                    service.tree.merge(left)


def key_of(name: str, route: str | None, project: str | None) -> tuple[Key, str]:
    """Return the key of the tree that holds an endpoint, and the endpoint's name within that tree."""
    host, slash, path = name.partition("/")
    if host and slash:
        return (f"//{host}", project), f"/{path}"
    return (route, project), name


def _known(learned: Tree, path: str, operation: str | None) -> Node | None:
    if operation is None:
        return learned.find(path)
    return learned.find_refused(path, operation)

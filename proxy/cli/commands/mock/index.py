"""Finds the recording that answers a request by the strongest match, or else the nearest one.

Recordings are looked up by the keys of each strength, and the few with that key by their headers.
If several fit, they form a sequence: served in recorded order, then the last one again and again.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from api.identity.match import Level, differences, header_level
from proxy.cli.commands.files.source import template_of
from proxy.cli.commands.mock.recording import Asked, Member
from proxy.enrich.endpoints.endpoints import Given

MAX_COMPARED: Final = 100
"""Number of recordings among which the nearest is looked for."""

_Key = tuple[object, ...]


class Found(NamedTuple):
    """A recording that answers."""

    level: Level
    member: Member


class Miss(NamedTuple):
    """No answer, and the differences to the nearest recording."""

    nearest: Member | None
    level: Level
    """Strength of the nearest."""
    differences: list[str]


class Index:
    """All recordings that may answer."""

    def __init__(self, least: Level) -> None:
        """Accept matches of at least a strength."""
        self._least = least
        self.members: list[Member] = []
        self._by_key: dict[_Key, list[Member]] = defaultdict(list)
        self._by_endpoint: dict[_Key, list[Member]] = defaultdict(list)
        self._templates: dict[str, Given] = {}
        self._hosts: set[str | None] = set()
        self._turns: dict[tuple[int, int, int], int] = {}
        """Number of answers served from a sequence: by its first and last number, and its length.
        """

    def add(self, member: Member) -> None:
        """Add a recording; call in recorded order."""
        self.members.append(member)
        self._hosts.add(member.recorded.record.host)
        for kind, key in zip(("exact", "stable", "loose"), member.keys, strict=True):
            self._by_key[kind, key].append(member)

    def finish(self) -> None:
        """Learn the endpoints of all added recordings."""
        templates: dict[str, set[str]] = defaultdict(set)
        for member in self.members:
            record = member.recorded.record
            templates[record.method or ""].add(
                (record.endpoint or template_of(record.path or "")).partition("#")[0]
            )

        self._templates = {method: Given(found) for method, found in templates.items()}
        for member in self.members:
            record = member.recorded.record
            self._by_endpoint[self._endpoint(record.method, record.path, member.operation)].append(
                member
            )

    def _endpoint(self, method: str | None, path: str | None, operation: str | None) -> _Key:
        given = self._templates.get(method or "")
        if given is None:
            template = None
        else:
            template = given.find(path or "")
        return method, template or template_of(path or ""), operation

    def find(self, asked: Asked) -> Found | Miss:
        """Return the answer to a request, and count it as served."""
        for level, fitting in self._fitting(asked):
            if fitting and level >= self._least:
                return Found(level, self._next(fitting))
        return self._miss(asked)

    def _fitting(self, asked: Asked) -> Iterable[tuple[Level, list[Member]]]:
        """Yield sequences, strongest match first; some may be empty."""
        keys = asked.keys
        same = self._by_headers(asked, self._by_key.get(("exact", keys.exact), []))
        yield Level.EXACT, same[Level.EXACT]
        yield Level.SAME, same[Level.SAME]
        stable = self._by_headers(asked, self._by_key.get(("stable", keys.stable), []))
        yield Level.SAME, stable[Level.EXACT] or stable[Level.SAME]
        loose = self._by_headers(asked, self._by_key.get(("loose", keys.loose), []))
        found = loose[Level.EXACT] or loose[Level.SAME]
        yield Level.SAME, [each for each in found if each.keys.stable == found[0].keys.stable]
        if self._least > Level.ENDPOINT:
            return

        endpoint = self._of_endpoint(asked)
        for part in ("query", "path"):
            document = asked.request.document
            alike = [e for e in endpoint if e.request.document.get("path") == document.get("path")]
            if part == "query":
                alike = [
                    e for e in alike if e.request.document.get("query") == document.get("query")
                ]

            yield Level.ENDPOINT, alike

        yield Level.ENDPOINT, endpoint

    def _of_endpoint(self, asked: Asked) -> list[Member]:
        record = asked.record
        members = self._by_endpoint.get(
            self._endpoint(record.method, record.path, asked.operation), []
        )
        fitting = self._by_headers(asked, members)
        return fitting[Level.EXACT] or fitting[Level.SAME]

    def _by_headers(self, asked: Asked, members: Sequence[Member]) -> dict[Level, list[Member]]:
        """Group recordings by how well their headers match."""
        parted: dict[Level, list[Member]] = {level: [] for level in Level}
        for each in self._of_host(asked, members):
            parted[header_level(each.request, each.answer, asked.request)[0]].append(each)
        return parted

    def _of_host(self, asked: Asked, members: Sequence[Member]) -> list[Member]:
        """Return the recordings of the requested host, or all if the suite has none of it."""
        host = asked.record.host
        if host not in self._hosts:
            return [*members]
        return [each for each in members if each.recorded.record.host in (host, None)]

    def _next(self, sequence: list[Member]) -> Member:
        key = sequence[0].number, sequence[-1].number, len(sequence)
        turn = self._turns.get(key, 0)
        self._turns[key] = min(turn + 1, len(sequence) - 1)
        return sequence[turn]

    def _miss(self, asked: Asked) -> Miss:
        record = asked.record
        key = self._endpoint(record.method, record.path, asked.operation)
        endpoint = self._of_host(asked, self._by_endpoint.get(key, []))
        level = Level.ENDPOINT if endpoint else Level.NONE
        # Of the endpoint, or else of the path under any method, or else all.
        of_path = [each for each in self.members if each.recorded.record.path == record.path]
        compared = (endpoint or of_path or self.members)[:MAX_COMPARED]

        def distance(member: Member) -> tuple[int, int]:
            """Return the number of differences that matter, and of all."""
            both = member.request, member.answer, asked.request
            return len(differences(*both, self._least)), len(differences(*both))

        nearest = min(compared, key=distance, default=None)
        if nearest is None:
            return Miss(None, level, [])

        both = nearest.request, nearest.answer, asked.request
        return Miss(nearest, level, differences(*both, self._least))

"""Configured endpoints: `endpoints` of a route, including those of its OpenAPI description.

Strategy: a tree over segments; a literal wins over a parameter, as OpenAPI 3.1 §4.8.8.1 wants it, and a path that leads
nowhere behind a literal is looked for behind the parameter beside it.
"""

import re
from collections.abc import Iterable
from typing import Final

MAX_PATH_CHARACTERS: Final = 1024
"""Longer paths are not looked for: patterns of several parameters take their time."""
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}|\*")


class Given:
    """Finds which of some templates a path is of. `{name}` is any segment, or a part of one; `*` at the end is any
    path below."""

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
        return self._root.find(segments, 0) if len(path) <= MAX_PATH_CHARACTERS else None


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
            pattern = ".+".join(map(re.escape, _PARAMETER.split(part)))
            self.patterns[part] = (re.compile(pattern), _Place())
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
            if pattern.fullmatch(segment) and (found := place.find(segments, index + 1)) is not None:
                return found
        rest = self.patterns.get("*")
        return None if rest is None else rest[1].template

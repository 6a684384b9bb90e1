"""Header rules: fields that the settings set or remove on the way, in either direction. Pure.

Compiled once for each route, the general rules first, then the route's own, which win. They are
applied where a head is built or read for the first time, never to a message: a route without rules
pays nothing, and one with rules next to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from proxy.http1.field_lines import name_of
from proxy.http1.response_head import ResponseHead


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The rules of one route for one direction, ready to be applied."""

    without: frozenset[bytes] = frozenset()
    """Lower-case names of the fields that go."""
    lines: bytes = b""
    """Fields that come, each with its CRLF."""

    def and_without(self, name: str) -> "HeaderRules":
        """Return these rules and one more that removes a field; an empty name is none."""
        if name:
            return replace(self, without=self.without | {name.lower().encode()})
        return self

    def apply(self, head: ResponseHead) -> None:
        """Change the head of a final response, as 101 is; informational ones are between the
        connections.
        """
        if (head.status < 200 and head.status != 101) or not (
            self.lines or self._may_remove(head.prefix)
        ):
            return

        kept = [
            line
            for line in head.fields.splitlines(keepends=True)
            if name_of(line) not in self.without
        ]
        head.prefix = head.status_line + b"".join(kept) + self.lines + head.framing

    def _may_remove(self, prefix: bytes) -> bool:
        lowered = prefix.lower()
        for name in self.without:  # noqa: SIM110 - a generator takes three times as long
            if name in lowered:
                return True
        return False


def compile_rules(*layers: Mapping[str, str]) -> HeaderRules:
    """Put rules together, each a name and its value, empty to remove the field; a later layer wins.

    Values are text that Latin-1 can encode.
    """
    lines: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            lines.pop(name.lower(), None)  # so that the later layer's come last
            lines[name.lower()] = f"{name}: {value}\r\n" if value else ""

    return HeaderRules(
        frozenset(name.encode() for name in lines), "".join(lines.values()).encode("latin-1")
    )

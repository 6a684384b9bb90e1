"""Header rules: fields that the settings set, remove and add on the way, in either direction. Pure.

Compiled once for each route, the general rules first, then the route's own, which win. They are applied where a head is
built or read for the first time, never to a message: a route without rules pays nothing, and one with rules next to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.http1.field_lines import name_of
from proxy.http1.response_head import ResponseHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The configured rules for one direction; values are text that Latin-1 can encode."""

    set: Mapping[str, str]
    remove: Sequence[str]
    add: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The rules of one route for one direction, ready to be applied."""

    without: frozenset[bytes] = frozenset()
    """Lower-case names of the fields that go."""
    lines: bytes = b""
    """Fields that come, each with its CRLF."""

    def and_without(self, name: str) -> "HeaderRules":
        """Return these rules and one more that removes a field; an empty name is none."""
        return replace(self, without=self.without | {name.lower().encode()}) if name else self

    def apply(self, head: ResponseHead) -> None:
        """Change the head of a final response, as 101 is; informational ones are between the connections."""
        if (head.status < 200 and head.status != 101) or not (self.lines or self._may_remove(head.prefix)):
            return
        kept = [line for line in head.fields.splitlines(keepends=True) if name_of(line) not in self.without]
        head.prefix = head.status_line + b"".join(kept) + self.lines + head.framing

    def _may_remove(self, prefix: bytes) -> bool:
        lowered = prefix.lower()
        for name in self.without:  # noqa: SIM110 - a generator takes three times as long
            if name in lowered:
                return True
        return False


def compile_rules(*layers: Rules) -> HeaderRules:
    """Put rules together; a later layer wins over what an earlier one sets or adds under the same name."""
    without: set[str] = set()
    lines: list[tuple[str, str]] = []
    for layer in layers:
        gone = {name.lower() for name in (*layer.set, *layer.remove)}
        without |= gone
        lines = [(name, value) for name, value in lines if name.lower() not in gone]
        lines += [*layer.set.items(), *layer.add.items()]
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return HeaderRules(frozenset(name.encode() for name in without), text.encode("latin-1"))

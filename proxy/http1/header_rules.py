"""Header rules: fields that the settings set or remove, in either direction.

They are compiled once for each route, the general rules first, then the route's own, which win.
They are applied when a head is read or rendered for the first time, not when it is looked up: rules
cost next to nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from proxy.http1.field_lines import name_of
from proxy.http1.response_head import ResponseHead


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The rules of one route for one direction, ready to be applied."""

    without: frozenset[bytes] = frozenset()
    """Lower-case names of the fields to remove; those that are set among them."""
    lines: bytes = b""
    """The field lines to add, each with its CRLF."""

    def and_without(self, name: str) -> "HeaderRules":
        """Return these rules extended by one that removes the named field; an empty name adds no
        rule.
        """
        if name:
            return replace(self, without=self.without | {name.lower().encode()})
        return self

    def apply(self, head: ResponseHead) -> None:
        """Apply the rules to a final response, or a 101; other informational ones stay."""
        if head.status < 200 and head.status != 101:
            return
        if not self.lines and not self._may_remove(head.prefix):
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
    """Compile name → value mappings. An empty value removes the field; a later layer wins.

    Values are text that Latin-1 can encode.
    """
    lines: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            lines.pop(name.lower(), None)  # so that the later layer's lines come last
            lines[name.lower()] = f"{name}: {value}\r\n" if value else ""

    return HeaderRules(
        frozenset(name.encode() for name in lines), "".join(lines.values()).encode("latin-1")
    )

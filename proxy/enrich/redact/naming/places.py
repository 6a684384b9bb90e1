"""Places in a JSON document where nothing is a secret for its name: `body.properties.*`, as configured.

A place is the path of a member from the outermost object, as in docs/fields.md; `*` is any member, and lists add no
step. Only text from the beginning of a document has places: the rest of one, or a document in a string, has no path.
"""

import re
from collections.abc import Iterable
from typing import Final

BODY: Final = "body."
ANY: Final = b"*"
_DOCUMENT: Final = re.compile(rb"\s*[{\[]")
_STRUCTURE: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)"\s*+(:?)|([{}\[\]])', re.DOTALL)


class PlaceFinder:
    """Follows a text to one member after the other."""

    __slots__ = ("_frames", "_places", "_position", "_text")

    def __init__(self, text: bytes, places: Iterable[tuple[bytes, ...]]) -> None:
        self._places = tuple(places) if _DOCUMENT.match(text) is not None else ()
        self._text = text
        self._position = 0
        self._frames: list[bytes | None] = []
        """Of each object that is open the name of its member; None for a list."""

    def is_excepted(self, at: int, name: bytes) -> bool:
        """Whether the member of a name that begins at a position, behind those asked for before, is in a place."""
        if not self._places:
            return False
        for found in _STRUCTURE.finditer(self._text, self._position, at):
            if found[3] is None:
                if found[2] and self._frames:
                    self._frames[-1] = found[1]
            elif found[3] in (b"{", b"["):
                self._frames.append(b"" if found[3] == b"{" else None)
            elif self._frames:
                self._frames.pop()
        self._position = max(at, self._position)
        path = [member for member in self._frames[:-1] if member is not None]
        return any(_matches(place, (*path, name)) for place in self._places)


def places_in(excepted: Iterable[str]) -> tuple[tuple[bytes, ...], ...]:
    """Return the places among what is excepted: paths of members."""
    return tuple(tuple(text.removeprefix(BODY).encode().split(b".")) for text in excepted if text.startswith(BODY))


def _matches(place: tuple[bytes, ...], path: tuple[bytes, ...]) -> bool:
    return len(place) == len(path) and all(part in (ANY, member) for part, member in zip(place, path, strict=True))

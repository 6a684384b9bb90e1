"""The characters that a pattern is judged over, as sets of bits: all bytes, or a choice of all
text.

Two bits stand for no character: the place before the first, and the one behind the last.
"""

import re._compiler as compiler  # type: ignore[import-not-found]
import re._constants as constants  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from typing import Any, Final

_TEXT: Final = (
    *map(chr, range(0x250)),
    *"\u0301\u0663\u2003\u2028\u3042\u4e2d\u212a\ufeff\uff10\uff21\U0001f600\ud800",
)
"""Of each kind that a pattern may tell from others: letters of any case, marks, digits, spaces,
surrogates.
"""
_BYTES: Final = tuple(bytes([byte]) for byte in range(256))


class Alphabet:
    """The characters of bytes or of text, and the sets that leaves of a parse tree stand for."""

    def __init__(self, *, is_bytes: bool) -> None:
        self._characters: tuple[bytes, ...] | tuple[str, ...] = _BYTES if is_bytes else _TEXT
        self.any: Final = (1 << len(self._characters)) - 1
        self.begin: Final = 1 << len(self._characters)
        self.end: Final = 1 << (len(self._characters) + 1)
        self.all: Final = self.any | self.begin | self.end
        self._memo: dict[tuple[str, int], int] = {}
        self.line_feed: Final = 1 << 10

    def set_of(self, node: tuple[Any, Any], flags: int) -> int:
        """Return the characters that a leaf matches, as `re` itself says."""
        key = (repr(node), flags)
        if key not in self._memo:
            state = parser.State()
            state.flags = flags
            matches = compiler.compile(parser.SubPattern(state, [node])).match
            bits = (1 << at for at, character in enumerate(self._characters) if matches(character))
            self._memo[key] = sum(bits)

        return self._memo[key]

    def words(self, flags: int) -> int:
        return self.set_of((constants.IN, [(constants.CATEGORY, constants.CATEGORY_WORD)]), flags)

    def show(self, bits: int) -> str:
        """Return the first characters of a set, for a message."""
        found = [character for at, character in enumerate(self._characters) if bits >> at & 1]
        return repr(found[0]) if found else "nothing"

"""One kind of content: its name, how it is declared, how large it is, and how a body of it is made.
Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

Family = Literal["text", "other scripts and escapes", "octets", "octets in text"]
"""What a body is to whoever searches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Bodies that are alike, and of which no two are equal."""

    name: str
    """Of a short word and the size: `json-16k`."""
    title: str
    """For a person."""
    family: Family
    content_type: str
    size: int
    """Bytes of each body, before a content coding."""
    make: Callable[[Random, int], bytes]
    """Makes a body of exactly so many bytes by what it draws; with a content coding, of fewer."""
    content_encoding: str = ""
    is_request: bool = False
    """Whether clients send it, and no service answers with it."""

    def body(self, seed: int) -> bytes:
        """Return the body of a number: the same at each call and in each process, and another for
        each number.
        """
        return self.make(Random(f"{self.name}-{seed}"), self.size)

"""Joints: the characters around a sign in values of several words, such as `user-3701` and mail
addresses. Pure.

Strategy: each word of such a value occurs in many records, often together with the others, while
the characters around the sign are rare. A joint is up to eight bytes: three before the sign, the
sign, and up to four after it. Times, amounts and UUIDs have no joints: the byte before the sign
must be a letter, one of the three must not be a hexadecimal digit, and a digit must follow. Around
an `@` any characters are allowed.

Invariant: text with the eight bytes of a joint has its term. The same holds for a shorter joint if
the text has it followed by the end of a word. `storage.search.index.joint_arrays` finds the same
joints in a text.
"""

import re
from collections.abc import Iterator
from typing import Final

BEFORE: Final = 3
"""Bytes before the sign."""
BEHIND: Final = 4
_JOINT: Final = re.compile(
    r"(?=[a-z0-9_]{0,2}[g-z])(?=([a-z0-9_]{2}[a-z][-.:][0-9][a-z0-9_]{0,3}))|(?=([a-z0-9_]{3}@[a-z0-9_]{1,4}))"
)


def joints_of(part: str, *, is_end: bool) -> Iterator[str]:
    """Yield the joints of every text that has a given part of a value.

    Args:
        part: ASCII in lower case.
        is_end: Whether the value ends with it, so that no joint continues beyond it.
    """
    for found in _JOINT.finditer(part):
        joint = found[1] or found[2]
        goes_on = len(joint) < BEFORE + 1 + BEHIND and found.start() + len(joint) == len(part)
        if is_end or not goes_on:
            yield joint

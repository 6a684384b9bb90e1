"""Joints of values of several words: the letters about a sign, as in `user-3701` and mail
addresses. Pure.

Strategy: each word of such a value is in many records, and in one neighbourhood with the others;
what stands about the sign is in few. A joint is eight bytes: three before the sign, itself, and up
to four behind. Times, amounts and UUIDs have none: before the sign must be a letter, one of the
three that is no hexadecimal digit, and behind it a digit; about an `@` may be anything.

Invariant: bytes with the eight of a joint have its term; so has, where a joint has fewer, what ends
with it. Those of a text, in `storage.search.index.joint_arrays`, are the same.
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
    """List the joints that a text has for certain that has a part of a value.

    Args:
        part: of ASCII, in lower case.
        is_end: whether the value ends with it: behind the value stands what is in no joint.
    """
    for found in _JOINT.finditer(part):
        joint = found[1] or found[2]
        goes_on = len(joint) < BEFORE + 1 + BEHIND and found.start() + len(joint) == len(part)
        if is_end or not goes_on:
            yield joint

"""A sandbox that refuses system calls, as a container's seccomp profile does (seccomp(2), x86-64
only).

`python -m tests.support.sandbox 319,290 COMMAND…` runs a command in it.
"""

import ctypes
import errno
import os
import struct
import sys
from typing import Final

NUMBERS: Final = {
    "memfd_create": 319,
    "eventfd2": 290,
    "fallocate": 285,
    "inotify_init1": 294,
    "flock": 73,
}
"""Of x86-64."""
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2


def refuse(numbers: list[int]) -> None:
    """Refuse system calls for this process and all that it starts."""
    last = len(numbers)
    program = [(_LOAD, 0, 0, 0)]
    program += [(_JUMP_IF_EQUAL, last - index, 0, number) for index, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    described = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _FILTER, described, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "prctl refuses to make a sandbox")


if __name__ == "__main__":
    refuse([int(number) for number in sys.argv[1].split(",")])
    os.execvp(sys.argv[2], sys.argv[2:])

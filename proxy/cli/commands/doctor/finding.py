"""A finding of `sidelog doctor`."""

import os
from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One line of the report."""

    state: State
    name: str
    text: str
    fix: str = ""


def is_read_only(space: os.statvfs_result) -> bool:
    return bool(space.f_flag & os.ST_RDONLY)


def why_not_writable(space: os.statvfs_result) -> str:
    if is_read_only(space):
        return "on a read-only file system"
    return f"not writable for uid {os.geteuid()}"

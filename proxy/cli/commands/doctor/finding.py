"""What a check of `sidelog doctor` reports."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One line of the report."""

    state: State
    name: str
    text: str
    fix: str = ""

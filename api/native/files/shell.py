"""Words of a command line, quoted: nothing in a record becomes an option, a file name or a second command. Pure.

Standard: POSIX shell quoting (XCU 2.2.2).
"""

import re
import shlex
from itertools import groupby
from typing import Final

from api.http.responses import ApiObject

REDACTED: Final = re.compile(r"\[REDACTED(?::[0-9a-f]+)?\]")


class CurlLine(ApiObject):
    """A command, and notes to read before running it."""

    command: str
    notes: list[str]


def word(text: str) -> str:
    """Quote one shell word; what a terminal would obey is made by printf, so that the line itself is safe to show."""
    runs = groupby(text, lambda character: character.isprintable() or character in "\t\n")
    return "".join([shlex.quote("".join(run)) if is_safe else _printf("".join(run)) for is_safe, run in runs]) or "''"


def _printf(controls: str) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in controls.encode("utf-8", "surrogatepass"))
    return f"\"$(printf '{octal}')\""

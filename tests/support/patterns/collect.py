"""Collects the patterns that `re` compiles for the program: `python -m
tests.support.patterns.collect`.

Imports each module of the program while `re` is watched, and then makes what compiles patterns of
its own. Prints them as JSON, with where each was compiled.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.patterns.calls import ROOT, files


@dataclass(frozen=True)
class Compiled:
    """A pattern, its text as Latin-1 where it is one of bytes, and the line that compiled it."""

    file: str
    line: int
    pattern: str
    flags: int
    is_bytes: bool

    def again(self) -> re.Pattern[bytes] | re.Pattern[str]:
        flags = self.flags & ~re.TEMPLATE
        if self.is_bytes:
            return re.compile(self.pattern.encode("latin-1"), flags)
        return re.compile(self.pattern, flags)


def watch(found: set[Compiled]) -> None:
    """Note each pattern that code of the program has compiled from now on."""
    compile_any: Callable[[Any, int], re.Pattern[Any]] = re._compile  # type: ignore[attr-defined]

    def noted(pattern: Any, flags: int) -> re.Pattern[Any]:
        compiled = compile_any(pattern, flags)
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename == re.__file__:
            frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if (
            path.is_relative_to(ROOT)
            and ".venv" not in path.parts
            and isinstance(pattern, bytes | str)
        ):
            text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
            place = str(path.relative_to(ROOT))
            found.add(
                Compiled(
                    place, frame.f_lineno, text, int(compiled.flags), isinstance(pattern, bytes)
                )
            )

        return compiled

    re._compile = noted  # type: ignore[attr-defined]


def compile_all() -> None:
    """Import everything, and use what assembles patterns when it runs."""
    for path in files():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__"):
            importlib.import_module(name)

    from proxy.enrich.endpoints.endpoints import _pattern_of
    from proxy.enrich.formats.json_parts import find_text
    from proxy.enrich.redact.redactor import Redactor

    redactor = Redactor()
    redactor.redact_by_pattern(b"DE89370400440532013000")
    query = b'{"query":"mutation($p:String){login(password:$p){id}}","variables":{"p":"x"}}'
    redactor.redact_body(query, b"", b"application/json", is_truncated=False)
    find_text(b"{}", b"code")
    _pattern_of("{a}-{b}.{c}{d}.json")


if __name__ == "__main__":
    compiled: set[Compiled] = set()
    watch(compiled)
    compile_all()
    json.dump([asdict(each) for each in compiled], sys.stdout)

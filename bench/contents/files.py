"""Real files: of packages that are installed for the benchmarks (`make bench-setup`), or by
accident, or of Python.

What is looked for in a package may be missing; whoever asks then generates, and `missing` names it
for the reader.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parents[2]
_STANDARD_LIBRARY: Final = Path(os.__file__).parent
SOURCES: Final = {
    "messages in German": ("django", "**/locale/de/LC_MESSAGES/*.po"),
    "messages in Russian": ("django", "**/locale/ru/LC_MESSAGES/*.po"),
    "messages in Chinese": ("django", "**/locale/zh_Hans/LC_MESSAGES/*.po"),
    "pages": ("django", "**/templates/**/*.html"),
    "styles": ("django", "**/static/**/*.css"),
    "minified scripts": ("django", "**/static/**/*.min.js"),
    "a table": ("airportsdata", "airports.csv"),
    "drawings": ("xstatic", "**/sprites/*.svg"),
    "fonts": ("xstatic", "**/*.woff2"),
    "schemas": ("kubernetes_validate", "**/v1.3*-local/_definitions.json"),
}
"""What is looked for -> the package, and the pattern of its files."""


def _folders() -> Iterator[Path]:
    """List where packages are installed: those of the benchmarks first, then those of this
    interpreter.
    """
    yield from sorted((HERE / ".venv-bench" / "lib").glob("python3*/site-packages"))
    yield from (Path(folder) for folder in sys.path if folder.endswith("-packages"))


@cache
def found(source: str) -> tuple[Path, ...]:
    """Return the files of a source in the order of their names; none where its package is not
    installed.
    """
    package, pattern = SOURCES[source]
    for folder in _folders():
        if files := tuple(sorted((folder / package).glob(pattern))):
            return files
    return ()


@cache
def text(source: str) -> str:
    """Return all files of a source, joined; empty where it is missing."""
    return "\n".join(path.read_text(encoding="utf-8") for path in found(source))


@cache
def octets(source: str) -> bytes:
    """Return all files of a source, joined; empty where it is missing."""
    return b"".join(path.read_bytes() for path in found(source))


@cache
def python_source() -> str:
    """Return a megabyte of the standard library's modules, in the order of their names."""
    modules = sorted(_STANDARD_LIBRARY.glob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in modules)[: 1 << 20]


def missing() -> list[str]:
    """Name the sources that are not installed: what is made in their place is generated."""
    return [source for source in SOURCES if not found(source)]

"""The literal pieces of patterns: what their own hostile texts are made of."""

import re._constants as constants  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator
from typing import Any, Final

_MIN_BYTES: Final = 2


def literals(patterns: Iterable[bytes]) -> list[bytes]:
    """Return the runs of literal bytes in patterns, in order, each once."""
    return list(
        dict.fromkeys(piece for pattern in patterns for piece in _pieces(parser.parse(pattern)))
    )


def _pieces(nodes: Iterable[tuple[Any, Any]]) -> Iterator[bytes]:
    run = b""
    for kind, value in nodes:
        if kind is constants.LITERAL:
            run += bytes([value])
            continue
        if len(run) >= _MIN_BYTES:
            yield run
        run = b""
        yield from _within(kind, value)

    if len(run) >= _MIN_BYTES:
        yield run


def _within(kind: Any, value: Any) -> Iterator[bytes]:
    if kind is constants.BRANCH:
        for body in value[1]:
            yield from _pieces(body)
    elif kind is constants.SUBPATTERN:
        yield from _pieces(value[3])
    elif kind in {constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT}:
        yield from _pieces(value[2])

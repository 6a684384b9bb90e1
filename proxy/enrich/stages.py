"""Batches of items that pass a pipeline stage by stage.

All items pass one stage before the next, because code that runs many times in a row stays in the
processor's cache. If the step of an item fails, its exception replaces it, so that one bad record
does not affect others.
"""

from collections.abc import Callable, Iterable, Iterator
from traceback import format_tb
from typing import TypeVar

from proxy.enrich.http.bodies import TooLong

T = TypeVar("T")
U = TypeVar("U")


def whole_stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> list[U | Exception]:
    """Return the results of a step for all items; exceptions stay in their place.

    A generator would cost 0.3 us more per item.
    """
    results: list[U | Exception] = []
    for item in items:
        if isinstance(item, Exception):
            results.append(item)
            continue
        try:
            results.append(step(item))
        # A fault affects only its own item.
        except Exception as error:
            results.append(without_frames(error))

    return results


def stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> Iterator[U | Exception]:
    """Yield the same results lazily: the step of an item runs on request."""
    for item in items:
        yield from whole_stage(step, (item,))


def without_frames(error: Exception) -> Exception:
    """Return an exception without its traceback; a note keeps its text.

    The frames of a traceback refer to the items and to the list with the exception. Only the
    collection of cycles would free them, and it is rare.
    """
    # TooLong is not a fault, and is not logged.
    if not isinstance(error, TooLong):
        error.add_note("".join(format_tb(error.__traceback__)))
    return error.with_traceback(None)

"""Batches of items that pass a pipeline stage by stage.

All items pass one stage before the next: code that runs many times in a row stays in the
processor's cache. An item whose step fails is replaced by its exception, so that one bad record
costs no other.
"""

from collections.abc import Callable, Iterable, Iterator
from traceback import format_tb
from typing import TypeVar

from proxy.enrich.http.bodies import TooLong

T = TypeVar("T")
U = TypeVar("U")


def whole_stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> list[U | Exception]:
    """Return the results of a step for all items at once; exceptions stay in their place.

    A generator costs 0.3 us more an item.
    """
    results: list[U | Exception] = []
    for item in items:
        if isinstance(item, Exception):
            results.append(item)
            continue
        try:
            results.append(step(item))
        # Whatever the fault is, it stands for this item only.
        except Exception as error:
            results.append(without_frames(error))

    return results


def stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> Iterator[U | Exception]:
    """Yield the same results lazily: the step of an item runs when it is asked for."""
    for item in items:
        yield from whole_stage(step, (item,))


def without_frames(error: Exception) -> Exception:
    """Return an exception without its traceback, which a note has as text.

    The frames of a traceback hold the items, and the list with the exception. Only a collection of
    cycles would free them, and those are rare.
    """
    # TooLong is no fault, and is not logged.
    if not isinstance(error, TooLong):
        error.add_note("".join(format_tb(error.__traceback__)))
    return error.with_traceback(None)

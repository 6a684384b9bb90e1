"""Steps that many items go through, each step over all of them before the next.

Code that runs many times in a row stays in the processor's cache. An item whose step fails goes on
as the exception, in its place, so that one bad record costs no other.
"""

from collections.abc import Callable, Iterable, Iterator
from traceback import format_tb
from typing import TypeVar

from proxy.enrich.http.bodies import TooLong

T = TypeVar("T")
U = TypeVar("U")


def whole_stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> list[U | Exception]:
    """Take a step with each item that is no exception, at once: a generator costs 0.3 us more an
    item.
    """
    results: list[U | Exception] = []
    for item in items:
        if isinstance(item, Exception):
            results.append(item)
            continue
        try:
            results.append(step(item))
        except Exception as error:  # whatever it is, its place is here
            results.append(without_frames(error))

    return results


def stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> Iterator[U | Exception]:
    """Do the same as each item is asked for."""
    for item in items:
        yield from whole_stage(step, (item,))


def without_frames(error: Exception) -> Exception:
    """Return an exception that holds none of the frames it went through, and names them in a note.

    They hold the items, and the list it goes into: only a collection of cycles would free them, and
    those are rare.
    """
    if not isinstance(error, TooLong):  # which is no fault
        error.add_note("".join(format_tb(error.__traceback__)))
    return error.with_traceback(None)

"""Steps that many items go through, each step over all of them before the next.

Code that runs many times in a row stays in the processor's cache. An item whose step fails goes on as the exception, in
its place, so that one bad record costs no other.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def stage(step: Callable[[T], U], items: Iterable[T | Exception]) -> Iterator[U | Exception]:
    """Take a step with each item that is no exception, as it is asked for."""
    for item in items:
        result: U | Exception
        if isinstance(item, Exception):
            result = item
        else:
            try:
                result = step(item)
            except Exception as error:  # whatever it is, its place is here
                result = error
        yield result

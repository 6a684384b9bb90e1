"""Many cases of one sentence as one test: an item of its own for each would cost milliseconds and
say no more.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

Test = Callable[..., Any]


def each_of(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Ask a test each case in turn; all that fail are named.

    It is written, and combines, as `pytest.mark.parametrize` does. Fixtures are made once for all
    cases: they are to be what no case changes.
    """
    cases = list(cases)
    assert not any(isinstance(case, ParameterSet) for case in cases), (
        "a case that is marked is a test of its own"
    )
    listed = [
        {names: case} if isinstance(names, str) else dict(zip(names, case, strict=True))
        for case in cases
    ]
    parameters = {names} if isinstance(names, str) else {*names}

    def decorate(test: Test) -> Test:
        @wraps(test)
        def ask(**fixtures: Any) -> None:
            with _failures() as failures:
                for case in listed:
                    with _named(case, failures):
                        test(**fixtures, **case)

        @wraps(test)
        async def ask_async(**fixtures: Any) -> None:
            with _failures() as failures:
                for case in listed:
                    with _named(case, failures):
                        await test(**fixtures, **case)

        made: Test = ask_async if inspect.iscoroutinefunction(test) else ask
        signature = inspect.signature(test)
        fixtures = [
            parameter for name, parameter in signature.parameters.items() if name not in parameters
        ]
        made.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return made

    return decorate


@contextmanager
def _named(case: dict[str, Any], failures: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(f"with {repr(case)[:2000]}")
        failures.append(error)


@contextmanager
def _failures() -> Iterator[list[BaseException]]:
    failures: list[BaseException] = []
    yield failures
    if failures:
        raise (
            failures[0]
            if len(failures) == 1
            else BaseExceptionGroup("several cases fail", failures)
        )

"""The last tier: what `make test-all` leaves to `make long`, variants of its tests and runs that take
minutes.
"""

from typing import Any, Final

import pytest
from _pytest.mark.structures import ParameterSet


def long(*values: Any) -> ParameterSet:
    """A case of a parametrised test that only `make long` runs; others of its kind run always."""
    return pytest.param(*values, marks=pytest.mark.long)


LOOPS: Final = ("uvloop", long("asyncio"))
"""The loop that there is without uvloop is asked with `make long`."""

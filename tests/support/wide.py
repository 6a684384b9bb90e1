"""Tests of further variants: the suite has a sample of them, `make wide` has them all."""

from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def wide(*values: Any) -> ParameterSet:
    """A case of a parametrised test that only `make wide` runs; others of its kind run always."""
    return pytest.param(*values, marks=pytest.mark.wide)

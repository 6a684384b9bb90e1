"""How a setting is declared: its help and its bounds are in force wherever its section is read."""

from typing import Annotated

import msgspec
import pytest

from proxy.settings.section import Section, about


class Sample(Section, frozen=True):
    """One setting."""

    size: Annotated[int, about("how much", ge=1)] = 1


def test_a_section_takes_what_it_declares_and_nothing_else() -> None:
    """Bounds are checked, unknown names refused, values stay as they are."""
    assert msgspec.convert({"size": 2}, Sample).size == 2
    for wrong in ({"size": 0}, {"weight": 2}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Sample)
    with pytest.raises(AttributeError, match="immutable"):
        Sample().size = 2  # type: ignore[misc]

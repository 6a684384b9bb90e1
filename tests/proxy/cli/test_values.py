"""Values of the command line: whole numbers are refused with their limit, texts reach a command as
they are.
"""

from typing import Any

import pytest
from click import BadParameter

from tests.support.cases import each_of
from tests.support.commands import command_of


def got(command: str, *arguments: str) -> dict[str, Any]:
    """The values that a command gets for arguments."""
    return command_of(command).make_context(command, list(arguments)).params


def got_of(group: str, command: str, *arguments: str) -> dict[str, Any]:
    """The values that a command of a group gets."""
    return command_of(group, command).make_context(command, list(arguments)).params


@each_of("value", ["twelve", "", "1.5", "9" * 30, "0", "-3", "١"])
def test_a_wrong_number_is_named_with_its_limit(value: str) -> None:
    """The value, and what would be one."""
    with pytest.raises(BadParameter) as refused:
        got("query", "--limit", value)
    assert refused.value.message == f"expected a whole number, at least 1, got {value!r}"


def test_both_limits_are_named() -> None:
    with pytest.raises(BadParameter, match="expected a whole number from 1 to 1000, got '1001'"):
        got("top", "--limit", "1001")


@each_of("value", ["5", "90", "1.5", " 7 ", "+3"])
def test_a_number_without_a_unit_is_no_time(value: str) -> None:
    """It may have been meant as minutes; none at all needs no unit."""
    with pytest.raises(BadParameter) as refused:
        got_of("alerts", "silence", "name", "--for", value)
    assert (
        refused.value.message
        == f"expected a number with a unit (s, m, h, d or w), such as 5m, got {value!r}"
    )
    assert got_of("alerts", "silence", "name", "--for", "0")["seconds"] == 0
    assert got_of("alerts", "silence", "name", "--for", "1h30m")["seconds"] == 5400
    assert got_of("alerts", "silence", "name")["seconds"] == 3600


def test_texts_numbers_and_lists_come_as_they_are() -> None:
    """A missing value is None, a default, or an empty list."""
    values = got(
        "query", "ä b", "-", "--path", "", "--status", "5xx", "--status", "404", "--limit", "+12"
    )
    assert values | {"search": ("ä b", "-"), "path": "", "status": ("5xx", "404")} == values
    assert values | {"limit": 12, "order": None, "model": ()} == values
    assert got("query")["limit"] == 100


def test_values_of_the_environment_are_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option may be given there."""
    monkeypatch.setenv("SIDELOG_CONFIG", "there.toml")
    assert str(got("serve")["config"]) == "there.toml"


def test_a_flag_without_a_value_sets_what_its_setting_says() -> None:
    assert got("serve", "--no-data-port")["proxy__data_port"] == "false"
    assert got("serve")["proxy__data_port"] is None

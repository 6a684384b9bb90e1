"""The names of what requests can be grouped by."""

import pytest

from api.http.errors import BadParameter
from api.native.groups.words import GROUPS, OTHER_NAMES, read_group
from storage.aggregates import TOP_FIELDS


def test_a_group_has_its_own_name_and_those_of_a_search() -> None:
    """All of them lead to something there is, and none of the other names hides another group."""
    assert [read_group("by", name) for name in GROUPS] == [*TOP_FIELDS, "tool"]
    assert {name: read_group("by", name) for name in OTHER_NAMES} == {
        "ua": "user_agent", "ip": "client_ip", "error_type": "error", "error_message": "message",
    }  # fmt: skip
    assert read_group("by", "body.user.id") == "body.user.id"


def test_what_is_no_group_is_refused_by_the_name_of_its_parameter() -> None:
    """With all that there are."""
    with pytest.raises(
        BadParameter, match=r"group_by is 'usr', expected one of endpoint, path, .*tool, or a field"
    ):
        read_group("group_by", "usr")

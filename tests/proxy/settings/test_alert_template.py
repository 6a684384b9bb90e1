"""Bodies of webhooks that operators write."""

import json

import pytest

from proxy.settings.alert_template import FIELDS, check_template, fill


def test_braces_of_json_are_no_fields() -> None:
    """Objects within objects need no doubling."""
    template = '{"a": {"b": {}}, "c": "{alert}"}'
    assert check_template(template) == ""
    assert json.loads(fill(template, {"alert": 'a "b" \\'})) == {"a": {"b": {}}, "c": 'a "b" \\'}


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_may_stand_in_a_text(name: str) -> None:
    """Also the bare figure, which may stand alone, too."""
    assert check_template(f'["{{{name}}}"]') == ""
    assert (check_template(f"[{{{name}}}]") == "") == (name == "number")

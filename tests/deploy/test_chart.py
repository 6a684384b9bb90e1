"""The chart as it lies in deploy/helm: its values are described. Rendered: test_helm.py."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.support.sidelog import ROOT

CHART: Final = ROOT / "deploy" / "helm" / "sidelog"
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text())
INJECTED: Final = {"global"}
"""Values that Helm itself hands to a chart that another one depends on."""


def keys_of(
    values: dict[str, Any], schema: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield each object with keys of its own: where it is, what values.yaml has there, what the
    schema allows.
    """
    allowed = set(schema["properties"]) - INJECTED
    yield path, set(values), allowed
    assert schema["additionalProperties"] is False, path
    for key, below in schema["properties"].items():
        if "properties" in below:
            yield from keys_of(values[key], below, f"{path}.{key}")


def test_values_and_schema_have_the_same_keys() -> None:
    """So that each value is explained, and an unknown one refused."""
    for path, given, allowed in keys_of(VALUES, SCHEMA):
        assert given == allowed, path


def test_defaults_are_valid() -> None:
    """As they stand, and as a chart that depends on it gets them."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)
    jsonschema.validate(VALUES | {"global": {"any": 1}}, SCHEMA)


@pytest.mark.parametrize("wrong", [{"worker": 2}, {"ports": {"proxi": 1}}, {"ringMebibytes": "64"}])
def test_wrong_values_are_not(wrong: dict[str, Any]) -> None:
    """A name that is misspelt, a number that is a text."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(VALUES | wrong, SCHEMA)


def test_templates_use_every_value() -> None:
    """A value without effect is a bug."""
    text = "".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    used = set(re.findall(r"\.Values\.([a-zA-Z]+)", text))
    assert used == set(VALUES)
    below = {
        key for key in VALUES["gateway"] if f".gateway.{key}" not in text and f'"{key}"' not in text
    }
    assert below == set()


def test_rules_are_links() -> None:
    """Helm reads nothing outside of a chart; a copy would differ one day."""
    for name in ("alerts.yaml", "recording.yaml"):
        link = CHART / "files" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / "deploy" / "prometheus" / name

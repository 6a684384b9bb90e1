"""Templates of paths in the settings, and those of an OpenAPI description."""

import json
from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError
from proxy.settings.templates import is_template, read_templates

ROUTE = """
[[routes]]
id = "shop"
upstream = "http://127.0.0.1:9000"
endpoints = ["/people/{name}"]
openapi = "OPENAPI"
"""


@pytest.mark.parametrize(
    "document",
    [
        {"openapi": "3.1.0", "servers": [{"url": "https://example.org/v1/"}], "paths": {"/pets/{id}": {}, "x-a": {}}},
        {"swagger": "2.0", "basePath": "/v1", "paths": {"/pets/{id}": {}}},
    ],
)
def test_a_description_names_endpoints(tmp_path: Path, document: dict[str, object]) -> None:
    """Its paths stand behind the path of its server, and beside what the route itself names."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    assert read_templates(path) == ("/v1/pets/{id}",)
    config = tmp_path / "sidelog.toml"
    config.write_text(ROUTE.replace("OPENAPI", str(path)))
    assert load({}, {}, config).routes[0].endpoints == ("/people/{name}", "/v1/pets/{id}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read: No such file"),
        ("# Pets\nopenapi: 3.1.0", "as JSON, got YAML, to be converted first (docs/endpoints.md): '"),
        ("openapi", "expected an OpenAPI description as JSON, got '"),
        ("[" * 100_000, "expected an OpenAPI description as JSON"),
        ("{}", "expected an OpenAPI description with `paths`"),
        ("[]", "expected an OpenAPI description with `paths`"),
        ('{"paths": {"/a?b": {}}}', "expected a path that begins with /, without query, got '/a?b'"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    """The message names the setting, what was expected and the file."""
    path, config = tmp_path / "openapi.json", tmp_path / "sidelog.toml"
    if text is not None:
        path.write_text(text)
    config.write_text(ROUTE.replace("OPENAPI", str(path)))
    with pytest.raises(SettingsError, match=r"routes\[") as caught:
        load({}, {}, config)
    assert reason in str(caught.value)


def test_templates_are_paths() -> None:
    """They begin with a slash, and have no query and no blanks."""
    assert is_template("/users/{name}")
    assert not any(map(is_template, ("users", "/a b", "/a?x=1", "/" + "a" * 600)))

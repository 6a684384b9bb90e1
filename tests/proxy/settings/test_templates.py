"""Templates of paths in the settings, and those of an OpenAPI description."""

import json
import sys
from pathlib import Path

import pytest

from proxy.settings.load import load
from proxy.settings.model import SettingsError
from proxy.settings.templates import is_template, read_templates
from tests.support.cases import each_of

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
        {
            "openapi": "3.1.0",
            "servers": [{"url": "https://example.org/v1/"}],
            "paths": {"/pets/{id}": {}, "x-a": {}},
        },
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


PETS = """
# A shop of pets
openapi: 3.0.3
info: {title: "Pets: a shop", version: 1.0}
servers:
  - description: without a slash at its end
    url: https://{region}.example.org/v1
  - url: /v2
paths:
  /pets/{petId}:
    parameters: &by_id
      - {name: petId, in: path, required: true, schema: {type: string, example: 2026-13-45}}
    get:
      responses:
        200:
          description: >-
            paths:
              /no/path: {}
  "/pets/{petId}/photos": {parameters: *by_id, get: {}}
  /pets: !custom {x-a: {}}
  x-note: not a path
  ? [/a, /b]
  : {}
"""


@pytest.mark.parametrize("name", ["openapi.yaml", "openapi", "openapi.json"])
def test_a_description_in_yaml_names_the_same(tmp_path: Path, name: str) -> None:
    """It is known by what stands in it, too; only keys of `paths` and the first server are looked
    at.
    """
    path = tmp_path / name
    path.write_text(PETS)
    assert read_templates(path) == ("/v1/pets/{petId}", "/v1/pets/{petId}/photos", "/v1/pets")


def test_swagger_in_yaml_has_its_base_path(tmp_path: Path) -> None:
    path = tmp_path / "swagger.yml"
    path.write_text("{swagger: '2.0', basePath: /api, paths: {/pets: {}}}")
    assert read_templates(path) == ("/api/pets",)


def test_yaml_without_its_reader_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "openapi.yaml"
    path.write_text(PETS)

    with pytest.raises(
        ValueError, match=r"needs a reader: pip install 'sidelog\[yaml\]', got '.*openapi.yaml'"
    ):
        read_templates(path)


@each_of(
    ("text", "reason"),
    [
        (None, "cannot be read: No such file"),
        ("# Pets\nopenapi: 3.1.0", "expected an OpenAPI description with `paths`"),
        (
            "openapi: 3.1.0\npaths: [",
            "as YAML, got did not find expected node content in line 3, column 1: '",
        ),
        ("paths:\n  /a: " + "[" * 100_000, "as YAML, got more than 200 levels in line 2: '"),
        ("openapi", "expected an OpenAPI description as JSON or YAML, got '"),
        ("[" * 100_000, "expected an OpenAPI description as JSON or YAML, got '"),
        ("{}", "expected an OpenAPI description with `paths`"),
        ("[]", "expected an OpenAPI description with `paths`"),
        (
            '{"paths": {"/a?b": {}}}',
            "expected a path that begins with /, without query, got '/a?b'",
        ),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    """The message names the setting, what was expected and the file."""
    path = tmp_path / "openapi.json"
    config = tmp_path / "sidelog.toml"
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

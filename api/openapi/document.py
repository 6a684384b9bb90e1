"""The OpenAPI 3.1 description of the whole admin port at `/openapi.json`, made from the route
table.

Paths, methods, access, parameters and types come from the routes, which refer to the handlers' own
types, and text from the docstrings of their handlers. So the description cannot differ from the
service.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from api.http.route import JSON, Operation, Route, Schema
from api.middleware import error_format_of
from api.openapi.parameters import FILTERS

_REFERENCE: Final = "#/components/schemas/{name}"
_FILTER: Final = "#/components/parameters/{name}"
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def describe(routes: Iterable[Route], version: str, base_path: str = "") -> dict[str, Any]:
    """Return an OpenAPI 3.1 document of all routes, with `base_path` as their prefix."""
    table = list(routes)
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sidelog admin port",
            "version": version,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": base_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": {name: _query_parameter(name, FILTERS[name]) for name in FILTERS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "bareToken": {"type": "apiKey", "in": "header", "name": "Authorization"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "sidelog_session",
                    "description": (
                        "Set by POST /login; its name has a suffix of this instance, and over TLS "
                        "a prefix."
                    ),
                },
            },
        },
        "security": [{"token": []}, {"bareToken": []}, {"session": []}],
    }


def _schema(kind: Any, schemas: dict[str, Any]) -> Schema:
    """Return the JSON schema of a type, and add the named schemas that it refers to to `schemas`."""
    (schema,), named = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    schemas |= named
    return schema


def _summary(documentation: str) -> str:
    """Return the text up to an empty line, on one line."""
    return " ".join(documentation.strip().partition("\n\n")[0].split())


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation = route.operation
    shown: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": _summary(route.handler.__doc__ or route.path),
        "parameters": [*_path_parameters(route.path), *_parameters(operation)],
        "responses": _responses(route, operation, schemas),
    }
    if operation.notes:
        shown["description"] = operation.notes
    if operation.body is not None:
        body = _schema(operation.body, schemas)
        text = {"type": "string", "pattern": r"\S"}
        content = {
            name: {"schema": text if name == "text/plain" else body}
            for name in operation.body_types
        }
        shown["requestBody"] = {"required": True, "content": content}

    if route.is_open:
        shown["security"] = []
    return shown


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", route.path).strip("_")
    return f"{route.method.lower()}_{words or 'root'}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(path)
    ]


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    shared = [{"$ref": _FILTER.format(name=name)} for name in FILTERS if operation.has_filters]
    own = [
        _query_parameter(name, schema, explode=name in operation.repeated)
        for name, schema in operation.parameters.items()
    ]
    headers = [
        {"name": name, "in": "header", "schema": schema}
        for name, schema in operation.headers.items()
    ]
    return [*shared, *own, *headers]


def _query_parameter(name: str, schema: Schema, *, explode: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "explode": explode, "schema": schema}


def _responses(route: Route, operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if operation.answer is None:
        answer = {"type": "object"}
    else:
        answer = _schema(operation.answer, schemas)
    content = {
        name: {"schema": answer if name == JSON else {"type": "string"}}
        for name in operation.media_types
    }
    responses: dict[str, Any] = {
        str(operation.status): {"description": "the response"} | _content(content)
    }
    errors = error_format_of(route.path)
    statuses = {*operation.errors, 503, *((401,) if route.path == "/login" else ())}
    if not route.is_open:
        statuses |= {401, 403}
    for status in sorted(statuses | {421}):
        error = {errors.media_type: {"schema": _schema(errors.schema, schemas)}}
        responses[str(status)] = {"description": _DESCRIPTIONS[status]} | _content(error)
    if operation.is_maybe_empty:
        responses["202"] = {"description": "accepted"}
    if route.path == "/readyz":
        responses["503"] = {"description": "not ready"} | _content(content)
    return responses


def _content(content: dict[str, Any]) -> dict[str, Any]:
    if content:
        return {"content": content}
    return {}


_DESCRIPTIONS: Final = {
    400: "a parameter or body that cannot be read",
    401: "no token, or a wrong one",
    403: "out of the token's scope, or for admins only",
    404: "there is no such thing",
    409: "it cannot be done in the present state",
    410: "the snapshot of the cursor has expired",
    413: "the body is too large",
    421: "not a name of this server",
    429: "too many streams; Retry-After says when to come back",
    502: "what was asked in its turn did not answer",
    503: "the store is away, or too busy; Retry-After says when to come back",
}

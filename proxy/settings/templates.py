"""Templates of paths that a route's endpoints are named by: how they look, and those of an OpenAPI description.

Of a description only the keys of `paths` are read, and the path of the first server before them (OpenAPI 3.1 §4.8.8;
in Swagger 2.0 it is `basePath`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

MAX_TEMPLATES: Final = 1000
MAX_FILE_BYTES: Final = 32 << 20
_YAML: Final = re.compile(rb"^(openapi|swagger|paths)[ \t]*:", re.MULTILINE)
_TEMPLATE: Final = re.compile(r"/[^?#\s]{0,511}")


def is_template(text: str) -> bool:
    return _TEMPLATE.fullmatch(text) is not None


def read_templates(path: Path) -> tuple[str, ...]:
    """Read the templates of an OpenAPI description.

    Raises:
        ValueError: it is none.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}, got {str(path)!r}") from None
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"expected at most {MAX_FILE_BYTES} bytes, got a larger file {str(path)!r}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        got = "YAML, to be converted first (docs/endpoints.md): " if _YAML.search(text) else ""
        raise ValueError(f"expected an OpenAPI description as JSON, got {got}{str(path)!r}") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        raise ValueError(f"expected an OpenAPI description with `paths`, got {str(path)!r}")
    base = _base(document)
    return tuple(base + template for template in paths if template.startswith("/"))


def _base(document: Mapping[str, Any]) -> str:
    base = document.get("basePath")
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        base = urlsplit(str(servers[0].get("url", ""))).path
    return base.rstrip("/") if isinstance(base, str) else ""

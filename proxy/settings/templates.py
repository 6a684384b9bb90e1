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

from proxy.process.files import read_file
from proxy.settings.yaml_outline import outline

MAX_TEMPLATES: Final = 1000
MAX_FILE_BYTES: Final = 32 << 20
_YAML: Final = re.compile(rb"""^(openapi|swagger|paths|"openapi"|'openapi')[ \t]*:""", re.MULTILINE)
_YAML_LEVELS: Final = 3
"""The document, `servers`, and the first of them; `paths` has its keys one level higher."""
_TEMPLATE: Final = re.compile(r"/[^?#\s]{0,511}")


def is_template(text: str) -> bool:
    return _TEMPLATE.fullmatch(text) is not None


def read_templates(path: Path) -> tuple[str, ...]:
    """Read the templates of an OpenAPI description.

    Raises:
        ValueError: it is none.
    """
    try:
        text = read_file(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}, got {str(path)!r}") from None
    document = _document(text, path)
    if not isinstance(document, dict) or not isinstance(paths := document.get("paths"), dict):
        raise ValueError(f"expected an OpenAPI description with `paths`, got {str(path)!r}")
    base = _base(document)
    return tuple(base + template for template in paths if template.startswith("/"))


def _document(text: bytes, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if path.suffix not in (".yaml", ".yml") and not _YAML.search(text):
            raise ValueError(f"expected an OpenAPI description as JSON or YAML, got {str(path)!r}") from None
    try:
        return outline(text, _YAML_LEVELS)
    except ImportError:
        raise ValueError(f"YAML needs a reader: pip install 'sidelog[yaml]', got {str(path)!r}") from None
    except ValueError as error:
        raise ValueError(f"expected an OpenAPI description as YAML, got {error}: {str(path)!r}") from None


def _base(document: Mapping[str, Any]) -> str:
    base = document.get("basePath")
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        base = urlsplit(str(servers[0].get("url", ""))).path
    return base.rstrip("/") if isinstance(base, str) else ""

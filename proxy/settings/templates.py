"""Templates of paths that a route's endpoints are named by: how they look, and those of an OpenAPI
description.

Of a description only the keys of `paths` are read, and the path of the first server before them
(OpenAPI 3.1 §4.8.8; in Swagger 2.0 it is `basePath`). YAML is read as PyYAML does (YAML 1.1), event
by event, and what is deeper is skipped: no type is guessed from a text, no alias is followed, and a
megabyte takes a tenth of the time that loading it would. Invariant: nesting is bounded while it is
read. The parser's time grows with the square of the brackets that are open, and loading some
thousand of them would end the process.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.process.files import read_file

MAX_NESTING: Final = 200


def outline(text: bytes, levels: int) -> object:
    """Return mappings as dicts by the texts of their keys, sequences as lists, scalars as texts.

    Aliases, and values deeper than `levels`, are None. Only the first of several documents is read.

    Raises:
        ImportError: PyYAML, an extra, is not installed.
        ValueError: the text is not YAML, or nested too deeply.
    """
    import yaml

    try:
        events = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        first = next((event for event in events if isinstance(event, yaml.NodeEvent)), None)
        return _Reader(yaml, events).value(first, levels)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(
            f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
        ) from None
    except yaml.reader.ReaderError as error:
        raise ValueError(f"{error.reason} at byte {error.position}") from None


class _Reader:
    def __init__(self, yaml: Any, events: Iterator[Any]) -> None:
        self._yaml = yaml
        self._events = events

    def value(self, event: Any, levels: int) -> object:
        yaml = self._yaml
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if not isinstance(event, yaml.CollectionStartEvent):
            return None
        if not levels:
            self._skip()
            return None

        values = []
        while not isinstance(inner := next(self._events), yaml.CollectionEndEvent):
            values.append(self.value(inner, levels - 1))
        if isinstance(event, yaml.SequenceStartEvent):
            return values

        return {
            key: value
            for key, value in zip(values[::2], values[1::2], strict=True)
            if isinstance(key, str)
        }

    def _skip(self) -> None:
        """Skip to the end of a collection that has begun."""
        depth = 1
        while depth:
            event = next(self._events)
            if isinstance(event, self._yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_NESTING:
                    raise ValueError(
                        f"more than {MAX_NESTING} levels in line {event.start_mark.line + 1}"
                    )
            elif isinstance(event, self._yaml.CollectionEndEvent):
                depth -= 1


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
            raise ValueError(
                f"expected an OpenAPI description as JSON or YAML, got {str(path)!r}"
            ) from None

    try:
        return outline(text, _YAML_LEVELS)
    except ImportError:
        raise ValueError(
            f"YAML needs a reader: pip install 'sidelog[yaml]', got {str(path)!r}"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"expected an OpenAPI description as YAML, got {error}: {str(path)!r}"
        ) from None


def _base(document: Mapping[str, Any]) -> str:
    base = document.get("basePath")
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        base = urlsplit(str(servers[0].get("url", ""))).path
    if isinstance(base, str):
        return base.rstrip("/")
    return ""

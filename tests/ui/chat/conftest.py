"""The functions of the chat's modules, asked in the browser that they run in."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.ui.conftest import Site

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def ask(empty_site: Site) -> Ask:
    """`ask("sent.js", "sentIn", record)` calls a function of a module with values, and gives what it returns."""
    await empty_site.open("/keys")

    async def call(module: str, name: str, *values: object) -> Any:
        script = f'import("/ui/newest/chat/{module}").then((module) => module.{name}(...{json.dumps(values)}))'
        return await empty_site.page.evaluate(script)

    return call


def record_with(
    request: object = None, response: object = None, *, keep: int | None = None, tail: int = 0
) -> dict[str, object]:
    """Make what the chat reads of a record: bodies as text or JSON, of the request the first and last characters."""
    return {"request": message(request, keep, tail), "response": message(response)}


def message(content: object, keep: int | None = None, tail: int = 0) -> dict[str, object] | None:
    """Make one half of a record, cut where `keep` is given."""
    if content is None:
        return None
    text = content if isinstance(content, str) else json.dumps(content)
    head, end = (text, "") if keep is None else (text[:keep], text[len(text) - tail :])
    body = {"encoding": "utf-8", "head": head, "tail": end, "truncated": keep is not None, "omitted": None}
    return {"body": body}

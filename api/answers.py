"""Answers in JSON, made in one place so that every one has the same encoder."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

_ENCODER = msgspec.json.Encoder()


def json_answer(
    content: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> web.Response:
    """Answer a value as JSON."""
    return web.Response(body=_ENCODER.encode(content), status=status, headers=headers, content_type=media_type)

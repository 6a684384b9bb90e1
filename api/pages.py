"""The web UI's files, read once at start: page shells and what they load. Nothing here needs a token.

Only files of the package are served, from a table made at start, so no request text ever becomes a path.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

PAGES: Final = ("/", "/requests", "/mcp-logs", "/request-logs", "/keys", "/health")
"""Paths of the UI's pages; all have one shell, whose script shows what the address says."""

TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Served endings and their media types; other files of the package are not served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the UI."""

    content: bytes
    media_type: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """Read the UI's files, by name."""
    assets: dict[str, Asset] = {}
    for file in resources.files("api.ui").iterdir():
        media_type = TYPES.get(file.name[file.name.rfind(".") :])
        if media_type is not None:
            content = file.read_bytes()
            etag = hashlib.sha256(content).hexdigest()[:32]
            assets[file.name] = Asset(content=content, media_type=media_type, etag=etag)
    return assets


def serve_asset(assets: dict[str, Asset]) -> Handler:
    """Make the handler of `/ui/{name}`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asset = assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return _answer(request, asset)

    return handle


def serve_page(asset: Asset) -> Handler:
    """Make the handler of a page shell."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return _answer(request, asset)

    return handle


def _answer(request: web.Request, asset: Asset) -> web.Response:
    """Answer a file, or 304 when the browser has it: it asks each time, so that an update shows at once."""
    etags = {tag.value for tag in request.if_none_match or ()}
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"}
    if asset.etag in etags:
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.content, content_type=asset.media_type, charset="utf-8", headers=headers)

"""The web UI's files, read once at start, the pages' shells as they go out, and what serves both
without a token.

Strategy: the address of a file carries the version of all of them, so a browser keeps them for good
and an update changes every address at once. A shell names all the modules its page will ask for: a
first view then takes two rounds and not one for every level of imports.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from operator import itemgetter
from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Served endings and their media types; other files of the package are not served."""

_IMPORT: Final = re.compile(rb'^(?:import|export)\b[^"]*"(\.{1,2}/[\w./-]+)";$', re.MULTILINE)
"""A static import, relative to its file; what is imported on demand is left to be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the UI."""

    content: bytes
    media_type: str
    etag: str
    imports: tuple[str, ...] = ()
    """Modules that a script needs, by their path below the UI's folder."""


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of the UI."""

    files: Mapping[str, Asset]
    """By their path below the UI's folder: `app.js`, `lib/dom.js`."""
    version: str
    """Of all of them together."""

    def shell(self, name: str, *modules: str) -> Asset:
        """Make a page of an HTML file: with versioned addresses, and the modules it will need."""
        links = b"".join(
            b'<link rel="modulepreload" href="ui/%b">\n' % module.encode()
            for module in self._needed(modules)
        )
        text = self.files[name].content.replace(b"</head>", links + b"</head>")
        return _asset(text.replace(b'"ui/', b'"ui/%b/' % self.version.encode()), ".html")

    def modules(self, name: str) -> Mapping[str, bytes]:
        """Return a module and all that it imports, by name."""
        return {each: self.files[each].content for each in self._needed([name])}

    def _needed(self, modules: Iterable[str]) -> list[str]:
        """List the named modules and all that they import, directly imported ones first, each once."""
        found: dict[str, None] = dict.fromkeys(modules)
        rest = list(found)
        for name in rest:
            for module in self.files[name].imports:
                if module not in found:
                    found[module] = None
                    rest.append(module)

        return rest


@lru_cache(maxsize=1)
def load_assets() -> Assets:
    """Read the files of the UI into memory. It takes 20 ms, so the result is cached."""
    files: dict[str, Asset] = {}
    version = hashlib.sha256()
    for name, file in sorted(_files(resources.files("api.ui"), ""), key=itemgetter(0)):
        content = file.read_bytes()
        files[name] = asset = _asset(content, posixpath.splitext(name)[1], _imports(name, content))
        version.update(f"{name} {asset.etag}\n".encode())

    return Assets(files, version.hexdigest()[:12])


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    """List the served files of a folder and of the folders in it, with their paths."""
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _files(entry, name + "/")
        elif posixpath.splitext(name)[1] in TYPES:
            yield name, entry


def resolved_imports(name: str, content: bytes) -> bytes:
    """Write what a script imports by the path below the UI's folder, for one that has no address of
    its own.
    """
    folder = posixpath.dirname(name)

    def resolve(found: re.Match[bytes]) -> bytes:
        path = posixpath.normpath(posixpath.join(folder, found[1].decode()))
        return found[0].replace(found[1], path.encode())

    return _IMPORT.sub(resolve, content)


def _imports(name: str, content: bytes) -> tuple[str, ...]:
    folder = posixpath.dirname(name)
    return tuple(
        posixpath.normpath(posixpath.join(folder, each.decode()))
        for each in _IMPORT.findall(content)
    )


def _asset(content: bytes, ending: str, imports: tuple[str, ...] = ()) -> Asset:
    etag = hashlib.sha256(content).hexdigest()[:32]
    return Asset(content=content, media_type=TYPES[ending], etag=etag, imports=imports)


PAGES: Final = {
    "/": "pages/overview.js",
    "/requests": "pages/requests.js",
    "/endpoints": "endpoints/page.js",
    "/conversations": "conversations/page.js",
    "/run": "conversations/run.js",
    "/compare": "pages/compare.js",
    "/mcp-logs": "pages/mcp-logs.js",
    "/request-logs": "pages/request-logs.js",
    "/keys": "pages/keys.js",
    "/health": "health/page.js",
    "/alerts": "alerts/page.js",
}
"""Paths of the UI's pages and the module of each; all have one shell, whose script shows what the
address says.
"""

_NO_PAGE: Final = (
    '<!doctype html><html lang="en"><title>No such page · sidelog</title><main><h1>There is no '
    "such page</h1>"
    '<p>{}</p><p><a href="{}">Go to the overview of sidelog</a></p></main></html>'
)
_ASKED_EACH_TIME: Final = "no-cache"
_KEPT: Final = "public, max-age=31536000, immutable"
"""RFC 8246: not even a reload asks again."""


def serve_asset(assets: Assets) -> Handler:
    """Make the handler of `/ui/{version}/{name}`, of the folders below, and of `/ui/{name}`, always
    the newest.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        folder = request.match_info.get("folder")
        name = request.match_info["name"]
        asset = assets.files.get(name if folder is None else f"{folder}/{name}")
        if asset is None:
            raise web.HTTPNotFound
        is_this = request.match_info.get("version") == assets.version
        return _answer(request, asset, _KEPT if is_this else _ASKED_EACH_TIME)

    return handle


def serve_page(asset: Asset) -> Handler:
    """Make the handler of a page shell; the browser asks for it each time, so that an update shows
    at once.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        return _answer(request, asset, _ASKED_EACH_TIME)

    return handle


async def show_run(request: web.Request) -> web.StreamResponse:
    """Lead to the page of a run: pages lie side by side, so that their addresses hold below any
    path.
    """
    location = f"../run?id={quote(request.match_info['id'], safe='')}"
    return web.Response(status=307, headers={"Location": location})


def no_page(path: str, why: str) -> web.Response:
    """Return a small page for a path that has none, maybe with a reason, and with a relative link
    to the overview.
    """
    text = _NO_PAGE.format(why, "../" * (path.count("/") - 1) or "./")
    return web.Response(status=404, text=text, content_type="text/html")


def _answer(request: web.Request, asset: Asset, keeping: str) -> web.Response:
    """Return a file, or 304 when the browser has it."""
    etags = {tag.value for tag in request.if_none_match or ()}
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": keeping}
    if asset.etag in etags:
        return web.Response(status=304, headers=headers)

    return web.Response(
        body=asset.content, content_type=asset.media_type, charset="utf-8", headers=headers
    )

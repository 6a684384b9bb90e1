"""All kinds of content, in the order of their table."""

from functools import cache
from typing import Final

from bench.contents import calls, documents, media, texts
from bench.contents.kind import Kind

JSON: Final = "application/json"
KIB: Final = 1024
VARIANTS: Final = 64
"""Bodies of a kind that a load sends in turn. All but files also differ each time (`stamps`)."""

KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        name="json-1k",
        title="JSON of an API, 1 KB",
        family="text",
        content_type=JSON,
        size=KIB,
        make=documents.api,
    ),
    Kind(
        name="json-16k",
        title="the same, 16 KB",
        family="text",
        content_type=JSON,
        size=16 * KIB,
        make=documents.api,
    ),
    Kind(
        name="json-64k",
        title="the same, 64 KB",
        family="text",
        content_type=JSON,
        size=64 * KIB,
        make=documents.api,
    ),
    Kind(
        name="ids-16k",
        title="JSON of nothing but UUIDs, hashes, long numbers",
        family="text",
        content_type=JSON,
        size=16 * KIB,
        make=documents.identifiers,
    ),
    Kind(
        name="openapi-64k",
        title="an OpenAPI description",
        family="text",
        content_type=JSON,
        size=64 * KIB,
        make=documents.schemas,
    ),
    Kind(
        name="embedding-33k",
        title="an embedding",
        family="text",
        content_type=JSON,
        size=33 * KIB,
        make=documents.embedding,
    ),
    Kind(
        name="token-2k",
        title="a login's answer with a token",
        family="text",
        content_type=JSON,
        size=2 * KIB,
        make=documents.token,
    ),
    Kind(
        name="agent-58k",
        title="a coding agent's request",
        family="text",
        content_type=JSON,
        size=58 * KIB,
        make=calls.request,
        is_request=True,
    ),
    Kind(
        name="events-8k",
        title="a model's answer as an event stream",
        family="text",
        content_type="text/event-stream",
        size=8 * KIB,
        make=calls.stream,
    ),
    Kind(
        name="html-16k",
        title="HTML",
        family="text",
        content_type="text/html; charset=utf-8",
        size=16 * KIB,
        make=texts.page,
    ),
    Kind(
        name="script-64k",
        title="a minified script",
        family="text",
        content_type="text/javascript",
        size=64 * KIB,
        make=texts.script,
    ),
    Kind(
        name="style-16k",
        title="CSS",
        family="text",
        content_type="text/css",
        size=16 * KIB,
        make=texts.style,
    ),
    Kind(
        name="svg-16k",
        title="SVG",
        family="text",
        content_type="image/svg+xml",
        size=16 * KIB,
        make=texts.drawing,
    ),
    Kind(
        name="source-16k",
        title="source code",
        family="text",
        content_type="text/x-python",
        size=16 * KIB,
        make=texts.source,
    ),
    Kind(
        name="csv-16k",
        title="CSV",
        family="text",
        content_type="text/csv",
        size=16 * KIB,
        make=texts.table,
    ),
    Kind(
        name="log-16k",
        title="lines of a log",
        family="text",
        content_type="text/plain",
        size=16 * KIB,
        make=texts.log,
        is_request=True,
    ),
    Kind(
        name="form-1k",
        title="a form",
        family="text",
        content_type="application/x-www-form-urlencoded",
        size=KIB,
        make=texts.form,
        is_request=True,
    ),
    Kind(
        name="gzip-16k",
        title="JSON of 16 KB in gzip",
        family="text",
        content_type=JSON,
        size=16 * KIB,
        make=media.compressed,
        content_encoding="gzip",
    ),
    Kind(
        name="german-16k",
        title="JSON in German",
        family="other scripts and escapes",
        content_type=JSON,
        size=16 * KIB,
        make=documents.german,
    ),
    Kind(
        name="russian-16k",
        title="JSON in Russian",
        family="other scripts and escapes",
        content_type=JSON,
        size=16 * KIB,
        make=documents.russian,
    ),
    Kind(
        name="chinese-16k",
        title="JSON in Chinese",
        family="other scripts and escapes",
        content_type=JSON,
        size=16 * KIB,
        make=documents.chinese,
    ),
    Kind(
        name="escapes-16k",
        title=r"JSON with `\u` escapes",
        family="other scripts and escapes",
        content_type=JSON,
        size=16 * KIB,
        make=documents.escaped,
    ),
    Kind(
        name="msgpack-16k",
        title="MessagePack",
        family="octets in text",
        content_type="application/msgpack",
        size=16 * KIB,
        make=media.packed_rows,
    ),
    Kind(
        name="base64-40k",
        title="JSON with base64",
        family="octets in text",
        content_type=JSON,
        size=40 * KIB,
        make=calls.attachment,
        is_request=True,
    ),
    Kind(
        name="multipart-60k",
        title="a form with a picture",
        family="octets in text",
        content_type=calls.MULTIPART,
        size=60 * KIB,
        make=calls.upload,
        is_request=True,
    ),
    Kind(
        name="png-60k",
        title="a picture, PNG",
        family="octets",
        content_type="image/png",
        size=60 * KIB,
        make=media.picture,
    ),
    Kind(
        name="woff2-32k",
        title="a font, WOFF2",
        family="octets",
        content_type="font/woff2",
        size=32 * KIB,
        make=media.font,
    ),
    Kind(
        name="pdf-64k",
        title="a PDF",
        family="octets",
        content_type="application/pdf",
        size=64 * KIB,
        make=media.document,
    ),
    Kind(
        name="octets-64k",
        title="octets of no format",
        family="octets",
        content_type="application/octet-stream",
        size=64 * KIB,
        make=media.octets,
    ),
)


def kind_of(name: str) -> Kind:
    """Return the kind of a name.

    Raises:
        KeyError: there is none.
    """
    return {kind.name: kind for kind in KINDS}[name]


@cache
def variants(name: str, count: int = VARIANTS) -> tuple[bytes, ...]:
    """Return the first bodies of a kind, made once a process."""
    return tuple(kind_of(name).body(seed) for seed in range(count))

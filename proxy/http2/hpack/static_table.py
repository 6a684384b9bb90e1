"""The static table, shared by all connections (RFC 7541, appendix A)."""

from typing import Final

from proxy.http2.field import Field

_ENTRIES: Final = (
    " |:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme "
    "https|:status 200|:status 204"
    "|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding "
    "gzip, deflate"
    "|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control"
    "|content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type"
    "|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since"
    "|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after"
    "|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)

STATIC_FIELDS: Final[tuple[Field, ...]] = tuple(
    Field(name, value)
    for name, _, value in (entry.partition(b" ") for entry in _ENTRIES.encode().split(b"|"))
)
"""Fields by index. Index 0 is invalid and has an empty field (RFC 7541 §6.1)."""
INDEX_OF_FIELD: Final = {
    (STATIC_FIELDS[at].name, STATIC_FIELDS[at].value): at for at in range(61, 0, -1)
}
INDEX_OF_NAME: Final = {STATIC_FIELDS[at].name: at for at in range(61, 0, -1)}
"""First index of each name."""

"""Why a client of HTTP got no answer, in words for a log: of webhooks and of receivers."""

import aiohttp

from proxy.http1.errors import why_unreached


def why_unanswered(error: aiohttp.ClientError | OSError) -> str:
    """Return the reason, with the address where nothing took the connection."""
    why = why_unreached(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {why}"
    return why

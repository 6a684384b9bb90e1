"""Describes why an HTTP client got no answer, for the logs of webhooks and receivers."""

import aiohttp

from proxy.http1.errors import why_unreached


def why_unanswered(error: aiohttp.ClientError | OSError) -> str:
    """Return the reason, with the address if the connection failed."""
    why = why_unreached(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {why}"
    return why

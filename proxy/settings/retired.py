"""Settings that are gone, and what took their place: each is refused with this sentence, never
ignored.
"""

import re
from collections.abc import Mapping
from typing import Final

_OF_ALL: Final = "is one for all routes: set it in [proxy.limits]"
_FIXED: Final = "is fixed now"
_REMOVED: Final = 'write it as NAME = "" in %s of [%s], which removes the field'
_ADDED: Final = "write it as %s of [%s], which replaces fields of that name"
RETIRED: Final[Mapping[str, str]] = {
    "admin.fanout": "is the environment variable LOGS_ADMIN_FANOUT, true or not set",
    "admin.max_stream_opens_per_minute": "is three times max_streams_per_token: set that",
    "capture.grpc_messages_per_s": f"{_FIXED}: 100 messages a second of a stream are recorded",
    "capture.llm_body_bytes": f"{_FIXED}: 1 MiB of LLM and MCP calls, or request_body_bytes and response_body_bytes",
    "capture.stored_body_bytes": "is the larger of request_body_bytes and response_body_bytes, and 16 KiB: set those",
    "capture.tail_bytes": f"{_FIXED}: 16 KiB of the end of a body",
    "capture.websocket_messages_per_s": f"{_FIXED}: 1000 messages a second of a connection are recorded",
    "otel.batch_max_bytes": f"{_FIXED}: requests of 4 MiB",
    "otel.batch_max_records": f"{_FIXED}: requests of 512 records",
    "otel.compression": f"{_FIXED}: requests are sent with gzip",
    "otel.interval_s": f"{_FIXED}: 2 s between requests when all is sent",
    "otel.service_name": "write it as service of each of [[routes]]",
    "otel.timeout_s": f"{_FIXED}: 10 s for a request and its answer",
    **{
        f"{owner}.headers.{rule}_{message}": text % (f"set_{message}", f"{owner}.headers")
        for owner in ("proxy", "routes")
        for rule, text in (("add", _ADDED), ("remove", _REMOVED))
        for message in ("request", "response")
    },
    "proxy.limits.max_header_line_bytes": "a line may have a quarter of max_header_bytes: set that",
    "proxy.limits.timeout_llm_first_byte_s": "is 1800 s, unless timeout_first_byte_s of [routes.limits] is set",
    "proxy.via": 'write it as Via = "1.1 NAME" in set_request of [proxy.headers]',
    "routes.limits.timeout_body_idle_s": _OF_ALL,
    "routes.limits.timeout_write_stall_s": _OF_ALL,
    "routes.limits.upstream_max_age_s": _OF_ALL,
    "routes.limits.upstream_max_requests": _OF_ALL,
    "routes.location": "write it into service, container, project or client, which records show",
    "routes.set_request_headers": "write it as set_request in [routes.headers]",
    "storage.batch_max_bytes": "is half of queue_max_bytes: set that",
    "storage.batch_max_records": "follows from queue_max_bytes: set that",
    "storage.listen_url": f"{_FIXED}: commits of other sidecars are seen within 250 ms",
    "tail.cursor_ttl_s": f"{_FIXED}: cursors expire after 15 minutes",
    "tail.heartbeat_s": f"{_FIXED}: a comment line every 15 s",
    "tail.ring_entries": f"{_FIXED}: 5000 entries in memory, older ones come from the store",
    "tokens.sha256": 'write it as token = "sha256:…"',
    "tokens.token_file": 'write it as token = "file:PATH"',
}
"""Dotted setting, without the number of a table → what is said of it."""
_NUMBER: Final = re.compile(r"\[\d+\]")


def what_became_of(name: str) -> str:
    """Say what became of a setting; empty where there never was one."""
    return RETIRED.get(_NUMBER.sub("", name), "")

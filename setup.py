"""The optional compiled build; everything else about the package is in pyproject.toml.

`SIDELOG_COMPILE=1` compiles the modules below with mypyc, the same source, nothing else to install
at run time; without it everything stays Python. They are what runs for each request in a worker,
and what makes a record of it in the collector, because there the compiler removes calls and
look-ups of attributes.

What stays out, and why: `Timeline` inherits from list; the opening of connections and the sockets'
ports wait for the kernel; structs of msgspec would lose `frozen` and `gc` without a word, so they
have files of their own; rows, blocks and rollups, whose time is in SQLite, msgspec and zstd, gain
nothing (1.02 to 1.10 of the time, bench/micro).
"""

import os
from typing import Any

from setuptools import setup

COMPILED = (
    "proxy/enrich/columns.py",
    "proxy/enrich/endpoints/node.py",
    "proxy/enrich/endpoints/operation.py",
    "proxy/enrich/endpoints/segments.py",
    "proxy/enrich/endpoints/tree.py",
    "proxy/enrich/grpc/reader.py",
    "proxy/enrich/grpc/scalars.py",
    "proxy/enrich/grpc/status.py",
    "proxy/enrich/grpc/wire.py",
    "proxy/enrich/grpc/wire_tree.py",
    "proxy/enrich/http/bodies.py",
    "proxy/enrich/http/exchange_decoder.py",
    "proxy/enrich/http/field_lines.py",
    "proxy/enrich/http/head_reader.py",
    "proxy/enrich/http/request_lines.py",
    "proxy/enrich/merge.py",
    "proxy/enrich/records.py",
    "proxy/enrich/redact/compact.py",
    "proxy/enrich/redact/names.py",
    "proxy/enrich/redact/parameters.py",
    "proxy/enrich/redact/redactor.py",
    "proxy/enrich/stages.py",
    "proxy/http1/body_framing.py",
    "proxy/http1/chunked.py",
    "proxy/http1/field_lines.py",
    "proxy/http1/forwarded.py",
    "proxy/http1/header_rules.py",
    "proxy/http1/memo/head_templates.py",
    "proxy/http1/memo/request_heads.py",
    "proxy/http1/memo/response_heads.py",
    "proxy/http1/memo/varying_fields.py",
    "proxy/http1/request_head.py",
    "proxy/http1/request_line.py",
    "proxy/http1/request_reader.py",
    "proxy/http1/response_head.py",
    "proxy/http1/websocket_frames.py",
    "proxy/http2/budget.py",
    "proxy/http2/connection.py",
    "proxy/http2/events.py",
    "proxy/http2/field.py",
    "proxy/http2/frame_reader.py",
    "proxy/http2/frames.py",
    "proxy/http2/grpc.py",
    "proxy/http2/hpack/decoder.py",
    "proxy/http2/hpack/encoder.py",
    "proxy/http2/hpack/huffman.py",
    "proxy/http2/hpack/static_table.py",
    "proxy/http2/hpack/table.py",
    "proxy/http2/inbound.py",
    "proxy/http2/output.py",
    "proxy/http2/request_fields.py",
    "proxy/http2/response_fields.py",
    "proxy/http2/stream.py",
    "proxy/network/pacing.py",
    "proxy/ring/body_window.py",
    "proxy/ring/counters.py",
    "proxy/ring/exchange.py",
    "proxy/ring/http2_notes.py",
    "proxy/ring/ring.py",
    "proxy/worker/admission/admission.py",
    "proxy/worker/closing_connection.py",
    "proxy/worker/deadlines.py",
    "proxy/worker/downstream.py",
    "proxy/worker/egress/admission.py",
    "proxy/worker/egress/url_downstream.py",
    "proxy/worker/engine.py",
    "proxy/worker/exits/exit.py",
    "proxy/worker/exits/frame_writer.py",
    "proxy/worker/exits/http1.py",
    "proxy/worker/exits/http2.py",
    "proxy/worker/http2_downstream.py",
    "proxy/worker/recorder.py",
    "proxy/worker/relay/ending.py",
    "proxy/worker/relay/grpc_messages.py",
    "proxy/worker/relay/http2_streams.py",
    "proxy/worker/relay/message_log.py",
    "proxy/worker/relay/relay.py",
    "proxy/worker/relay/request_side.py",
    "proxy/worker/relay/state.py",
    "proxy/worker/relay/timing.py",
    "proxy/worker/relay/tunnel_side.py",
    "proxy/worker/routes.py",
    "proxy/worker/tls_downstream.py",
    "proxy/worker/tunnel.py",
    "proxy/worker/upstream/connection.py",
    "proxy/worker/upstream/http2_connection.py",
    "proxy/worker/upstream/http2_lane.py",
    "proxy/worker/upstream/http2_pool.py",
    "proxy/worker/upstream/places.py",
    "proxy/worker/upstream/pool.py",
)


def extensions() -> list[Any]:
    """Return what is to be compiled: one library, and a stub beside each module."""
    if os.environ.get("SIDELOG_COMPILE") != "1":
        return []
    from mypyc.build import mypycify  # the pure build has no mypy

    return mypycify([*COMPILED], opt_level="3", multi_file=False, target_dir="build/mypyc")


setup(ext_modules=extensions())

"""What passes through: by route, by status, and how long it takes."""

from typing import Final

from deploy.dashboards.model import (
    RATE,
    Choice,
    Dashboard,
    Row,
    heat,
    panel,
    quantile,
    rate,
)

REQUESTS: Final = rate("sidelog_requests_total", matchers="ROUTE")
FAULTS: Final = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
"""Statuses of gRPC that are the service's fault, as a 5xx is."""
FAILED: Final = (
    f'(sum(rate(sidelog_requests_total{{ROUTE, status="5xx"}}[{RATE}]) '
    f'or rate(sidelog_grpc_requests_total{{ROUTE, status=~"{FAULTS}"}}[{RATE}])) or vector(0))'
)
DURATION: Final = "sidelog_request_duration_seconds"

OVERVIEW: Final = Row(
    title="Overview",
    panels=(
        panel("Requests", REQUESTS, kind="stat", unit="reqps", width=4),
        panel(
            "Failed",
            f"{FAILED} / {REQUESTS}",
            **{
                "kind": "stat",
                "unit": "percentunit",
                "width": 4,
                "thresholds": (("orange", 0.001), ("red", 0.01)),
            },
            text=(
                "Share of exchanges whose status is 5xx, of the upstream or of sidelog, and of "
                "failed calls of gRPC."
            ),
        ),
        panel("p50", quantile(0.5, DURATION), kind="stat", unit="s", width=4),
        panel("p99", quantile(0.99, DURATION), kind="stat", unit="s", width=4),
        panel("In flight", "sum(sidelog_requests_in_flight{SELF})", kind="stat", width=4),
        panel(
            "Sent to clients",
            rate("sidelog_response_bytes_total", matchers="ROUTE"),
            kind="stat",
            unit="Bps",
            width=4,
        ),
    ),
)

TRAFFIC: Final = Row(
    title="Traffic",
    panels=(
        panel(
            "Requests by route",
            (rate("sidelog_requests_total", "route", "ROUTE"), "{{route}}"),
            unit="reqps",
            is_stacked=True,
        ),
        panel(
            "Requests by status",
            (rate("sidelog_requests_total", "status", "ROUTE"), "{{status}}"),
            unit="reqps",
            is_stacked=True,
            text="`none`: there was no response, because the client left.",
        ),
        panel(
            "Requests by method",
            (rate("sidelog_requests_total", "method", "ROUTE"), "{{method}}"),
            unit="reqps",
            is_stacked=True,
        ),
    ),
)

LATENCY: Final = Row(
    title="Latency",
    panels=(
        panel(
            "Durations",
            heat(DURATION),
            kind="heatmap",
            unit="s",
            width=12,
            text="Darker: more exchanges.",
        ),
        panel(
            "Quantiles",
            *((quantile(q, DURATION), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)),
            unit="s",
            width=12,
        ),
        panel("p95 by route", (quantile(0.95, DURATION, "route"), "{{route}}"), unit="s"),
        panel(
            "p95 to the first byte",
            (quantile(0.95, "sidelog_time_to_first_byte_seconds", "route"), "{{route}}"),
            unit="s",
        ),
        panel(
            "p95 of the upstream",
            (quantile(0.95, "sidelog_upstream_duration_seconds", "route"), "{{route}}"),
            unit="s",
            text=(
                "What is above it in the panel of all routes is sidelog's own time and that of "
                "slow clients."
            ),
        ),
    ),
)

CONNECTIONS: Final = Row(
    title="Errors and connections",
    panels=(
        panel(
            "Upstream errors",
            (
                rate("sidelog_upstream_errors_total", "route, reason", "ROUTE"),
                "{{route}}: {{reason}}",
            ),
            unit="reqps",
        ),
        panel(
            "Refused for their key",
            (rate("sidelog_auth_failures_total", "code"), "{{code}}"),
            unit="reqps",
        ),
        panel(
            "Body bytes",
            (rate("sidelog_request_bytes_total", matchers="ROUTE"), "from clients"),
            (rate("sidelog_response_bytes_total", matchers="ROUTE"), "to clients"),
            unit="Bps",
        ),
        panel(
            "Connections",
            ("sum by (side, protocol) (sidelog_connections_open{SELF})", "{{side}} {{protocol}}"),
        ),
        panel(
            "Connections above a limit",
            (rate("sidelog_connections_refused_total"), "refused"),
            (rate("sidelog_connections_displaced_total"), "closed to make room"),
            unit="cps",
        ),
        panel(
            "Connections that never became usable",
            (rate("sidelog_tls_failures_total", "reason"), "TLS: {{reason}}"),
            (rate("sidelog_proxy_protocol_failures_total", "reason"), "PROXY header: {{reason}}"),
            unit="cps",
        ),
    ),
)

HTTP2: Final = Row(
    title="gRPC and HTTP/2",
    panels=(
        panel(
            "Calls of gRPC by status",
            (rate("sidelog_grpc_requests_total", "status", "ROUTE"), "{{status}}"),
            unit="reqps",
            is_stacked=True,
            text="`none`: the call ended without one. All of them are requests, too.",
        ),
        panel(
            "Streams ended early",
            (rate("sidelog_http2_streams_reset_total", "side, code"), "{{side}}: {{code}}"),
            unit="reqps",
            text="By the client, by sidelog as the server, or by the upstream.",
        ),
        panel(
            "HTTP/2 connections that sidelog ended",
            (rate("sidelog_http2_connections_ended_total", "reason"), "{{reason}}"),
            unit="cps",
            text="`no_error`: idle or draining. `enhance_your_calm`: a flood.",
        ),
    ),
)

TRAFFIC_DASHBOARD: Final = Dashboard(
    name="traffic",
    title="sidelog: traffic",
    text="What passes through sidelog, by route and status, and how long it takes.",
    choices=(Choice(name="route", metric="sidelog_requests_total", matchers="SELF"),),
    rows=(OVERVIEW, TRAFFIC, LATENCY, CONNECTIONS, HTTP2),
)

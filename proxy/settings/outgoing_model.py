"""The settings of what is sent to others, spans and alerts, declared: part of `model.py`."""

from typing import Annotated, Literal

from msgspec import Meta, field

from proxy.settings.section import Section, about


class OtelSettings(Section, frozen=True):
    """[otel]: stored records as spans and logs, to an OpenTelemetry receiver."""

    endpoint: Annotated[
        str,
        about(
            "address of an OTLP/HTTP receiver, such as http://collector:4318, to which /v1/traces and /v1/logs are "
            'added; "env:NAME" reads the environment; empty: nothing is sent'
        ),
    ] = ""
    headers: Annotated[dict[str, str], about('sent with each request; "env:NAME" reads the environment')] = field(
        default_factory=dict
    )
    signals: Annotated[
        tuple[Literal["traces", "logs"], ...], about("traces: a span an exchange; logs: a log record a record")
    ] = ("traces", "logs")
    ca_file: Annotated[
        str, about("PEM file of the authorities that may sign for the receiver; empty: the system's")
    ] = ""


_Threshold = Annotated[float, Meta(ge=0)]


class AlertSettings(Section, frozen=True):
    """[[alerts]]: a webhook is called when a figure of the log crosses a threshold."""

    name: Annotated[str, about("name of the alert", min_length=1, max_length=100)]
    url: Annotated[str, about('webhook; "env:NAME" reads the environment')]
    query: Annotated[str, about("search for the requests it is about; empty: all")] = ""
    figure: Annotated[
        Literal["count", "share", "p50", "p95", "p99", "change", "cost"],
        about(
            "count of requests; share of those that `of` finds; their percentile of duration in ms; change: count, as "
            "a multiple of that of the window before; cost in US dollars"
        ),
    ] = "count"
    of: Annotated[str, about("share: search for the part that is counted, such as status:5xx")] = ""
    by: Annotated[
        str, about("field of which each value fires by itself, such as key, model, project, header.x-tenant")
    ] = ""
    window_s: Annotated[float, about("time that the figure is about, up to now", ge=10, le=366 * 86_400)] = 600
    above: Annotated[_Threshold | None, about("it fires above this")] = None
    below: Annotated[_Threshold | None, about("it fires below this")] = None
    min_requests: Annotated[int, about("with fewer requests in the window it does not fire", ge=0)] = 0
    repeat_s: Annotated[float, about("time after which it is sent again while it fires; 0: never", ge=0)] = 0
    secret: Annotated[
        str, about('signs by Standard Webhooks: "whsec_" and Base64; "env:NAME" reads the environment; empty: not')
    ] = ""
    format: Annotated[
        Literal["standard", "alertmanager", "slack"],
        about("payload: standard (JSON of our own), alertmanager (its API, /api/v2/alerts), or slack"),
    ] = "standard"

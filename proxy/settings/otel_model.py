"""The settings of the export to OpenTelemetry, declared: part of `model.py`."""

from typing import Annotated, Literal

from msgspec import field

from proxy.settings.section import KIB, MIB, Section, about


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
    service_name: Annotated[
        str, about("service.name of records whose route has no `service`", min_length=1, max_length=256)
    ] = "sidelog"
    ca_file: Annotated[
        str, about("PEM file of the authorities that may sign for the receiver; empty: the system's")
    ] = ""
    compression: Annotated[Literal["gzip", "none"], about("of requests")] = "gzip"
    timeout_s: Annotated[float, about("time for a request and its answer", ge=0.1, le=600)] = 10
    interval_s: Annotated[float, about("pause between requests when all is sent", ge=0.05, le=3600)] = 2
    batch_max_records: Annotated[int, about("records of one request", ge=1, le=10_000)] = 512
    batch_max_bytes: Annotated[
        int, about("size of a request before compression; one record may be larger", ge=64 * KIB, le=64 * MIB)
    ] = 4 * MIB

"""The settings of the export of spans and logs, declared: part of `model.py`."""

from typing import Annotated, Literal

from msgspec import field

from proxy.settings.section import Section, about


class OtelSettings(Section, frozen=True):
    """[otel]: stored records as spans and logs, to an OpenTelemetry receiver."""

    endpoint: Annotated[
        str,
        about(
            "address of an OTLP/HTTP receiver, such as http://collector:4318, to which /v1/traces "
            "and /v1/logs are "
            'added; "env:NAME" reads the environment; empty: nothing is sent'
        ),
    ] = ""
    headers: Annotated[
        dict[str, str], about('sent with each request; "env:NAME" reads the environment')
    ] = field(default_factory=dict)
    signals: Annotated[
        tuple[Literal["traces", "logs"], ...],
        about("traces: a span an exchange; logs: a log record a record"),
    ] = ("traces", "logs")
    compression: Annotated[
        Literal["gzip", "none"],
        about("of what is sent; none: for a receiver that does not read gzip"),
    ] = "gzip"
    ca_file: Annotated[
        str,
        about("PEM file of the authorities that may sign for the receiver; empty: the system's"),
    ] = ""

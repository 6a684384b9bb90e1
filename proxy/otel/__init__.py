"""Stored records as spans and logs of OpenTelemetry, sent by OTLP over HTTP."""

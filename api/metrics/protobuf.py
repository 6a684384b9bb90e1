"""The protobuf exposition of Prometheus: the one format in which it reads native histograms.

Written here because the client library has no such encoder and a protobuf package would be a
dependency for six message types. The messages are those of
https://github.com/prometheus/client_model (io/prometheus/client/metrics.proto), each `MetricFamily`
behind its length, as `encoding=delimited` says; the encoding is
https://protobuf.dev/programming-guides/encoding/. Histograms have classic buckets as well, for
readers that do not know the native ones.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import INF

from api.metrics.histogram import SCHEMA, Histograms, Tally
from storage.varint import varint

MEDIA_TYPE: Final = "application/vnd.google.protobuf"
CONTENT_TYPE: Final = f"{MEDIA_TYPE}; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_TEXT_TYPES: Final = frozenset(("application/openmetrics-text", "text/plain"))
_PARAMETERS: Final = {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"}

_VARINT, _FIXED64, _LENGTH = range(3)
"""Wire types."""
_TYPES: Final = {"counter": 0, "gauge": 1, "unknown": 3, "histogram": 4}
"""Type of a family → `MetricType`."""
_VALUES: Final = {"counter": 3, "gauge": 2, "unknown": 5}
"""Type of a family → field of `Metric` that has its value."""


def is_wanted(accept: str) -> bool:
    """Whether a scraper that lists media types, the one it wants most first, wants this one rather
    than text.
    """
    for element in accept.split(","):
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        if name in _TEXT_TYPES:
            return False

        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if name == MEDIA_TYPE and all(
            given.get(key) == value for key, value in _PARAMETERS.items()
        ):
            return True

    return False


def encode(families: Iterable[Metric]) -> bytes:
    """Write families one behind the other; those without a value are left out."""
    encoded = (_family(family) for family in families if family.samples)
    return b"".join(varint(len(message)) + message for message in encoded)


def _family(family: Metric) -> bytes:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    head = (
        encoded_text(1, name)
        + encoded_text(2, family.documentation)
        + _whole(3, _TYPES[family.type])
    )
    return head + b"".join(encoded_message(4, metric) for metric in _metrics(family))


def _metrics(family: Metric) -> Iterable[bytes]:
    if isinstance(family, Histograms):
        for values, tally in family.tallies:
            yield _labels(dict(zip(family.label_names, values, strict=True))) + encoded_message(
                7, _histogram(tally)
            )
        return

    field = _VALUES[family.type]
    for sample in family.samples:
        yield _labels(sample.labels) + encoded_message(field, _double(1, sample.value))


def _labels(labels: Mapping[str, str]) -> bytes:
    pairs = (
        encoded_text(1, name) + encoded_text(2, value) for name, value in sorted(labels.items())
    )
    return b"".join(encoded_message(1, pair) for pair in pairs)


def _histogram(tally: Tally) -> bytes:
    native = tally.native()
    total = sum(tally.counts)
    parts = [_whole(1, total), _double(2, tally.sum)]
    for bound, count in (*tally.classic(), (INF, total)):
        parts.append(encoded_message(3, _whole(1, count) + _double(2, bound)))
    parts += [_signed(5, SCHEMA), _double(6, native.zero_threshold), _whole(7, native.zero_count)]
    parts += (
        encoded_message(12, _signed(1, offset) + _whole(2, length))
        for offset, length in native.spans
    )
    # Not packed: proto2, which client_model is, reads repeated numbers so unless it says otherwise.
    parts += (_signed(13, delta) for delta in native.deltas)
    return b"".join(parts)


def _key(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def _whole(field: int, number: int) -> bytes:
    return _key(field, _VARINT) + varint(number)


def _signed(field: int, number: int) -> bytes:
    """Write a `sint`: near zero is short whatever the sign."""
    return _whole(field, number << 1 if number >= 0 else ~(number << 1))


def _double(field: int, number: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", number)


def encoded_message(field: int, content: bytes) -> bytes:
    """Write a field that has a length."""
    return _key(field, _LENGTH) + varint(len(content)) + content


def encoded_text(field: int, text: str) -> bytes:
    return encoded_message(field, text.encode())

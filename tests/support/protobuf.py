"""A decoder of protobuf messages, and of Prometheus' metric families in them, after their published
definitions.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

Fields = dict[int, list[int | bytes]]


def fields(message: bytes) -> Fields:
    """Return the values of each field: numbers, doubles as the eight bytes they are, and what has a
    length.
    """
    found: Fields = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number = key >> 3
        wire_type = key & 7
        value: int | bytes

        if wire_type == 0:
            value, at = _varint(message, at)
        elif wire_type in (1, 2):
            length, at = (8, at) if wire_type == 1 else _varint(message, at)
            value = message[at : at + length]
            at = at + length
            assert len(value) == length, "the message ends within a field"
        else:
            raise AssertionError(f"wire type {wire_type} of field {number}")

        found.setdefault(number, []).append(value)

    return found


@dataclass(slots=True)
class Histogram:
    count: int
    sum: float
    buckets: dict[float, int]
    """Classic: upper bound → how many up to it."""
    schema: int
    zero_threshold: float
    zero_count: int
    native: dict[int, int]
    """Step → how many; the empty ones of spans as well."""
    spans: list[tuple[int, int]]


@dataclass(slots=True)
class Family:
    name: str
    help: str
    type: int
    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    """Label values in the order of label names → value."""
    histograms: dict[tuple[str, ...], Histogram] = field(default_factory=dict)


def families(body: bytes) -> Iterator[Family]:
    """Read families that follow each other, each behind its length."""
    at = 0
    while at < len(body):
        length, at = _varint(body, at)
        assert at + length <= len(body), "the body ends within a family"
        yield _family(fields(body[at : at + length]))
        at += length


def _family(found: Fields) -> Family:
    family = Family(text(found[1][0]), text(found[2][0]), whole(found[3][0]))
    for message in found[4]:
        metric = fields(raw(message))
        pairs = [fields(raw(pair)) for pair in metric.get(1, [])]
        labels = tuple(
            value for _, value in sorted((text(pair[1][0]), text(pair[2][0])) for pair in pairs)
        )
        assert labels not in family.values | family.histograms, "labels twice"

        if 7 in metric:
            family.histograms[labels] = _histogram(fields(raw(metric[7][0])))
        else:
            (value,) = (metric[number][0] for number in (2, 3, 5) if number in metric)
            family.values[labels] = double(fields(raw(value))[1][0])

    return family


def _histogram(found: Fields) -> Histogram:
    buckets = [fields(raw(bucket)) for bucket in found[3]]
    spans = [fields(raw(span)) for span in found.get(12, [])]
    pairs = [(signed(span[1][0]), whole(span[2][0])) for span in spans]
    deltas = iter(found.get(13, []))
    native = dict[int, int]()
    step = 0
    count = 0

    for offset, length in pairs:
        step += offset
        for _ in range(length):
            count += signed(next(deltas))
            native[step] = count
            step += 1

    assert next(deltas, None) is None, "more deltas than the spans have room for"
    return Histogram(
        count=whole(found[1][0]),
        sum=double(found[2][0]),
        buckets={double(bucket[2][0]): whole(bucket[1][0]) for bucket in buckets},
        schema=signed(found[5][0]),
        zero_threshold=double(found[6][0]),
        zero_count=whole(found[7][0]),
        native=native,
        spans=pairs,
    )


def raw(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def text(value: int | bytes) -> str:
    return raw(value).decode()


def whole(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value


def signed(value: int | bytes) -> int:
    number = whole(value)
    if number % 2 == 0:
        return number >> 1
    return -(number + 1 >> 1)


def double(value: int | bytes) -> float:
    (number,) = struct.unpack("<d", raw(value))
    assert isinstance(number, float)
    return number


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at = at + 1
        shift = shift + 7
        if byte < 0x80:
            return number, at

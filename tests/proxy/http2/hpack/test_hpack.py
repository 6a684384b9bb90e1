"""HPACK: the examples of RFC 7541, the stories that other encoders tell, and two judges."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.errors import ConnectionFault, ErrorCode
from proxy.http2.field import Field
from proxy.http2.hpack.decoder import BOMB_FACTOR, Decoder
from proxy.http2.hpack.encoder import NO_TABLE, LineEncoder, encode_field, encode_integer
from proxy.http2.hpack.huffman import CODE_LENGTHS, read_huffman
from proxy.http2.hpack.static_table import INDEX_OF_FIELD, INDEX_OF_NAME, STATIC_FIELDS
from proxy.http2.hpack.table import TABLE_BYTES, Table

MAX_BYTES = 65536
Pairs = list[tuple[bytes, bytes]]
STORIES = Path(
    os.environ.get("SIDELOG_TEST_VECTORS", Path(__file__).resolve().parents[4] / ".vectors")
)
"""Where `hpack-test-case.tar.xz` is, if anywhere: stories of eight encoders, published under the
MIT licence.
"""


def pairs(fields: list[Field]) -> Pairs:
    return [(field.name, field.value) for field in fields]


def decoded(*blocks: bytes) -> list[Pairs]:
    """Decode blocks of one connection, each twice where that leaves the table as it is."""
    decoder = Decoder(MAX_BYTES)
    return [pairs(decoder.decode(block)) for block in blocks]


# RFC 7541, appendix C.

REQUESTS = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
]
CODED_REQUESTS = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
]
BASE = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"www.example.com"),
]
READ_REQUESTS = [
    BASE,
    [*BASE, (b"cache-control", b"no-cache")],
    [
        BASE[0],
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        BASE[3],
        (b"custom-key", b"custom-value"),
    ],
]


@pytest.mark.parametrize("blocks", [REQUESTS, CODED_REQUESTS], ids=["C.3", "C.4"])
def test_the_requests_of_the_rfc(blocks: list[str]) -> None:
    """Three heads of one connection, plain and in Huffman's code."""
    assert decoded(*map(bytes.fromhex, blocks)) == READ_REQUESTS


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", (b"custom-key", b"custom-header")),
        ("040c2f73616d706c652f70617468", (b":path", b"/sample/path")),
        ("100870617373776f726406736563726574", (b"password", b"secret")),
        ("82", (b":method", b"GET")),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
)
def test_the_representations_of_the_rfc(block: str, field: tuple[bytes, bytes]) -> None:
    """Each of the four forms."""
    assert decoded(bytes.fromhex(block)) == [[field]]


@pytest.mark.parametrize(
    ("value", "mask", "octets"), [(10, 31, "0a"), (1337, 31, "1f9a0a"), (42, 255, "2a")]
)
def test_the_integers_of_the_rfc(value: int, mask: int, octets: str) -> None:
    """C.1: in the prefix, and behind it."""
    assert encode_integer(value, mask, 0) == bytes.fromhex(octets)


RESPONSES = [
    "3fe1014803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f"
    "7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f"
    "5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
]
CODED_RESPONSES = [
    "3fe101488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1"
    "ab270fb5291f9587316065c003ed4ee5b1063d5007",
]
DATED = [
    (b"cache-control", b"private"),
    (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
    (b"location", b"https://www.example.com"),
]
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"


@pytest.mark.parametrize("blocks", [RESPONSES, CODED_RESPONSES], ids=["C.5", "C.6"])
def test_the_responses_of_the_rfc(blocks: list[str]) -> None:
    """In a table of 256 bytes, which a size update before them says: entries are evicted."""
    assert decoded(*map(bytes.fromhex, blocks)) == [
        [(b":status", b"302"), *DATED],
        [(b":status", b"307"), *DATED],
        [
            *(
                (b":status", b"200"),
                DATED[0],
                (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
                DATED[2],
            ),
            *((b"content-encoding", b"gzip"), (b"set-cookie", COOKIE)),
        ],
    ]


def entries(table: Table) -> list[Field]:
    """List the dynamic entries, up to the index that is refused."""
    found: list[Field] = []
    with suppress(ConnectionFault):
        while True:
            found.append(table.field(62 + len(found)))
    return found


def test_a_field_larger_than_the_table_empties_it() -> None:
    """Which is no error; what is gone cannot be referred to."""
    table = Table()
    table.add(Field(b"x", b"y"))
    assert (len(entries(table)), table.size_bytes) == (1, 34)
    table.add(Field(b"x", b"y" * 5000))
    assert (entries(table), table.size_bytes) == ([], 0)
    with pytest.raises(ConnectionFault, match="beyond the table"):
        table.field(62)


# Tables and code.


def test_the_static_table_and_the_code_are_those_of_the_rfc() -> None:
    """As another implementation has them."""
    assert pairs(list(STATIC_FIELDS[1:])) == list(HeaderTable.STATIC_TABLE)
    assert list(CODE_LENGTHS) == list(REQUEST_CODES_LENGTH)
    assert INDEX_OF_FIELD[b":status", b"404"] == 13
    assert INDEX_OF_NAME[b":path"] == 4


@given(st.binary(max_size=60))
def test_huffman_strings_are_read_back(text: bytes) -> None:
    """All bytes, as another encoder writes them."""
    encoder = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES, REQUEST_CODES_LENGTH
    )
    assert read_huffman(encoder.encode(text)) == text


@given(st.binary(max_size=12))
def test_arbitrary_huffman_strings_are_read_as_others_read_them(coded: bytes) -> None:
    """Or refused, as they refuse them."""
    try:
        expected = hpack.huffman_table.decode_huffman(coded)
    except hpack.HPACKDecodingError:
        with pytest.raises(ConnectionFault):
            read_huffman(coded)
    else:
        assert read_huffman(coded) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5000)), max_size=60))
def test_a_table_never_exceeds_its_size(steps: list[tuple[int, int]]) -> None:
    """Additions, evictions and changes of size: a model agrees."""
    table = Table()
    most = TABLE_BYTES
    model: list[Field] = []

    for kind, number in steps:
        if kind:
            field = Field(b"x", b"y" * (number % 1500))
            table.add(field)
            model.insert(0, field)
        elif number <= TABLE_BYTES:
            table.resize(number)
            most = number

        while sum(field.size_bytes for field in model) > most:
            model.pop()
        assert table.size_bytes == sum(field.size_bytes for field in model) <= most
        assert entries(table) == model


# Limits (F4).


def test_a_list_over_the_limit_is_read_to_its_end() -> None:
    """The table stays in step."""
    decoder = Decoder(100)
    fields = decoder.decode(b"\x40\1a\1b" * 4)
    assert (len(fields), decoder.is_over) == (4, True)
    assert (pairs(decoder.decode(b"\xc1\x82")), decoder.is_over) == (
        [(b"a", b"b"), (b":method", b"GET")],
        False,
    )


def test_every_reference_counts() -> None:
    """A short block of references to a long field ends the connection before it becomes a long
    list.
    """
    decoder = Decoder(8192)
    decoder.decode(b"\x40\1x\x7f\x81\x1e" + b"y" * 3968)
    with pytest.raises(ConnectionFault) as caught:
        decoder.decode(b"\xbe" * 16000)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM
    assert BOMB_FACTOR * 8192 < 9 * 4001


def test_blocks_that_repeat_are_read_again_when_the_table_has_changed() -> None:
    """What is remembered of them holds only while their references mean the same."""
    decoder = Decoder(MAX_BYTES)
    decoder.decode(b"\x40\1a\1b")
    first = decoder.decode(b"\xbe")
    assert decoder.decode(b"\xbe") is first
    decoder.decode(b"\x40\1c\1d")
    assert pairs(decoder.decode(b"\xbe")) == [(b"c", b"d")]
    for at in range(100):
        assert pairs(decoder.decode(encode_field(b"x", b"%d" % at))) == [(b"x", b"%d" % at)]
    assert pairs(decoder.decode(b"\xbe")) == [(b"c", b"d")]


# Judges.

HEADS = st.lists(
    st.tuples(st.sampled_from([b":path", b"x", b"accept", b"a-b"]), st.binary(max_size=20)),
    max_size=8,
)


@given(
    st.lists(HEADS, max_size=6), st.booleans(), st.lists(st.sampled_from([0, 64, 4096]), max_size=6)
)
def test_what_another_encoder_writes_is_read(
    heads: list[Pairs], coded: bool, table_bytes: list[int]
) -> None:
    """With its dynamic table, in either form of strings, and with changes of the table's size."""
    encoder = hpack.Encoder()
    decoder = Decoder(MAX_BYTES)
    for at, head in enumerate(heads):
        if at < len(table_bytes):
            encoder.header_table_size = table_bytes[at]
        assert pairs(decoder.decode(encoder.encode(head, huffman=coded))) == head


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_arbitrary_blocks_are_read_as_another_decoder_reads_them(blocks: list[bytes]) -> None:
    """Or refused; where we are stricter, the other one has read them."""
    decoder = Decoder(MAX_BYTES)
    other = hpack.Decoder(max_header_list_size=MAX_BYTES * 8)
    for block in blocks:
        try:
            found = pairs(decoder.decode(block))
        except ConnectionFault:
            return

        assert found == [
            (bytes(name), bytes(value)) for name, value in other.decode(block, raw=True)
        ]


def test_what_we_write_is_read_by_another_decoder() -> None:
    """Behind the block that closes its table; secrets are never indexed."""
    lines = b"Cookie: a=b\r\nX: %b\r\nAccept-Encoding: gzip, deflate\r\n\r\n" % (b"y" * 300)
    encoder = LineEncoder()
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 4096

    for prefix in (NO_TABLE, b"", b""):
        found = decoder.decode(prefix + encoder.encode(lines), raw=True)
        assert [(bytes(n), bytes(v)) for n, v in found] == [
            *((b"cookie", b"a=b"), (b"x", b"y" * 300), (b"accept-encoding", b"gzip, deflate")),
        ]
        assert [field.indexable for field in found] == [False, True, True]

    for at in range(5000):
        assert encoder.encode(b"x: %d\r\n" % at) == encode_field(b"x", b"%d" % at)
    assert encoder.encode(b":status: 200\r\n") == b""


# Stories.


def stories() -> Iterator[Any]:
    """All published ones, else a sample that our judge writes."""
    for archive in sorted(STORIES.glob("**/hpack-test-case*.tar.*")):
        with tarfile.open(archive) as files:
            told = [member for member in files if member.name.endswith(".json")]
            for number, member in enumerate(told):
                marks = [] if number % 8 == 0 else [pytest.mark.long]
                cases = json.loads((files.extractfile(member) or io.BytesIO()).read())["cases"]
                yield pytest.param(cases, id=member.name, marks=marks)

    encoder = hpack.Encoder()
    heads = [[*BASE, (b"x-id", b"%d" % (at % 7)), (b"cookie", b"s=%d" % at)] for at in range(100)]
    yield pytest.param(
        [
            {
                "wire": encoder.encode(head).hex(),
                "headers": [{name.decode(): value.decode()} for name, value in head],
            }
            for head in heads
        ],
        id="our own",
    )


@pytest.mark.parametrize("cases", list(stories()))
def test_a_story_is_read_as_it_was_told(cases: list[dict[str, Any]]) -> None:
    """Every block of a connection, in order."""
    decoder = Decoder(MAX_BYTES)
    for case in cases:
        expected = [
            (name.encode(), value.encode())
            for field in case["headers"]
            for name, value in field.items()
        ]
        assert pairs(decoder.decode(bytes.fromhex(case["wire"]))) == expected


def test_a_literal_that_is_written_alike_is_one_field_of_all_connections() -> None:
    """Clients of one kind say the same; a name of a dynamic table is another one on each
    connection.
    """
    plain = b"\x40\x01a\x04b: c"
    first = Decoder(1000)
    second = Decoder(1000)
    assert first.decode(plain)[0] is second.decode(plain)[0]
    assert pairs(first.decode(b"\x40\x04a: b\x01c")) == [(b"a: b", b"c")]
    named = b"\x0f\x2f\x01x"  # the first entry of the table
    assert pairs(first.decode(named) + second.decode(named)) == [(b"a: b", b"x"), (b"a", b"x")]


@pytest.mark.parametrize("literal", ["40016182ffff", "40018161", "0f2f0178", "400162"])
def test_a_malformed_literal_is_refused_each_time(literal: str) -> None:
    """What is remembered was read."""
    for _ in range(2):
        with pytest.raises(ConnectionFault):
            Decoder(1000).decode(bytes.fromhex(literal))


def test_a_block_of_a_server_without_a_table_is_remembered() -> None:
    """nginx sets its table to nothing, and adds each field to it; the next block means the same."""
    decoder = Decoder(1000)
    added = b"\x88\x76\x05nginx"
    assert pairs(decoder.decode(b"\x20" + added)) == [(b":status", b"200"), (b"server", b"nginx")]
    assert decoder.decode(added) is decoder.decode(added)
    with_table = Decoder(1000)
    assert with_table.decode(added) is not with_table.decode(added)
    assert pairs(with_table.decode(b"\xbe\xbf")) == [(b"server", b"nginx")] * 2
